//! What a process does to itself: its locale, its end.

#![allow(unsafe_code, reason = "functions of the C library without a safe interface")]

use std::ffi::CStr;

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
