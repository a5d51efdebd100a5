//! The Python side of oxwsgi: interpreters and the WSGI protocol (PEP 3333). Knows no server.
//!
//! [`python`] is a thin safe layer over CPython's C API; [`wsgi`] is the gateway, safe Rust on top of it; [`entry`] is
//! the function table that the server's module finds in this library.

mod entry;
mod python;
mod wsgi;
