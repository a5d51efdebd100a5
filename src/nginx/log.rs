//! Lines for nginx's error logs.

#![allow(unsafe_code, reason = "calls nginx's log functions")]

use std::ffi::CString;
use std::fmt::Display;

use oxwsgi_core::report::{Level, Number};

use crate::nginx::ffi;

/// nginx cuts an entry at 2048 bytes with what it puts before and behind it: longer lines go on in another.
const LONGEST: usize = 1800;

handle! {
    /// A log, of a request, a connection, a configuration or the process, that outlives `'a`.
    Log of ngx_log_t
}

impl Log<'_> {
    /// Whether a line of `level` is written.
    #[inline]
    pub fn wants(self, level: Level) -> bool {
        // SAFETY: the handle's log is alive; read by value.
        unsafe { (*self.as_raw()).log_level >= native(level) }
    }

    /// Writes a message.
    pub fn write(self, level: Level, message: impl Display) {
        if self.wants(level) {
            self.line(level, message.to_string().as_bytes());
        }
    }

    /// Writes a line as it is, a NUL in it spelled out.
    pub fn line(self, level: Level, line: &[u8]) {
        if !self.wants(level) {
            return;
        }
        let mut chunks = line.chunks(LONGEST);
        self.chunk(level, chunks.next().unwrap_or_default());
        chunks.for_each(|chunk| self.chunk(level, chunk));
    }

    /// Writes lines that do not say what nginx was doing ("while reading upstream").
    pub fn without_action(self, write: impl FnOnce(Self)) {
        let raw = self.as_raw();
        // SAFETY: the handle's log is alive; read by value.
        let action = unsafe { (*raw).action };
        // SAFETY: as above; nginx leaves out what is not there.
        unsafe { (*raw).action = std::ptr::null_mut() };
        write(self);
        // SAFETY: as above.
        unsafe { (*raw).action = action };
    }

    fn chunk(self, level: Level, chunk: &[u8]) {
        let text = CString::new(chunk).unwrap_or_else(|error| {
            let spelled = error.into_vec().split(|byte| *byte == 0).collect::<Vec<_>>().join(&b"\\x00"[..]);
            CString::new(spelled).unwrap_or_default()
        });
        // SAFETY: the handle's log is alive; the format takes one C text.
        unsafe {
            ffi::ngx_log_error_core(native(level), self.as_raw(), 0, c"%s".as_ptr(), text.as_ptr());
        }
    }
}

/// nginx's number for a level (`ngx_log.h`).
pub const fn native(level: Level) -> ffi::ngx_uint_t {
    match level {
        Level::Emergency => ffi::NGX_LOG_EMERG,
        Level::Alert => ffi::NGX_LOG_ALERT,
        Level::Critical => ffi::NGX_LOG_CRIT,
        Level::Error => ffi::NGX_LOG_ERR,
        Level::Warning => ffi::NGX_LOG_WARN,
        Level::Notice => ffi::NGX_LOG_NOTICE,
        Level::Info => ffi::NGX_LOG_INFO,
        Level::Debug | Level::Trace => ffi::NGX_LOG_DEBUG,
    }
}

/// Writes that a function of ours panicked, with the panic's message.
pub fn panicked(message: &str) {
    const NUMBER: Number = Number(1104);
    // SAFETY: read by value; nginx sets it before it calls any module.
    let cycle = unsafe { ffi::ngx_cycle };
    if cycle.is_null() {
        return;
    }
    // SAFETY: not null, so the cycle in force, whose log lives as long.
    let log = unsafe { Log::from_raw((*cycle).log) };
    log.write(
        Level::Critical,
        format_args!("{NUMBER}: this is a defect in oxwsgi, please report it: {message}"),
    );
}
