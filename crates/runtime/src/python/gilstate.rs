//! Leads the GILState functions to the interpreter that a thread is attached to.
//!
//! Extensions call `PyGILState_Ensure` before they call back into Python (sqlite3 of 3.10 does). From 3.12 it finds the
//! state that the thread is attached with. Before, it finds the first state that the thread ever made, and where that is
//! another interpreter's, the thread waits for a lock that it holds itself. It looks in a slot of thread-specific
//! storage; here that slot is kept up to date.

use std::sync::OnceLock;

use pyo3::ffi;

use crate::python::raw;

// None where the slot is not needed or was not found.
static SLOT: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();

/// Finds the slot. Called attached, on the thread that has started Python.
pub fn learn() {
    SLOT.get_or_init(|| {
        // From 3.12 no help is needed.
        if raw::has_lock_per_interpreter() {
            return None;
        }
        // SAFETY: attached.
        let state = unsafe { ffi::PyThreadState_Get() };
        // The keys are small numbers on Linux, and one that is not in use gives null.
        (0..1024).find(|key| {
            // SAFETY: only reads the calling thread's storage.
            unsafe { libc::pthread_getspecific(*key) == state.cast() }
        })
    });
}

/// Lets the GILState functions find `state`, with which this thread is attached.
#[inline]
pub fn point_to(state: *mut ffi::PyThreadState) {
    if let Some(Some(slot)) = SLOT.get() {
        // SAFETY: CPython's own key, for which this is a value of the right kind: a live state of the calling thread.
        unsafe { libc::pthread_setspecific(*slot, state.cast()) };
    }
}
