//! What a process does to itself: its locale, its end, its share of what it inherited.

#![allow(unsafe_code, reason = "functions of the C library without a safe interface")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Another descriptor for what the number of an inherited one stands for. Neither is inherited any further.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers; a new descriptor takes nothing from whoever owns the number.
    let duplicate = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if duplicate < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: plain numbers, the first of an open descriptor.
    unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    // SAFETY: a descriptor just made, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(duplicate) })
}

/// Sets all of the process's locale; false when the system does not have it.
///
/// # Safety
/// No other thread runs.
pub unsafe fn set_locale(name: &CStr) -> bool {
    // SAFETY: C text; the rest is the caller's word.
    !unsafe { libc::setlocale(libc::LC_ALL, name.as_ptr()) }.is_null()
}

/// Ends the process at once, with no exit handler and no flush.
pub fn end_now(code: i32) -> ! {
    // SAFETY: a plain number, and nothing comes after.
    unsafe { libc::_exit(code) }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, IntoRawFd};

    use super::*;

    #[test]
    fn an_inherited_descriptor_is_shared_and_a_wrong_number_is_an_error() {
        let (reader, writer) = io::pipe().unwrap();
        let number = reader.into_raw_fd();
        let duplicate = inherited(number).unwrap();
        assert_ne!(duplicate.as_raw_fd(), number);
        assert!(inherited(9999).is_err());
        drop(writer);
        // SAFETY: taken out of its owner above.
        drop(unsafe { OwnedFd::from_raw_fd(number) });
    }
}
