//! The signals of the supervisor: the ends of its children, and being asked to end. What a server's processes are told by signals
//! is not meant for it.

#![forbid(unsafe_code)]

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::{flag, low_level};

/// A signal that can be waited for like anything else.
#[derive(Debug)]
pub struct Signal(UnixStream);

/// Those that mean something.
#[derive(Debug)]
pub struct Signals {
    /// A child may have ended.
    pub child: Signal,
    /// Somebody wants us to end.
    pub end: Signal,
}

impl Signals {
    /// From here on none ends the process unasked. Handlers, not `SIG_IGN`, which the programs that we start would inherit.
    pub fn catch() -> io::Result<Self> {
        let signals = Self { child: Signal::of(&[SIGCHLD])?, end: Signal::of(&[SIGTERM, SIGINT])? };
        for ignored in [SIGHUP, SIGUSR1, SIGUSR2] {
            flag::register(ignored, Arc::new(AtomicBool::new(false)))?;
        }
        Ok(signals)
    }
}

impl Signal {
    fn of(numbers: &[i32]) -> io::Result<Self> {
        let (ours, handlers) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        for number in numbers {
            low_level::pipe::register(*number, handlers.try_clone()?)?;
        }
        Ok(Self(ours))
    }

    /// Forgets those that have come.
    pub fn clear(&self) {
        let mut buffer = [0; 64];
        while (&self.0).read(&mut buffer).is_ok_and(|count| count == buffer.len()) {}
    }
}

impl AsFd for Signal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
