//! Run with `cargo +nightly fuzz run --features libfuzzer message`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oxwsgi_fuzz::message(bytes));
