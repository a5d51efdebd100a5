//! The two byte flows of a request: its body coming in, its reply going out.
//!
//! The runtime drives, the exchange obeys: whoever serves a request calls these, and an exchange never calls Python.
//! Implementors: the server's adapters, and memory for tests. All calls may block, so callers detach from Python first.

mod flusher;
mod lease;
mod memory;
mod outflow;
mod remote;
mod reply_head;

pub use lease::{Lease, Revoked};
pub use memory::MemoryExchange;
pub use outflow::{Outflow, SendError, send};
pub use remote::{ExchangeTable, RemoteExchange};
pub use reply_head::{HeadError, ReplyHead};
pub(crate) use reply_head::{check_field, check_status};

use std::ops::{BitOr, BitOrAssign};

use crate::borrowed::{Bytes, Slice};
use crate::report::Level;
use crate::request::Field;

/// Status line and headers of a reply. The runtime has validated them (PEP 3333, "The start_response() Callable").
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// 200 to 999.
    pub status: u16,
    /// `200 OK`: the code, and after a blank the reason when there is one.
    pub status_line: Bytes<'a>,
    /// In the application's order, duplicates kept. Neither name nor value holds CR, LF or NUL.
    pub headers: Slice<'a, Field<'a>>,
    /// Body length in bytes, from the application's own `Content-Length` (then also among `headers`) or because the
    /// whole body is known; -1 when neither.
    pub content_length: i64,
}

/// How a [`Exchange::send`] goes on.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Send(pub u32);

impl Send {
    /// More may follow soon; the server may hold these bytes back.
    pub const MORE: Self = Self(0);
    /// On their way to the client before the call returns.
    pub const FLUSH: Self = Self(1);
    /// The reply is complete after these bytes.
    pub const LAST: Self = Self(2);
    /// With [`LAST`](Self::LAST): nothing of the application runs for this request any more, so whoever waits for a
    /// free thread may count on this one.
    pub const DONE: Self = Self(4);

    /// Whether all flags of `other` are set.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Send {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Send {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Why a flow failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlowError {
    /// The client has gone; nobody is at fault.
    #[error("the client closed the connection")]
    ClientGone,
    /// The server could not read or write; [`Exchange::error_text`] says why.
    #[error("the server could not go on with the connection")]
    Failed,
}

/// How a request ended, for the adapter to finish it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reply is complete.
    Sent,
    /// Nothing was sent; the server answers with this status itself.
    Refused(u16),
    /// The head was sent and the body cannot be completed: break the connection, so that the client can tell.
    Broken,
    /// The client left before the end.
    ClientGone,
    /// The application was not called and this process will not call it: another one may take the request.
    Retry(RetryReason),
}

/// Why a process does not take a request that another one can take.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryReason {
    /// The script has changed since this process loaded it.
    Reload = 1,
    /// The process is ending.
    Stopping = 2,
    /// It has waited for a thread too long (`queue-timeout`), so nobody takes it any more.
    TooOld = 3,
}

/// The byte flows of one request. Used by one thread at a time.
pub trait Exchange {
    /// The application is about to be called: from now on the request must not be given to another process. Called
    /// once, attached to Python, so it neither blocks nor allocates.
    fn accepted(&mut self) {}

    /// Reads up to `buffer.len()` bytes of the request body, blocking until there are some; 0 is the end.
    ///
    /// An empty buffer reads nothing but lets the server send `100 Continue`.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, FlowError>;

    /// Takes status and headers; called once, before the first `send`.
    fn send_head(&mut self, head: &Head<'_>) -> Result<(), FlowError>;

    /// Sends body bytes; the blocks are not kept after the call.
    fn send(&mut self, blocks: &[Bytes<'_>], flags: Send) -> Result<(), FlowError>;

    /// Sends `length` bytes of a regular file from `offset`. The descriptor stays the caller's and may be closed
    /// after the call.
    fn send_file(&mut self, descriptor: i32, offset: u64, length: u64, flags: Send) -> Result<(), FlowError>;

    /// Writes one line of text (no newline) to the log of this request.
    fn log(&mut self, level: Level, line: &[u8]);

    /// What made the last call fail, in the operating system's or server's words.
    fn error_text(&mut self) -> String;
}
