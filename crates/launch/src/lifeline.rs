//! What tells supervisors and workers that the server lives.

#![allow(unsafe_code, reason = "descriptors known by their numbers")]

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// A pipe that ends with the server's parent process, however that ends: nobody else holds its write end. Made once in the
/// life of a server, and never closed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifeline {
    /// What supervisors and workers watch.
    pub read: RawFd,
    /// What only the parent keeps.
    pub write: RawFd,
}

impl Lifeline {
    /// A new pipe.
    pub fn new() -> io::Result<Self> {
        let (read, write) = io::pipe()?;
        Ok(Self { read: OwnedFd::from(read).into_raw_fd(), write: OwnedFd::from(write).into_raw_fd() })
    }

    /// For a child of the parent: the pipe is none of its business.
    ///
    /// # Safety
    /// The process is a copy of the one that made the pipe, and closes it this once.
    pub unsafe fn close(self) {
        for number in [self.read, self.write] {
            // SAFETY: the caller's word: open, and nobody else's.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
}
