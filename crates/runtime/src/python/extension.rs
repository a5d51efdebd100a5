//! This library as an extension module, for a `python` that imports it: one function, `run()`, which returns when the
//! process is to end.

use std::ffi::CStr;
use std::ptr::null_mut;

use oxwsgi_core::boundary::guard;
use pyo3::ffi;

use crate::python::{Attached, Exception, PyResult};

/// What an initialisation function of an extension module returns (PEP 489).
pub type Definition = *mut ffi::PyObject;

/// The definition of a module of this name whose `run()` calls `run`.
pub fn define<F>(name: &'static CStr, _run: F) -> Definition
where
    F: for<'py> Fn(Attached<'py>) -> PyResult<'py, ()> + Copy + 'static,
{
    const { assert!(size_of::<F>() == 0, "a function of a module is made of a function item") };
    let function = ffi::PyMethodDef {
        ml_name: c"run".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: run_trampoline::<F> },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: c"run() serves as a daemon process, for as long as that lives.".as_ptr(),
    };
    // As long as the module, which is never unloaded.
    let functions = vec![function, ffi::PyMethodDef::zeroed()].leak();
    let definition = Box::leak(Box::new(ffi::PyModuleDef {
        m_base: ffi::PyModuleDef_HEAD_INIT,
        m_name: name.as_ptr(),
        m_doc: null_mut(),
        m_size: 0,
        m_methods: functions.as_mut_ptr(),
        m_slots: null_mut(),
        m_traverse: None,
        m_clear: None,
        m_free: None,
    }));
    // SAFETY: a complete definition that is never freed; Python calls initialisation functions attached.
    unsafe { ffi::PyModuleDef_Init(definition) }
}

unsafe extern "C" fn run_trampoline<F>(
    _module: *mut ffi::PyObject,
    _nothing: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: for<'py> Fn(Attached<'py>) -> PyResult<'py, ()> + Copy + 'static,
{
    // SAFETY: Python calls functions attached.
    let py = unsafe { Attached::assume() };
    // SAFETY: a function item has no size (asserted in `define`), so any address is one.
    let run = unsafe { std::ptr::NonNull::<F>::dangling().read() };
    let body = || run(py).map_or(null_mut(), |()| py.none().into_raw());
    guard(body, |message| {
        drop(py.raise(Exception::Runtime, format!("internal error of oxwsgi: {message}")));
        null_mut()
    })
}
