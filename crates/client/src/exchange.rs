//! What a client needs of a request's exchange beyond what the runtime needs in embedded mode.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use oxwsgi_core::exchange::{Exchange, FlowError};
use oxwsgi_core::report::Level;

/// The exchange of a request that goes on to another process. Used by one thread at a time.
pub trait ServerExchange: Exchange {
    /// Reads up to `buffer.len()` bytes of the request body if there are any now; `None` when there are none yet, and
    /// 0 is the end. Called at least once a second while a body is awaited, so that it can tell when the client has had
    /// time enough.
    fn try_read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, FlowError>;

    /// What becomes readable when [`try_read`](Self::try_read) may have more; `None` where there is no such thing
    /// (HTTP/2), and it is tried again and again.
    fn body_descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Whether lines of this level are written to the log of this request.
    fn wants(&self, level: Level) -> bool;

    /// The answer will be 503 and is to say when to come again.
    fn set_retry_after(&mut self, delay: Duration);

    /// Bounds each write to the client from now on.
    fn set_send_timeout(&mut self, limit: Duration);
}
