//! What a process does to itself: its locale, its end.

#![allow(unsafe_code, reason = "functions of the C library without a safe interface")]

/// Ends the process at once, with no exit handler and no flush.
pub fn end_now(code: i32) -> ! {
    // SAFETY: a plain number, and nothing comes after.
    unsafe { libc::_exit(code) }
}
