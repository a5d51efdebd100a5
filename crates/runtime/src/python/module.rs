//! Modules that exist without a file.

use std::ffi::CStr;

use pyo3::ffi;

use crate::python::{Attached, Held, Obj, PyResult};

/// A module in `sys.modules` that was not loaded from a file.
#[derive(Debug)]
pub struct Module {
    object: Held,
}

impl Module {
    /// A module put into `sys.modules`, or the one that is there under this name.
    pub fn add<'py>(py: Attached<'py>, name: &CStr) -> PyResult<'py, Self> {
        // SAFETY: a C string; returns a borrowed reference or null with an exception.
        let module = unsafe { ffi::PyImport_AddModule(name.as_ptr()) };
        if module.is_null() {
            return Err(crate::python::Raised::already(py));
        }
        // SAFETY: `sys.modules` has it.
        Ok(Self { object: unsafe { Obj::from_borrowed(py, module) }.hold() })
    }

    /// Sets an attribute.
    pub fn set<'py>(&self, py: Attached<'py>, name: &CStr, value: &Obj<'py>) -> PyResult<'py, ()> {
        self.object.get(py).set_attribute(name, value)
    }
}

impl<'py> Attached<'py> {
    /// `sys.modules`.
    pub fn modules(self) -> Obj<'py> {
        // SAFETY: every interpreter has its `sys.modules`.
        unsafe { Obj::from_borrowed(self, ffi::PyImport_GetModuleDict()) }
    }

    /// `sys.name`, when there is one.
    pub fn sys(self, name: &CStr) -> Option<Obj<'py>> {
        // SAFETY: a C string; returns a borrowed reference or null, without an exception.
        let object = unsafe { ffi::PySys_GetObject(name.as_ptr()) };
        // SAFETY: `sys` has it, and nothing ran in between.
        (!object.is_null()).then(|| unsafe { Obj::from_borrowed(self, object) })
    }

    /// `sys.name = value`.
    pub fn set_sys(self, name: &CStr, value: &Obj<'py>) -> PyResult<'py, ()> {
        // SAFETY: a C string and a live object.
        let code = unsafe { ffi::PySys_SetObject(name.as_ptr(), value.as_raw()) };
        self.check(code)
    }
}

impl<'py> Obj<'py> {
    /// The `__dict__` of a module.
    pub fn module_dict(&self) -> PyResult<'py, Obj<'py>> {
        self.attribute(c"__dict__")
    }
}
