//! How long a worker may give no sign of life (`socket-timeout`): bytes of a body that move, in either direction, and
//! whole frames that say something. A part of a frame is none, and neither is an empty piece of a body; a line for the
//! log is one, so that an application that works for long can say so.

use std::time::{Duration, Instant};

/// The longest that nobody looks whether the process is still there: children that it has left behind may hold the
/// connection open.
pub const LOOK: Duration = Duration::from_secs(1);

/// The patience with one request on one connection.
#[derive(Debug)]
pub struct Patience {
    limit: Option<Duration>,
    /// When there was a sign last.
    since: Instant,
}

impl Patience {
    /// From now on; without a limit for ever.
    pub fn new(limit: Option<Duration>) -> Self {
        Self { limit, since: Instant::now() }
    }

    /// There was a sign.
    pub fn renew(&mut self) {
        self.since = Instant::now();
    }

    /// Whether there was none for too long.
    pub fn is_over(&self) -> bool {
        self.limit.is_some_and(|limit| self.since.elapsed() >= limit)
    }
}

/// How long to wait before the next look at the clock and at the process.
pub fn look(limit: Option<Duration>) -> Duration {
    limit.map_or(LOOK, |limit| limit.min(LOOK))
}
