//! The gateway: PEP 3333, in safe Rust. Knows no server and does not name CPython's C API.
//!
//! [`serve`] takes a request from start to finish; the rest are what it uses, each file one noun.

#![forbid(unsafe_code)]

mod application;
mod callable;
mod callbacks;
mod embedded_module;
mod environ;
mod error_log;
mod file_wrapper;
mod header_keys;
mod host;
mod imported;
mod input;
mod loading;
mod log_handler;
mod oversight;
mod place;
mod process;
mod read_ahead;
mod reply;
mod report;
mod restrict;
mod script;
mod serve;
mod settings;
mod stack_dump;
mod start_response;
mod toolkit;
mod traceback;
mod transaction;
mod turn;
mod types;
mod watch;

pub use crate::python::leave as leave_thread;
pub use callbacks::Event;
pub use loading::is_any_loaded;
pub use oversight::{interrupt, log_stacks, take_lock};
pub use process::{adopt, finish, import, publish, start, stop};
pub use serve::serve;
pub use settings::Settings;
pub use stack_dump::write as write_stacks;
pub use watch::Watch;
