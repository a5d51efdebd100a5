//! Run with `cargo +nightly fuzz run --features libfuzzer reply`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oxwsgi_fuzz::reply(bytes));
