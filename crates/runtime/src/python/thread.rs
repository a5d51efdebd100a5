//! Other threads, seen from one that is attached to the same interpreter: where they are, and an exception raised in them.

use std::ffi::CStr;

use pyo3::ffi;

use crate::python::{Attached, Obj, PyResult};

/// A thread, as `threading.get_ident()` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadId(pub u64);

impl ThreadId {
    /// The calling thread.
    pub fn current() -> Self {
        // SAFETY: takes nothing, and needs no interpreter.
        Self(unsafe { ffi::PyThread_get_thread_ident() })
    }
}

impl<'py> Attached<'py> {
    /// A new exception class of this dotted name, derived from `BaseException` alone.
    pub fn new_base_exception(self, name: &CStr, doc: &CStr) -> PyResult<'py, Obj<'py>> {
        // SAFETY: C strings and a live class; returns a new reference or null with an exception.
        unsafe {
            let base = ffi::PyExc_BaseException;
            let class =
                ffi::PyErr_NewExceptionWithDoc(name.as_ptr(), doc.as_ptr(), base, std::ptr::null_mut());
            Obj::from_owned(self, class)
        }
    }

    /// Has `thread` raise an exception of `class` as soon as it runs Python code again; false when it is not known here.
    pub fn raise_in(self, thread: ThreadId, class: &Obj<'py>) -> bool {
        // SAFETY: a plain number and a live class, of which a reference is taken.
        unsafe { ffi::PyThreadState_SetAsyncExc(thread.0 as _, class.as_raw()) > 0 }
    }

    /// Takes back what [`raise_in`](Self::raise_in) has left for a thread and that it has not raised yet.
    pub fn take_back_raise(self, thread: ThreadId) {
        // SAFETY: a plain number; null takes back.
        unsafe { ffi::PyThreadState_SetAsyncExc(thread.0 as _, std::ptr::null_mut()) };
    }

    /// The stacks of all threads that run Python code of this interpreter, as it would print them.
    pub fn stacks(self) -> Vec<(ThreadId, Vec<String>)> {
        self.find_stacks().unwrap_or_else(|raised| {
            raised.clear();
            Vec::new()
        })
    }

    fn find_stacks(self) -> PyResult<'py, Vec<(ThreadId, Vec<String>)>> {
        let frames = self.import("sys")?.call_method(c"_current_frames", &[])?;
        let mut found = Vec::new();
        frames.for_each_item(|thread, frame| {
            found.extend(thread.to_int().map(|id| (ThreadId(id.cast_unsigned()), frame.clone())));
        });
        let traceback = self.import("traceback")?;
        let lines = |frame: &Obj<'py>| traceback.call_method(c"format_stack", &[frame])?.text_lines();
        found.into_iter().map(|(thread, frame)| Ok((thread, lines(&frame)?))).collect()
    }
}
