//! What a Python home holds, found out by asking its own `python` once.
//!
//! A home is the site's, so its program runs as the account that will run it later, never as root, and its answer is
//! somebody else's word: bounded, and checked before it is believed. Where the answer goes is the caller's affair.

mod answer;
mod error;
mod question;
mod runtime;

pub use answer::Python;
pub use error::{HomeError, Reason, Runner};
pub use question::{Asked, Question};
pub use runtime::RuntimeFiles;
