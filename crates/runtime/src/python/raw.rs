//! Functions outside the stable ABI of 3.10.
//!
//! Those linked by name are exported, with this signature, by every CPython from 3.10. Those that came or went with a
//! version are looked up when the process starts.

use std::ffi::{CStr, c_int, c_ulong, c_void};

use pyo3::ffi::{PyInterpreterState, PyObject, PyThreadState};

unsafe extern "C" {
    /// In the stable ABI since 3.12, exported since 3.8.
    pub fn PyVectorcall_Call(
        callable: *mut PyObject,
        args: *mut PyObject,
        keywords: *mut PyObject,
    ) -> *mut PyObject;
    /// Outside the stable ABI, exported since 3.0.
    pub fn PyInterpreterState_ThreadHead(interpreter: *mut PyInterpreterState) -> *mut PyThreadState;
    /// Outside the stable ABI, exported since 3.0.
    pub fn PyThreadState_Next(state: *mut PyThreadState) -> *mut PyThreadState;
    /// Outside the stable ABI, exported since 3.0.
    pub fn PyThreadState_DeleteCurrent();
    /// In the stable ABI; PyO3 leaves it out.
    pub fn _PyBytes_Resize(bytes: *mut *mut PyObject, size: isize) -> c_int;
}

/// `Py_TPFLAGS_HAVE_VECTORCALL`, in the stable ABI since 3.12, with this value since 3.8.
pub const HAVE_VECTORCALL: c_ulong = 1 << 11;

/// The address of a function that not every version has.
pub fn find(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name is a C string, and looking a name up runs no code.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

/// Whether this is 3.12 or later, where each interpreter may have a lock of its own.
pub fn has_lock_per_interpreter() -> bool {
    find(c"Py_NewInterpreterFromConfig").is_some()
}
