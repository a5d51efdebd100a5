//! Lines for httpd's error log, as module `wsgi` (so `LogLevel wsgi:info` governs them).

#![allow(unsafe_code, reason = "calls httpd's log functions")]

use std::ffi::c_int;
use std::fmt::Display;
use std::ptr;

use oxwsgi_core::report::{Level, Number};

use crate::apache::ffi;
use crate::apache::pool::Pool;
use crate::apache::record::{Request, Server};

/// httpd cuts entries far below this.
const LONGEST: usize = 64 * 1024;

/// Whether a line of `level` about `request` is written.
pub fn wants_request(request: Request<'_>, level: Level) -> bool {
    // SAFETY: the handle's record is alive.
    let written = unsafe { ffi::shim_log_level_request(request.as_raw()) };
    level as c_int <= written
}

/// Whether a line of `level` about `server` is written.
pub fn wants_server(server: Server<'_>, level: Level) -> bool {
    // SAFETY: the handle's record is alive.
    let written = unsafe { ffi::shim_log_level_server(server.as_raw()) };
    level as c_int <= written
}

/// Writes about a request.
pub fn request(request: Request<'_>, level: Level, message: impl Display) {
    if wants_request(request, level) {
        request_line(request, level, message.to_string().as_bytes());
    }
}

/// Writes a line about a request as it is.
pub fn request_line(request: Request<'_>, level: Level, line: &[u8]) {
    let (start, length) = parts(line);
    // SAFETY: the handle's record is alive; httpd reads `length` bytes and stops early at a NUL.
    unsafe { ffi::shim_log_request(request.as_raw(), level as c_int, start, length) }
}

/// Writes about a server, outside any request.
pub fn server(server: Server<'_>, level: Level, message: impl Display) {
    if wants_server(server, level) {
        server_line(server, level, message.to_string().as_bytes());
    }
}

/// Writes a line about a server as it is.
pub fn server_line(server: Server<'_>, level: Level, line: &[u8]) {
    let (start, length) = parts(line);
    // SAFETY: the handle's record is alive; httpd reads `length` bytes and stops early at a NUL.
    unsafe { ffi::shim_log_server(server.as_raw(), level as c_int, start, length) }
}

/// Writes that a function of ours panicked, with the panic's message.
pub fn panicked(message: &str) {
    // SAFETY: read by value; httpd sets it before it calls any module.
    let main = unsafe { ffi::ap_server_conf };
    if !main.is_null() {
        // SAFETY: not null, so the main server's record, which lives as long as its configuration.
        let main = unsafe { Server::from_raw(main) };
        const NUMBER: Number = Number(1104);
        server(
            main,
            Level::Critical,
            format_args!("{NUMBER}: this is a defect in oxwsgi, please report it: {message}"),
        );
    }
}

/// Writes while the configuration is read and there is no server yet: to the terminal and the log.
pub fn process(pool: Pool<'_>, level: Level, message: impl Display) {
    let text = message.to_string();
    let (start, length) = parts(text.as_bytes());
    // SAFETY: the pool is alive; httpd reads `length` bytes and stops early at a NUL.
    unsafe { ffi::shim_log_process(pool.as_raw(), level as c_int, start, length) }
}

/// The level that httpd is told to write for this module outside any virtual host.
pub fn main_server_level() -> Level {
    // SAFETY: read by value; httpd sets it before it calls any module.
    let main = unsafe { ffi::ap_server_conf };
    if main.is_null() {
        return Level::Notice;
    }
    // SAFETY: not null, so the main server's record, which lives as long as its configuration.
    server_level(unsafe { Server::from_raw(main) })
}

/// The level that httpd is told to write for this module about a server.
pub fn server_level(server: Server<'_>) -> Level {
    // SAFETY: the handle's record is alive.
    let level = unsafe { ffi::shim_log_level_server(server.as_raw()) };
    // httpd has levels beyond ours.
    u8::try_from(level.max(0)).ok().and_then(Level::of).unwrap_or(Level::Trace)
}

fn parts(line: &[u8]) -> (*const std::ffi::c_char, c_int) {
    if line.is_empty() {
        return (ptr::from_ref(c"").cast(), 0);
    }
    (line.as_ptr().cast(), line.len().min(LONGEST) as c_int)
}
