//! Name and value pairs of a request or a reply.

use crate::borrowed::{Bytes, MaybeBytes};

/// A header field.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// As sent, in any case.
    pub name: Bytes<'a>,
    /// Without surrounding blanks.
    pub value: Bytes<'a>,
}

impl<'a> Field<'a> {
    /// Borrows both.
    #[inline]
    pub const fn new(name: &'a [u8], value: &'a [u8]) -> Self {
        Self { name: Bytes::new(name), value: Bytes::new(value) }
    }
}

/// A variable that the server's configuration or another module set (`SetEnv`, `SSL_*`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ExtraVariable<'a> {
    /// The environ key.
    pub name: Bytes<'a>,
    /// Absent when the variable was set without a value; the environ then holds `None`.
    pub value: MaybeBytes<'a>,
}
