//! Descriptors that a process keeps from processes that it forks without executing anything, as applications do. A copy of a
//! connection in such a child would keep its peer from seeing that the process has ended, and let two processes answer it.

#![allow(unsafe_code, reason = "runs in a forked child, where there is only the C library")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Higher numbers are not kept; the limit of most processes is lower (`RLIMIT_NOFILE`).
const NUMBERS: usize = 4096;

// Set in a forked child, once anything is withheld.
static FORKED: AtomicBool = AtomicBool::new(false);

// A bit for each number.
static WITHHELD: [AtomicU64; NUMBERS / 64] = [const { AtomicU64::new(0) }; NUMBERS / 64];

/// Has forked children find nothing behind this number, until it is [given up](release).
pub fn withhold(number: RawFd) -> io::Result<()> {
    static HANDLER: OnceLock<i32> = OnceLock::new();
    let code = *HANDLER.get_or_init(|| {
        // SAFETY: a function that keeps to what is allowed in a forked child.
        unsafe { libc::pthread_atfork(None, None, Some(replace_all)) }
    });
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code));
    }
    if let Some((word, bit)) = place(number) {
        word.fetch_or(bit, Ordering::Relaxed);
    }
    Ok(())
}

/// Whether this is a forked child of the process that withholds something.
#[inline]
pub fn is_in_forked_child() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Called before the descriptor is closed.
pub fn release(number: RawFd) {
    if let Some((word, bit)) = place(number) {
        word.fetch_and(!bit, Ordering::Relaxed);
    }
}

/// A connected socket that forked children do not get.
#[derive(Debug)]
pub struct Connected(OwnedFd);

impl Connected {
    /// From now on; a child that was forked just before has a copy.
    pub fn new(socket: OwnedFd) -> Self {
        // What a process cannot keep from its children it shares with them.
        let _ = withhold(socket.as_raw_fd());
        Self(socket)
    }
}

impl AsFd for Connected {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        // A child that is forked between here and the close has a copy, which must not keep the peer waiting.
        let _ = rustix::net::shutdown(&self.0, rustix::net::Shutdown::Both);
        release(self.0.as_raw_fd());
    }
}

fn place(number: RawFd) -> Option<(&'static AtomicU64, u64)> {
    let number = usize::try_from(number).ok()?;
    WITHHELD.get(number / 64).map(|word| (word, 1 << (number % 64)))
}

/// In the child. Each number stays in use, for who takes it for what it was must not meet another file.
extern "C" fn replace_all() {
    FORKED.store(true, Ordering::Relaxed);
    // SAFETY: C text and a plain number.
    let null = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
    for (index, word) in WITHHELD.iter().enumerate() {
        let mut bits = word.load(Ordering::Relaxed);
        while bits != 0 {
            let number = (index * 64) as RawFd + bits.trailing_zeros() as RawFd;
            bits &= bits - 1;
            // SAFETY: plain numbers.
            let replaced = null >= 0 && unsafe { libc::dup3(null, number, libc::O_CLOEXEC) } >= 0;
            if !replaced {
                // SAFETY: plain numbers; in this process it is nobody's who would miss it.
                unsafe { libc::close(number) };
            }
        }
    }
    if null >= 0 {
        // SAFETY: opened above.
        unsafe { libc::close(null) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::os::process::end_now;

    #[test]
    fn a_forked_child_has_something_else_behind_the_number() {
        let (kept, mut kept_writer) = io::pipe().unwrap();
        let (given, mut given_writer) = io::pipe().unwrap();
        withhold(kept.as_raw_fd()).unwrap();
        withhold(given.as_raw_fd()).unwrap();
        release(given.as_raw_fd());
        kept_writer.write_all(b"x").unwrap();
        given_writer.write_all(b"x").unwrap();
        // SAFETY: the child reads, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let mut byte = [0];
            let is_kept = matches!(File::from(std::os::fd::OwnedFd::from(kept)).read(&mut byte), Ok(0));
            let is_given = matches!(File::from(std::os::fd::OwnedFd::from(given)).read(&mut byte), Ok(1));
            end_now(i32::from(!(is_kept && is_given && is_in_forked_child())));
        }
        let mut status = 0;
        // SAFETY: writes the status to our own variable.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 && !is_in_forked_child());
        release(kept.as_raw_fd());
    }

    #[test]
    fn a_copy_of_a_connection_keeps_nobody_waiting() {
        let (mut peer, socket) = UnixStream::pair().unwrap();
        let copy = socket.try_clone().unwrap();
        let number = socket.as_raw_fd();
        let is_withheld = || place(number).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0);
        let connected = Connected::new(socket.into());
        assert!(is_withheld());
        drop(connected);
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        drop(copy);
    }
}
