//! nginx's texts (`ngx_str_t`): a length and bytes that no NUL need follow.

#![allow(unsafe_code, reason = "reads memory that nginx points to")]

use crate::nginx::ffi;

/// The bytes of a text.
///
/// # Safety
/// The text lies in memory that lives until `'a` ends and that nobody changes meanwhile.
#[inline]
pub unsafe fn bytes<'a>(text: ffi::ngx_str_t) -> &'a [u8] {
    if text.len == 0 || text.data.is_null() {
        return b"";
    }
    // SAFETY: not null, and `len` bytes long by the caller's word.
    unsafe { std::slice::from_raw_parts(text.data, text.len) }
}

/// A text that lives as long as the program. The NUL after it is for those who read it as C text.
pub const fn fixed(text: &'static std::ffi::CStr) -> ffi::ngx_str_t {
    ffi::ngx_str_t { len: text.count_bytes(), data: text.as_ptr().cast_mut().cast() }
}

/// These bytes as a text, for a call that only reads it while they live.
pub const fn borrowed(bytes: &[u8]) -> ffi::ngx_str_t {
    ffi::ngx_str_t { len: bytes.len(), data: bytes.as_ptr().cast_mut() }
}
