//! `int`, `float`, `bool` and `None`.

use pyo3::ffi;

use crate::python::{Attached, Obj, PyResult, Raised};

impl<'py> Attached<'py> {
    /// `None`.
    #[inline]
    pub fn none(self) -> Obj<'py> {
        // SAFETY: every interpreter has a `None`.
        unsafe { Obj::from_borrowed(self, ffi::Py_None()) }
    }

    /// `True` or `False`.
    pub fn bool(self, value: bool) -> Obj<'py> {
        // SAFETY: every interpreter has both.
        unsafe { Obj::from_borrowed(self, if value { ffi::Py_True() } else { ffi::Py_False() }) }
    }

    /// An `int`.
    pub fn int(self, value: i64) -> PyResult<'py, Obj<'py>> {
        // SAFETY: returns a new reference or null with an exception.
        unsafe { Obj::from_owned(self, ffi::PyLong_FromLongLong(value)) }
    }

    /// A `float`.
    #[inline]
    pub fn float(self, value: f64) -> PyResult<'py, Obj<'py>> {
        // SAFETY: returns a new reference or null with an exception.
        unsafe { Obj::from_owned(self, ffi::PyFloat_FromDouble(value)) }
    }
}

impl<'py> Obj<'py> {
    /// The value of an `int`; none when this is not one, or it does not fit.
    #[inline]
    pub fn to_int(&self) -> Option<i64> {
        // SAFETY: reads the flags of a live object's type.
        if unsafe { ffi::PyLong_Check(self.as_raw()) } == 0 {
            return None;
        }
        // SAFETY: an `int`, as just seen.
        let value = unsafe { ffi::PyLong_AsLongLong(self.as_raw()) };
        if value == -1 && self.py().has_exception() {
            self.py().clear_exception();
            return None;
        }
        Some(value)
    }

    /// The value as an index (`__index__`), cut to the range of a size: `TypeError` when it is none.
    pub fn to_index(&self) -> PyResult<'py, isize> {
        let py = self.py();
        // SAFETY: a live object; -1 may stand for an exception. A null exception class means cutting to the range.
        let value = unsafe { ffi::PyNumber_AsSsize_t(self.as_raw(), std::ptr::null_mut()) };
        if value == -1 && py.has_exception() { Err(Raised::already(py)) } else { Ok(value) }
    }
}
