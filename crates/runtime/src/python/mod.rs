//! A thin safe layer over CPython's C API, the only place that names it.
//!
//! PyO3's safe types assume one interpreter per process; these do not. *Attached is a token, owned is a type, raised is
//! a value*: [`Attached`] proves that this thread may use Python objects, [`Obj`] owns one and cannot outlive the
//! token, [`Held`] keeps one between requests, [`Raised`] says that an exception is set. What is built on it
//! ([`crate::wsgi`]) is safe Rust.
//!
//! Only symbols of the stable ABI of 3.10 are linked, and the few of [`raw`] that every CPython since exports.

#![allow(unsafe_code, reason = "calls CPython's C API")]

mod arguments;
mod attached;
mod bytes;
mod call;
mod class;
mod configuration;
mod dict;
mod ending;
mod entrance;
mod error;
mod extension;
mod gilstate;
mod instance;
mod interpreter;
mod maker;
mod module;
mod number;
mod object;
mod raw;
mod script;
mod sequence;
mod text;
mod thread;
mod trampoline;

pub use arguments::{Args, Keywords};
pub use attached::Attached;
pub use bytes::BytesBuffer;
pub use class::{Class, Method, Property, Slots, Type, method, property};
pub use configuration::{Configuration, HashSeed, start};
pub use entrance::leave;
pub use error::{Exception, PyResult, Raised, RaisedException};
pub use extension::{Definition, define};
pub use interpreter::{Interpreter, Interpreters};
pub use maker::Maker;
pub use module::Module;
pub use object::{Held, Obj};
pub use sequence::Blocks;
pub use thread::ThreadId;
pub use trampoline::Visitor;
