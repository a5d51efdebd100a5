//! `str`: made from latin-1, UTF-8 or file system bytes, and read back.

use std::ffi::CStr;
use std::os::raw::c_char;

use pyo3::ffi;

use crate::python::{Attached, Obj, PyResult};

impl<'py> Attached<'py> {
    /// The "native string" of PEP 3333: each byte becomes the character of that number.
    #[inline]
    pub fn latin1(self, bytes: &[u8]) -> PyResult<'py, Obj<'py>> {
        // SAFETY: the slice's parts; returns a new reference or null with an exception.
        unsafe {
            let text =
                ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), bytes.len() as isize, std::ptr::null());
            Obj::from_owned(self, text)
        }
    }

    /// A path as Python shows it: the file system encoding, undecodable bytes escaped.
    pub fn path(self, bytes: &[u8]) -> PyResult<'py, Obj<'py>> {
        // SAFETY: the slice's parts; returns a new reference or null with an exception.
        unsafe {
            let text = ffi::PyUnicode_DecodeFSDefaultAndSize(bytes.as_ptr().cast(), bytes.len() as isize);
            Obj::from_owned(self, text)
        }
    }

    /// A `str`.
    pub fn text(self, text: &str) -> PyResult<'py, Obj<'py>> {
        // SAFETY: the slice's parts, which are UTF-8; returns a new reference or null with an exception.
        unsafe {
            let text = ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), text.len() as isize);
            Obj::from_owned(self, text)
        }
    }

    /// A `str` that is shared by all uses of this name in the interpreter, its hash computed once.
    pub fn name(self, name: &CStr) -> PyResult<'py, Obj<'py>> {
        // SAFETY: a C string; returns a new reference or null with an exception.
        unsafe { Obj::from_owned(self, ffi::PyUnicode_InternFromString(name.as_ptr())) }
    }
}

impl<'py> Obj<'py> {
    /// Whether this is a `str` (or of a subclass).
    #[inline]
    pub fn is_text(&self) -> bool {
        // SAFETY: reads the flags of a live object's type.
        unsafe { ffi::PyUnicode_Check(self.as_raw()) != 0 }
    }

    /// Gives the latin-1 bytes of a `str` to `use_bytes`; none when this is not a `str`, and `UnicodeEncodeError` when
    /// it has characters beyond latin-1.
    pub fn with_latin1<R>(&self, use_bytes: impl FnOnce(&[u8]) -> R) -> PyResult<'py, Option<R>> {
        if !self.is_text() {
            return Ok(None);
        }
        let py = self.py();
        if let Some(utf8) = self.utf8()
            && utf8.is_ascii()
        {
            // ASCII is the same in both, and CPython keeps the UTF-8 form of such a text ready.
            return Ok(Some(use_bytes(utf8)));
        }
        // A lone surrogate has no UTF-8 form; the error to show is the one for latin-1.
        py.clear_exception();
        // SAFETY: a live `str`; returns a new reference or null with an exception.
        let bytes = unsafe { Obj::from_owned(py, ffi::PyUnicode_AsLatin1String(self.as_raw())) }?;
        Ok(bytes.as_bytes().map(use_bytes))
    }

    /// The text, when this is a `str` that has a UTF-8 form.
    pub fn to_text(&self) -> Option<String> {
        if !self.is_text() {
            return None;
        }
        let text = self.utf8().map(|utf8| String::from_utf8_lossy(utf8).into_owned());
        if text.is_none() {
            self.py().clear_exception();
        }
        text
    }

    /// The text, with `\udc80` and the like spelled out.
    pub fn to_text_lossy(&self) -> String {
        self.to_text().unwrap_or_else(|| {
            let py = self.py();
            // SAFETY: a live object and C strings; returns a new reference or null with an exception.
            let bytes = unsafe {
                let bytes = ffi::PyUnicode_AsEncodedString(
                    self.as_raw(),
                    c"utf-8".as_ptr(),
                    c"backslashreplace".as_ptr(),
                );
                Obj::from_owned(py, bytes)
            };
            let text = bytes
                .ok()
                .and_then(|bytes| bytes.as_bytes().map(|b| String::from_utf8_lossy(b).into_owned()));
            text.unwrap_or_else(|| {
                py.clear_exception();
                String::new()
            })
        })
    }

    /// The UTF-8 form, which lives as long as the object; an exception is set where there is none.
    fn utf8(&self) -> Option<&[u8]> {
        let mut length = 0;
        // SAFETY: a live object and a place of ours.
        let start: *const c_char = unsafe { ffi::PyUnicode_AsUTF8AndSize(self.as_raw(), &raw mut length) };
        if start.is_null() {
            return None;
        }
        // SAFETY: CPython keeps the buffer, of this length, with the object, which `self` keeps alive.
        Some(unsafe { std::slice::from_raw_parts(start.cast(), length.unsigned_abs()) })
    }
}
