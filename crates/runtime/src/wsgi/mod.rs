//! The gateway: PEP 3333, in safe Rust. Knows no server and does not name CPython's C API.
//!
//! [`serve`] takes a request from start to finish; the rest are what it uses, each file one noun.

#![forbid(unsafe_code)]

mod application;
mod embedded_module;
mod environ;
mod error_log;
mod file_wrapper;
mod header_keys;
mod host;
mod input;
mod log_handler;
mod place;
mod process;
mod read_ahead;
mod reply;
mod report;
mod restrict;
mod script;
mod serve;
mod settings;
mod start_response;
mod toolkit;
mod traceback;
mod transaction;
mod turn;
mod types;

pub use process::{import, start, stop};
pub use serve::serve;
