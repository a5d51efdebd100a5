//! What has become of the process at the other end of a broken connection.

use std::fmt;
use std::time::{Duration, Instant};

use oxwsgi_core::daemon::board::{Board, State};
use oxwsgi_core::os::WaitStatus;
use oxwsgi_core::wire::Hello;

/// How long to wait for the supervisor to learn of an end and to write it down.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// Between two looks.
pub const LOOK: Duration = Duration::from_millis(2);

/// How it went. Displayed as the first half of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The process has ended.
    Ended(u32, WaitStatus),
    /// It has ended, and another one has its place already.
    Replaced(u32),
    /// It goes on without the connection.
    Closed(u32),
    /// Nobody has said whose connection it was.
    Nobody,
}

impl Ending {
    /// Whether the process is seen to have ended, though somebody may hold its end of the connection open.
    pub fn has_come(board: &Board, hello: Hello) -> bool {
        board
            .process(hello.slot)
            .is_some_and(|process| process.pid() != hello.pid || process.state() == State::Dead)
    }

    /// Finds out; waits a moment for the supervisor.
    pub fn find(board: Option<&Board>, hello: Option<Hello>) -> Self {
        let start = Instant::now();
        loop {
            // Before the look: however long this thread is kept from it, the last one comes after all that was waited for.
            let is_last = start.elapsed() >= PATIENCE;
            let found = Self::look(board, hello);
            if is_last || !found.may_change(board) {
                return found;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// What is known now.
    pub fn look(board: Option<&Board>, hello: Option<Hello>) -> Self {
        let Some(hello) = hello else { return Self::Nobody };
        let process = board.and_then(|board| board.process(hello.slot));
        let Some(process) = process else { return Self::Closed(hello.pid) };
        let (state, status) = (process.state(), process.wait_status());
        if process.pid() != hello.pid {
            Self::Replaced(hello.pid)
        } else if state == State::Dead {
            Self::Ended(hello.pid, WaitStatus(status))
        } else {
            Self::Closed(hello.pid)
        }
    }

    /// Whether another look, within [`PATIENCE`], may find more.
    pub const fn may_change(self, board: Option<&Board>) -> bool {
        matches!(self, Self::Closed(_)) && board.is_some()
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(pid, status) => write!(f, "its process (pid={pid}) has ended with {status}"),
            Self::Replaced(pid) => write!(f, "its process (pid={pid}) has ended"),
            Self::Closed(pid) => write!(f, "its process (pid={pid}) has closed the connection"),
            Self::Nobody => f.write_str("one of its processes has closed the connection"),
        }
    }
}
