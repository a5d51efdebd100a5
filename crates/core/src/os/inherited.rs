//! Descriptors that a program was started with, known by their numbers.

#![allow(unsafe_code, reason = "works on descriptor numbers")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// A copy of the inherited descriptor of this number. The one of that number stays open, for nobody can know who else uses
/// it, and neither goes to the programs that we start.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers, which the kernel checks.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor just made, and nobody else's.
    let copy = unsafe { OwnedFd::from_raw_fd(copy) };
    if number > libc::STDERR_FILENO {
        // SAFETY: plain numbers; the descriptor is open, as the copy shows.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_closed_number_is_refused() {
        let (pipe, _writer) = io::pipe().unwrap();
        let copy = inherited(pipe.as_raw_fd()).unwrap();
        assert_ne!(copy.as_raw_fd(), pipe.as_raw_fd());
        assert!(inherited(-1).is_err());
        assert!(inherited(1_000_000).is_err());
    }
}
