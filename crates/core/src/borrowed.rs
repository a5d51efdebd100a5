//! Borrowed bytes and slices with a fixed C layout.
//!
//! A request crosses from the server's shared object to Python's as a tree of these: nothing is copied, and the
//! lifetime still says how long the server keeps the memory. Rust's own `&[u8]` has no promised layout.

#![allow(unsafe_code, reason = "turns the pointer and length it was made from back into the slice")]

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// A borrowed slice, `(pointer, length)` in C layout.
#[repr(C)]
pub struct Slice<'a, T> {
    pointer: *const T,
    length: usize,
    owner: PhantomData<&'a [T]>,
}

/// Borrowed bytes; not text, no terminator.
pub type Bytes<'a> = Slice<'a, u8>;

impl<'a, T> Slice<'a, T> {
    /// The empty slice.
    pub const EMPTY: Self = Self::new(&[]);

    /// Borrows `items`.
    #[inline]
    pub const fn new(items: &'a [T]) -> Self {
        Self { pointer: items.as_ptr(), length: items.len(), owner: PhantomData }
    }

    /// The slice this was made from.
    #[inline]
    pub const fn as_slice(&self) -> &'a [T] {
        // SAFETY: both fields come from one `&'a [T]` (`new` is the only constructor and the fields are private).
        unsafe { std::slice::from_raw_parts(self.pointer, self.length) }
    }
}

// SAFETY: it is a `&'a [T]` in other clothes, and that is `Send` when `T` is `Sync`.
unsafe impl<T: Sync> Send for Slice<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Slice<'_, T> {}

impl<T> Clone for Slice<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slice<'_, T> {}

impl<T> Default for Slice<'_, T> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<T> Deref for Slice<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<'a, T> From<&'a [T]> for Slice<'a, T> {
    #[inline]
    fn from(items: &'a [T]) -> Self {
        Self::new(items)
    }
}

impl<'a> From<&'a str> for Bytes<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl<T: fmt::Debug> fmt::Debug for Slice<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// Bytes that may be absent: absent and empty differ (`QUERY_STRING` is always there, `REMOTE_USER` is not).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MaybeBytes<'a> {
    pointer: *const u8,
    length: usize,
    owner: PhantomData<&'a [u8]>,
}

impl<'a> MaybeBytes<'a> {
    /// Not there.
    pub const ABSENT: Self = Self { pointer: std::ptr::null(), length: 0, owner: PhantomData };

    /// Borrows `bytes`.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { pointer: bytes.as_ptr(), length: bytes.len(), owner: PhantomData }
    }

    /// The bytes, when there are any.
    #[inline]
    pub const fn get(&self) -> Option<&'a [u8]> {
        if self.pointer.is_null() {
            return None;
        }
        // SAFETY: a pointer that is not null came with its length from one `&'a [u8]` in `new`.
        Some(unsafe { std::slice::from_raw_parts(self.pointer, self.length) })
    }
}

// SAFETY: it is an `Option<&'a [u8]>` in other clothes.
unsafe impl Send for MaybeBytes<'_> {}
// SAFETY: as above.
unsafe impl Sync for MaybeBytes<'_> {}

impl Default for MaybeBytes<'_> {
    fn default() -> Self {
        Self::ABSENT
    }
}

impl<'a> From<&'a [u8]> for MaybeBytes<'a> {
    #[inline]
    fn from(bytes: &'a [u8]) -> Self {
        Self::new(bytes)
    }
}

impl<'a> From<Option<&'a [u8]>> for MaybeBytes<'a> {
    #[inline]
    fn from(bytes: Option<&'a [u8]>) -> Self {
        bytes.map_or(Self::ABSENT, Self::new)
    }
}

impl fmt::Debug for MaybeBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().map(String::from_utf8_lossy).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_it_borrowed() {
        let words = ["a", "b"];
        assert_eq!(*Slice::new(&words), words);
        assert!(Slice::<u64>::EMPTY.is_empty());
    }

    #[test]
    fn absent_is_not_empty() {
        assert_eq!(MaybeBytes::new(b"").get(), Some(&b""[..]));
        assert_eq!(MaybeBytes::ABSENT.get(), None);
        assert_eq!(MaybeBytes::from(None).get(), None);
    }
}
