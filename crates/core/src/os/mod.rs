//! What the operating system is asked for beyond the standard library. Each function is a safe one over one call.

pub mod file;
