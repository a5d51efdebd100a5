//! Calling Python.

use std::ffi::CStr;
use std::ptr::null_mut;

use pyo3::ffi;

use crate::python::{Attached, Obj, PyResult};

impl<'py> Obj<'py> {
    /// Whether it can be called.
    pub fn is_callable(&self) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::PyCallable_Check(self.as_raw()) != 0 }
    }

    /// `self()`.
    pub fn call_no_args(&self) -> PyResult<'py, Self> {
        // SAFETY: a live object; returns a new reference or null with an exception.
        unsafe { Self::from_owned(self.py(), ffi::PyObject_CallNoArgs(self.as_raw())) }
    }

    /// `self(first, second)`, without a tuple in between.
    #[inline]
    pub fn call_two(&self, first: &Self, second: &Self) -> PyResult<'py, Self> {
        let end: *mut ffi::PyObject = null_mut();
        // SAFETY: live objects and the null that ends them; returns a new reference or null with an exception.
        unsafe {
            let result =
                ffi::PyObject_CallFunctionObjArgs(self.as_raw(), first.as_raw(), second.as_raw(), end);
            Self::from_owned(self.py(), result)
        }
    }

    /// `self(*arguments)`.
    pub fn call(&self, arguments: &[&Self]) -> PyResult<'py, Self> {
        let arguments = self.py().tuple(arguments)?;
        // SAFETY: a live object and a tuple; returns a new reference or null with an exception.
        unsafe { Self::from_owned(self.py(), ffi::PyObject_CallObject(self.as_raw(), arguments.as_raw())) }
    }

    /// `self(*arguments, **keywords)`.
    pub fn call_with(&self, arguments: &[&Self], keywords: &[(&CStr, &Self)]) -> PyResult<'py, Self> {
        let names = self.py().dict()?;
        for (name, value) in keywords {
            names.set_entry(name, value)?;
        }
        self.call_with_dict(arguments, &names)
    }

    /// `self(*arguments, **keywords)`.
    pub fn call_with_dict(&self, arguments: &[&Self], keywords: &Self) -> PyResult<'py, Self> {
        let arguments = self.py().tuple(arguments)?;
        // SAFETY: live objects, a tuple first; checks that the keywords are a dict; returns a new reference or null with
        // an exception.
        unsafe {
            Self::from_owned(
                self.py(),
                ffi::PyObject_Call(self.as_raw(), arguments.as_raw(), keywords.as_raw()),
            )
        }
    }

    /// `self.name(*arguments)`.
    pub fn call_method(&self, name: &CStr, arguments: &[&Self]) -> PyResult<'py, Self> {
        self.attribute(name)?.call(arguments)
    }
}

impl<'py> Attached<'py> {
    /// `import name`.
    pub fn import(self, name: &str) -> PyResult<'py, Obj<'py>> {
        let name = self.text(name)?;
        // SAFETY: a live `str`; returns a new reference or null with an exception.
        unsafe { Obj::from_owned(self, ffi::PyImport_Import(name.as_raw())) }
    }
}
