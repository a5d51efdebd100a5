//! A directive's arguments as words, quotes and backslashes resolved by httpd itself.

use std::ffi::c_char;

use crate::apache::ffi;
use crate::apache::pool::Pool;
use crate::apache::record;

/// Splits `arguments`. The first `plain` words may be quoted whole; of the others, which are `name=value`, the value
/// may be.
///
/// # Safety
/// `arguments` is C text.
pub unsafe fn split<'p>(pool: Pool<'p>, arguments: *const c_char, plain: usize) -> Vec<&'p [u8]> {
    // SAFETY: the caller passes C text, which `c_text` copies; the copy lives as long as the pool.
    let text = unsafe { record::bytes::<'p>(arguments) }.unwrap_or_default();
    let mut rest = pool.c_text(text).cast_const();
    let mut words = Vec::new();
    loop {
        // SAFETY: `rest` points into the copy, at or before its NUL.
        let line = unsafe { record::bytes::<'p>(rest) }.unwrap_or_default();
        let blanks = line.iter().take_while(|byte| is_blank(**byte)).count();
        let line = &line[blanks..];
        if line.is_empty() {
            return words;
        }
        let name = if words.len() < plain { 0 } else { name_length(line) };
        // SAFETY: both are lengths of parts of `line`, which ends before the NUL.
        rest = unsafe { rest.add(blanks + name) };
        if name == 0 {
            // SAFETY: `rest` is C text in the pool.
            words.push(unsafe { next(pool, &mut rest) });
            continue;
        }
        let value: &[u8] = match line.get(name) {
            // The next word is no value of this one.
            None => b"",
            Some(byte) if is_blank(*byte) => b"",
            // SAFETY: `rest` is C text in the pool.
            Some(_) => unsafe { next(pool, &mut rest) },
        };
        let word = pool.c_text(&[&line[..name], value].concat());
        // SAFETY: C text in the pool, just made.
        words.extend(unsafe { record::bytes::<'p>(word) });
    }
}

/// Length of `name=` at the start of an option; 0 when the word has no `=`.
fn name_length(line: &[u8]) -> usize {
    match line.iter().position(|byte| *byte == b'=' || is_blank(*byte)) {
        Some(at) if line[at] == b'=' => at + 1,
        _ => 0,
    }
}

/// What httpd takes for the space between words.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'\x0b'
}

/// # Safety
/// `rest` is C text in the pool.
unsafe fn next<'p>(pool: Pool<'p>, rest: &mut *const c_char) -> &'p [u8] {
    // SAFETY: the caller passes C text; httpd moves `rest` on within it.
    let word = unsafe { ffi::ap_getword_conf(pool.as_raw(), rest) };
    // SAFETY: C text in the pool, just made.
    unsafe { record::bytes::<'p>(word) }.unwrap_or_default()
}
