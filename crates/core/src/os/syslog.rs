//! The system's log (`syslog(3)`).

#![allow(unsafe_code, reason = "calls the C library's syslog")]

use std::ffi::CString;

use libc::c_int;

/// Writes a line with this facility (`LOG_DAEMON`, ...) and severity (0 to 7). What follows a NUL is lost.
pub fn write(facility: c_int, severity: u8, line: &[u8]) {
    let end = line.iter().position(|byte| *byte == 0).unwrap_or(line.len());
    let Ok(line) = CString::new(&line[..end]) else { return };
    // SAFETY: a constant format for one C text, which is one.
    unsafe { libc::syslog(facility | c_int::from(severity.min(7)), c"%s".as_ptr(), line.as_ptr()) };
}

/// Names the lines of this process; for its lifetime.
pub fn open(name: &'static std::ffi::CStr) {
    // SAFETY: C text that lives as long as the process, which is what the C library keeps.
    unsafe {
        libc::openlog(name.as_ptr(), libc::LOG_NDELAY | libc::LOG_CONS | libc::LOG_PID, libc::LOG_DAEMON)
    };
}
