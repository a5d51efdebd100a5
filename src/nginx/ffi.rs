//! nginx's C interface as bindgen reads it, and the shims of `include/nginx_shim.c`.
//!
//! The only place that declares their symbols. Used by this folder only.

#![allow(
    dead_code,
    missing_debug_implementations,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unsafe_code,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::missing_safety_doc,
    reason = "generated from C headers, whose names and documentation are nginx's"
)]

include!(concat!(env!("OUT_DIR"), "/nginx.rs"));
