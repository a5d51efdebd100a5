//! `dict`.

use std::ffi::CStr;

use pyo3::ffi;

use crate::python::object::Borrowed;
use crate::python::{Attached, Obj, PyResult, Raised};

impl<'py> Attached<'py> {
    /// An empty `dict`.
    pub fn dict(self) -> PyResult<'py, Obj<'py>> {
        // SAFETY: returns a new reference or null with an exception.
        unsafe { Obj::from_owned(self, ffi::PyDict_New()) }
    }
}

impl<'py> Obj<'py> {
    /// Whether this is a `dict` (or of a subclass).
    pub fn is_dict(&self) -> bool {
        // SAFETY: reads the flags of a live object's type.
        unsafe { ffi::PyDict_Check(self.as_raw()) != 0 }
    }

    /// A shallow copy of this `dict`.
    #[inline]
    pub fn copy_dict(&self) -> PyResult<'py, Self> {
        // SAFETY: checks that the object is a `dict`; returns a new reference or null with an exception.
        unsafe { Self::from_owned(self.py(), ffi::PyDict_Copy(self.as_raw())) }
    }

    /// `self[key] = value` of a `dict`.
    #[inline]
    pub fn set_item(&self, key: &Self, value: &Self) -> PyResult<'py, ()> {
        // SAFETY: live objects; checks that `self` is a `dict`.
        let code = unsafe { ffi::PyDict_SetItem(self.as_raw(), key.as_raw(), value.as_raw()) };
        self.py().check(code)
    }

    /// `self[key] = value` of a `dict`, the key as a C string.
    pub fn set_entry(&self, key: &CStr, value: &Self) -> PyResult<'py, ()> {
        // SAFETY: live objects and a C string; checks that `self` is a `dict`.
        let code = unsafe { ffi::PyDict_SetItemString(self.as_raw(), key.as_ptr(), value.as_raw()) };
        self.py().check(code)
    }

    /// `self.get(key)` of a `dict`.
    #[inline]
    pub fn item(&self, key: &Self) -> PyResult<'py, Option<Self>> {
        let py = self.py();
        // SAFETY: live objects; returns a borrowed reference, or null without or with an exception.
        let found = unsafe { ffi::PyDict_GetItemWithError(self.as_raw(), key.as_raw()) };
        if found.is_null() {
            return if py.has_exception() { Err(Raised::already(py)) } else { Ok(None) };
        }
        // SAFETY: live: the dict has it, and nothing ran in between.
        Ok(Some(unsafe { Self::from_borrowed(py, found) }))
    }

    /// Removes `key` from a `dict` that has it.
    pub fn remove_item(&self, key: &Self) -> PyResult<'py, ()> {
        // SAFETY: live objects; checks that `self` is a `dict`.
        let code = unsafe { ffi::PyDict_DelItem(self.as_raw(), key.as_raw()) };
        self.py().check(code)
    }

    /// Calls `visit` with the keys and values of a `dict`; `visit` must not change it.
    pub fn for_each_item(&self, mut visit: impl FnMut(&Self, &Self)) {
        let py = self.py();
        let (mut key, mut value, mut position) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        // SAFETY: a live object and places of ours; it answers 0 when the object is not a `dict`.
        while unsafe { ffi::PyDict_Next(self.as_raw(), &raw mut position, &raw mut key, &raw mut value) } != 0
        {
            // SAFETY: borrowed from the dict, which the owned reference made here outlives.
            let key: Borrowed<'_, 'py> = unsafe { Obj::borrow(py, key) };
            // SAFETY: as above.
            let value: Borrowed<'_, 'py> = unsafe { Obj::borrow(py, value) };
            visit(&key, &value);
        }
    }
}
