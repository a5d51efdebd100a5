//! What a client needs of a request's exchange beyond what the runtime needs in embedded mode.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::exchange::{Exchange, FlowError, Head, Send};
use oxwsgi_core::report::Level;

/// The exchange of a request that goes on to another process. Used by one thread at a time.
pub trait ServerExchange: Exchange {
    /// Reads up to `buffer.len()` bytes of the request body if there are any now; `None` when there are none yet, and
    /// 0 is the end. Called at least once a second while a body is awaited, so that it can tell when the client has had
    /// time enough.
    fn try_read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, FlowError>;

    /// The client's connection, which becomes readable when [`try_read`](Self::try_read) may have more, and shows when it
    /// has broken; `None` where the request does not have one for itself (HTTP/2), and reading is tried again and again.
    fn body_descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// How long a client may neither take nor send anything.
    fn client_timeout(&self) -> Duration;

    /// Sends a part of a file that another process has sent, as [`send_file`](Exchange::send_file) does.
    fn send_received_file(
        &mut self,
        file: BorrowedFd<'_>,
        offset: u64,
        length: u64,
        flags: Send,
    ) -> Result<(), FlowError> {
        self.send_file(file.as_raw_fd(), offset, length, flags)
    }

    /// Whether lines of this level are written to the log of this request.
    fn wants(&self, level: Level) -> bool;

    /// Whether the rest of the reply is of use. When it is not, the worker's connection is given up, and the reply counts
    /// as sent. Asked whenever some of it has come, and about once a second.
    fn wants_more(&self) -> bool;

    /// The answer will be 503 and is to say when to come again.
    fn set_retry_after(&mut self, delay: Duration);

    /// Bounds each write to the client from now on.
    fn set_send_timeout(&mut self, limit: Duration);
}

/// Where a reply goes: the part of an exchange that takes.
pub trait ReplySink {
    /// Takes status and headers; called once, before what follows.
    fn take_head(&mut self, head: &Head<'_>) -> Result<(), FlowError>;

    /// Takes bytes of the body, which are not kept after the call.
    fn take_blocks(&mut self, blocks: &[Bytes<'_>], flags: Send) -> Result<(), FlowError>;

    /// Takes a part of a regular file, offset and length in bytes.
    fn take_file(&mut self, file: OwnedFd, offset: u64, length: u64, flags: Send) -> Result<(), FlowError>;

    /// Takes a line for the request's log.
    fn take_line(&mut self, level: Level, line: &[u8]);

    /// Whether lines of this level are written.
    fn wants_line(&self, level: Level) -> bool;
}

impl<E: ServerExchange> ReplySink for E {
    fn take_head(&mut self, head: &Head<'_>) -> Result<(), FlowError> {
        self.send_head(head)
    }

    fn take_blocks(&mut self, blocks: &[Bytes<'_>], flags: Send) -> Result<(), FlowError> {
        self.send(blocks, flags)
    }

    fn take_file(&mut self, file: OwnedFd, offset: u64, length: u64, flags: Send) -> Result<(), FlowError> {
        self.send_received_file(file.as_fd(), offset, length, flags)
    }

    fn take_line(&mut self, level: Level, line: &[u8]) {
        self.log(level, line);
    }

    fn wants_line(&self, level: Level) -> bool {
        self.wants(level)
    }
}
