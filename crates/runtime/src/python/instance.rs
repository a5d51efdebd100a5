//! The memory of instances of classes written in Rust.

use std::fmt;

use pyo3::ffi;

use crate::python::trampoline::call_trampoline;
use crate::python::{Attached, Class, Obj, PyResult};

/// The memory of an instance.
#[repr(C)]
pub struct Instance<C> {
    base: ffi::PyObject,
    /// How an instance that can be called is called (PEP 590); its offset is the type's `__vectorcalloffset__`.
    pub vectorcall: Option<ffi::vectorcallfunc>,
    /// What Rust knows of it.
    pub value: C,
}

impl<C> fmt::Debug for Instance<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").finish_non_exhaustive()
    }
}

/// # Safety
/// `kind` is the type made for `C`, or a subtype of it.
pub unsafe fn allocate<C: Class>(
    py: Attached<'_>,
    kind: *mut ffi::PyTypeObject,
    value: C,
) -> PyResult<'_, Obj<'_>> {
    // SAFETY: a live type; returns a new zeroed instance or null with an exception.
    let object = unsafe { Obj::from_owned(py, ffi::PyType_GenericAlloc(kind, 0)) }?;
    let instance: *mut Instance<C> = object.as_raw().cast();
    // SAFETY: the instance has the size of `Instance<C>` at least, and nobody else has seen it.
    unsafe { (&raw mut (*instance).value).write(value) };
    if C::SLOTS.call.is_some() {
        // SAFETY: as above.
        unsafe { (&raw mut (*instance).vectorcall).write(Some(call_trampoline::<C>)) };
    }
    Ok(object)
}

/// # Safety
/// `object` is a live instance of `C`'s type for `'a`.
#[inline]
pub unsafe fn value_of<'a, C>(object: *mut ffi::PyObject) -> &'a C {
    // SAFETY: so says the caller; the value was written by `allocate` before anybody saw the object.
    unsafe { &(*object.cast::<Instance<C>>()).value }
}
