//! Run with `cargo +nightly fuzz run --features libfuzzer body`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oxwsgi_fuzz::body(bytes));
