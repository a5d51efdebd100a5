//! The Python side of oxwsgi: interpreters and the WSGI protocol (PEP 3333). Knows no server.
//!
//! [`python`] is a thin safe layer over CPython's C API; [`wsgi`] is the gateway, safe Rust on top of it; [`worker`] is a
//! daemon process around it; [`entry`] is what others find in this library: the server's module a function table, and a
//! `python` an extension module.

mod entry;
mod python;
mod worker;
mod wsgi;
