//! `bytes`: made from a slice or filled in place, and read.

use std::mem::ManuallyDrop;

use pyo3::ffi;

use crate::python::{Attached, Obj, PyResult, Raised, raw};

impl<'py> Attached<'py> {
    /// A `bytes` holding a copy.
    pub fn bytes(self, bytes: &[u8]) -> PyResult<'py, Obj<'py>> {
        // SAFETY: the slice's parts; returns a new reference or null with an exception.
        unsafe {
            Obj::from_owned(self, ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len() as isize))
        }
    }
}

impl<'py> Obj<'py> {
    /// `bytes(self)` of anything that has a buffer; `TypeError` when it has none.
    pub fn to_bytes(&self) -> PyResult<'py, Self> {
        // SAFETY: a live object; returns a new reference or null with an exception.
        unsafe { Self::from_owned(self.py(), ffi::PyBytes_FromObject(self.as_raw())) }
    }

    /// The contents of a `bytes` (or of a subclass).
    #[inline]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        // SAFETY: reads the flags of a live object's type.
        if unsafe { ffi::PyBytes_Check(self.as_raw()) } == 0 {
            return None;
        }
        // SAFETY: a `bytes`, as just seen.
        let start = unsafe { ffi::PyBytes_AsString(self.as_raw()) };
        // SAFETY: as above.
        let length = unsafe { ffi::PyBytes_Size(self.as_raw()) };
        // SAFETY: a `bytes` never changes, and `self` keeps it alive.
        Some(unsafe { std::slice::from_raw_parts(start.cast(), length.unsigned_abs()) })
    }
}

/// A `bytes` that nobody else has seen yet, to be filled.
#[derive(Debug)]
pub struct BytesBuffer<'py> {
    object: Obj<'py>,
    size: usize,
}

impl<'py> BytesBuffer<'py> {
    /// Room for `size` bytes.
    pub fn new(py: Attached<'py>, size: usize) -> PyResult<'py, Self> {
        let length = isize::try_from(size).unwrap_or(isize::MAX);
        // SAFETY: a null source leaves the contents to us; returns a new reference or null with an exception.
        let object =
            unsafe { Obj::from_owned(py, ffi::PyBytes_FromStringAndSize(std::ptr::null(), length)) }?;
        Ok(Self { object, size })
    }

    /// The room, for use while detached too: nobody else has this object.
    #[inline]
    pub fn room(&mut self) -> &mut [u8] {
        // SAFETY: a `bytes`, whose contents nobody else can reach before `finish`.
        let start = unsafe { ffi::PyBytes_AsString(self.object.as_raw()) };
        // SAFETY: allocated with this size. CPython's allocation is not zeroed, and only `u8` is read from it: any
        // value is valid, and `finish` cuts off what was not written.
        unsafe { std::slice::from_raw_parts_mut(start.cast(), self.size) }
    }

    /// The `bytes` with the first `length` bytes.
    pub fn finish(self, length: usize) -> PyResult<'py, Obj<'py>> {
        if length >= self.size {
            return Ok(self.object);
        }
        let py = self.object.py();
        let mut pointer = ManuallyDrop::new(self.object).as_raw();
        // SAFETY: the only reference to a `bytes`; resized in place or replaced, and null with an exception on failure.
        let code = unsafe { raw::_PyBytes_Resize(&raw mut pointer, length as isize) };
        if code < 0 {
            return Err(Raised::already(py));
        }
        // SAFETY: the reference that the resize left.
        unsafe { Obj::from_owned(py, pointer) }
    }
}
