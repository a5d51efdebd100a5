//! A directive's word that may hold variables.

#![allow(unsafe_code, reason = "has nginx compile and evaluate texts")]

use std::fmt;

use crate::nginx::pool::OutOfMemory;
use crate::nginx::record::{Reading, Request};
use crate::nginx::{ffi, text};

/// Text with variables, as nginx has compiled it into the pool of the configuration.
#[derive(Clone, Copy)]
pub struct Value(ffi::ngx_http_complex_value_t);

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: the text lies in the pool of the configuration, which this value belongs to.
        let text = unsafe { text::bytes(self.0.value) };
        f.debug_tuple("Value").field(&String::from_utf8_lossy(text)).finish()
    }
}

impl Value {
    /// Compiles a word; nginx itself logs what is wrong with it.
    pub fn compile(reading: Reading<'_>, mut word: ffi::ngx_str_t) -> Result<Self, AlreadyLogged> {
        // SAFETY: plain numbers and pointers, of which zero is a value.
        let mut value: ffi::ngx_http_complex_value_t = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let mut task: ffi::ngx_http_compile_complex_value_t = unsafe { std::mem::zeroed() };
        task.cf = reading.as_raw();
        task.value = &raw mut word;
        task.complex_value = &raw mut value;
        // SAFETY: all that the task points to lives until the call returns; the result lies in the pool of the configuration.
        let done = unsafe { ffi::ngx_http_compile_complex_value(&raw mut task) };
        if done == ffi::NGX_OK { Ok(Self(value)) } else { Err(AlreadyLogged) }
    }

    /// The text for a request.
    pub fn evaluate<'r>(&self, request: Request<'r>) -> Result<&'r [u8], OutOfMemory> {
        let mut found = text::borrowed(b"");
        let value = (&raw const self.0).cast_mut();
        // SAFETY: the request is alive; nginx only reads the value, which belongs to the configuration of the request.
        let done = unsafe { ffi::ngx_http_complex_value(request.as_raw(), value, &raw mut found) };
        if done != ffi::NGX_OK {
            return Err(OutOfMemory);
        }
        // SAFETY: the text lies in the pool of the request, or in that of its configuration.
        Ok(unsafe { text::bytes(found) })
    }

    /// For nginx's own fields of this type.
    pub const fn raw(self) -> ffi::ngx_http_complex_value_t {
        self.0
    }
}

/// nginx has logged what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyLogged;
