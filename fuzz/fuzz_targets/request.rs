//! Run by `make fuzz`, from what `oxwsgi_fuzz::seeds` has for it on.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oxwsgi_fuzz::request(bytes));
