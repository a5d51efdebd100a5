//! What a forked child does before it executes a program, whatever the program: descriptors, signals. Between fork and exec
//! nothing may allocate or take a lock (POSIX.1-2017, `fork`), and nothing in here does.

#![allow(unsafe_code, reason = "works on descriptor numbers and signal dispositions")]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// Our ends of what a child is given stay clear of the numbers that it gives away.
const CLEAR: c_int = 10;

/// A copy of a descriptor with a number of at least [`CLEAR`]. For the parent.
pub(super) fn clear(descriptor: &impl AsRawFd) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    let copy = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_DUPFD_CLOEXEC, CLEAR) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor just made, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Makes `descriptors` numbers 0, 1, 2 and so on, the last one close-on-exec, and closes all others. They are [`clear`]
/// ones, or the first is not.
pub(super) fn take_descriptors(descriptors: &[RawFd]) {
    let mut count = 0;
    for descriptor in descriptors {
        // SAFETY: plain numbers; none of those to come is overwritten, for they are clear.
        unsafe { libc::dup2(*descriptor, count) };
        count += 1;
    }
    // SAFETY: plain numbers.
    unsafe { libc::fcntl(count - 1, libc::F_SETFD, libc::FD_CLOEXEC) };
    close_from(count);
}

/// No signal has a handler of the process that was forked, or is ignored or blocked as there.
pub fn reset_signals() {
    // Real-time signals too: `ignored` is inherited by a program.
    for signal in 1..=64 {
        // SAFETY: plain numbers; those that are no signal, or cannot be changed, are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: a signal set is plain memory, and all zero bytes are one.
    let mut none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: writes to our own set.
    unsafe { libc::sigemptyset(&raw mut none) };
    // SAFETY: reads our own set.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) };
}

fn close_from(first: RawFd) {
    #[cfg(target_os = "linux")]
    // SAFETY: plain numbers (`close_range(2)`, Linux 5.9).
    if unsafe { libc::syscall(libc::SYS_close_range, first, c_int::MAX, 0) } == 0 {
        return;
    }
    // SAFETY: a plain number.
    let limit = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
    for descriptor in first..limit.clamp(0, 65_536) as c_int {
        // SAFETY: plain numbers; those that are not open are refused.
        unsafe { libc::close(descriptor) };
    }
}
