//! Single values, from a word to a field. What is wrong is said as what is accepted.

#![allow(unsafe_code, reason = "nginx's functions that read times and sizes")]

use super::line::{Line, Problem};
use crate::nginx::{ffi, text};

/// `on` or `off`, in any case, as everywhere in nginx.
pub fn on_off(word: &[u8]) -> Result<bool, Problem> {
    match word {
        _ if word.eq_ignore_ascii_case(b"on") => Ok(true),
        _ if word.eq_ignore_ascii_case(b"off") => Ok(false),
        _ => Err(Problem::value(word, "on or off")),
    }
}

/// A time in milliseconds.
pub fn milliseconds(word: &[u8]) -> Result<ffi::ngx_msec_t, Problem> {
    time(word, false, "a time such as 500ms, 60s or 5m; a number alone is seconds")
}

/// A time in whole seconds.
pub fn seconds(word: &[u8]) -> Result<u64, Problem> {
    time(word, true, "a time such as 60s, 5m or 1h; a number alone is seconds").map(|time| time as u64)
}

fn time(word: &[u8], in_seconds: bool, accepted: &str) -> Result<usize, Problem> {
    let mut word_text = text::borrowed(word);
    // SAFETY: nginx reads the text, which lives until the call returns.
    let time = unsafe { ffi::ngx_parse_time(&raw mut word_text, ffi::ngx_uint_t::from(in_seconds)) };
    usize::try_from(time).map_err(|_| Problem::value(word, accepted))
}

/// A number of bytes.
pub fn bytes(word: &[u8]) -> Result<usize, Problem> {
    let mut word_text = text::borrowed(word);
    // SAFETY: nginx reads the text, which lives until the call returns.
    let size = unsafe { ffi::ngx_parse_size(&raw mut word_text) };
    usize::try_from(size).map_err(|_| Problem::value(word, "a size such as 4096, 16k or 1m"))
}

/// A number of bytes that may be that of a large file.
pub fn large_bytes(word: &[u8]) -> Result<ffi::off_t, Problem> {
    let mut word_text = text::borrowed(word);
    // SAFETY: nginx reads the text, which lives until the call returns.
    let size = unsafe { ffi::ngx_parse_offset(&raw mut word_text) };
    if size < 0 { Err(Problem::value(word, "a size such as 4096, 16k, 1m or 2g")) } else { Ok(size) }
}

/// A whole number.
pub fn number(word: &[u8]) -> Result<ffi::ngx_uint_t, Problem> {
    let digits = str::from_utf8(word).ok().filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| Problem::value(word, "a whole number"))
}

/// Sets a field that is unset as long as it is `unset`.
pub fn set<T: PartialEq>(field: &mut T, unset: T, value: T) -> Result<(), Problem> {
    if *field != unset {
        return Err(Problem::duplicate());
    }
    *field = value;
    Ok(())
}

/// A field of nginx's own that is on or off.
pub fn set_flag(field: &mut ffi::ngx_flag_t, line: &Line<'_>) -> Result<(), Problem> {
    set(field, ffi::NGX_CONF_UNSET, ffi::ngx_flag_t::from(on_off(line.first())?))
}

/// A field of nginx's own that is a time.
pub fn set_time(field: &mut ffi::ngx_msec_t, line: &Line<'_>) -> Result<(), Problem> {
    set(field, ffi::SHIM_CONF_UNSET_MSEC, milliseconds(line.first())?)
}

/// A field of nginx's own that is a size.
pub fn set_size(field: &mut usize, line: &Line<'_>) -> Result<(), Problem> {
    set(field, ffi::SHIM_CONF_UNSET_SIZE, bytes(line.first())?)
}

/// A field of nginx's own that is a number.
pub fn set_number(field: &mut ffi::ngx_uint_t, line: &Line<'_>) -> Result<(), Problem> {
    set(field, ffi::SHIM_CONF_UNSET_UINT, number(line.first())?)
}

/// A field of nginx's own of which each word sets a bit.
pub fn set_bits(
    field: &mut ffi::ngx_uint_t,
    known: &[(&str, ffi::ngx_uint_t)],
    line: &Line<'_>,
) -> Result<(), Problem> {
    if *field != 0 {
        return Err(Problem::duplicate());
    }
    let mut bits = ffi::NGX_CONF_BITMASK_SET;
    for word in line.words() {
        let found = known.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
        let Some((_, bit)) = found else {
            let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            return Err(Problem::value(word, format!("any of {}", names.join(", "))));
        };
        bits |= bit;
    }
    *field = bits;
    Ok(())
}
