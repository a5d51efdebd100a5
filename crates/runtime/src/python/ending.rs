//! The end of interpreters.

use std::ptr;

use pyo3::ffi;

use crate::python::interpreter::{Interpreter, Interpreters};
use crate::python::{entrance, raw};

impl<H> Interpreters<H> {
    /// Ends Python on the thread that started it, which is detached, sub-interpreters first; their exit handlers run.
    /// False when Python has to stay as it is, because the application has threads of its own in a sub-interpreter.
    ///
    /// A thread that attaches afterwards is ended by CPython, so the caller lets none.
    pub fn end(&self) -> bool {
        if !self.end_others() {
            return false;
        }
        let Some(main) = self.find(b"") else { return true };
        // SAFETY: this thread's own state of the main interpreter, and the thread is detached.
        unsafe { ffi::PyEval_RestoreThread(main.thread_state()) };
        // SAFETY: attached to the main interpreter, on the thread that started Python.
        unsafe { ffi::Py_FinalizeEx() };
        true
    }

    /// Ends the sub-interpreters, on the thread that started Python, which is detached. False as for [`end`](Self::end).
    pub fn end_others(&self) -> bool {
        let all = self.all();
        let Some((main, others)) = all.split_first() else { return true };
        // CPython aborts the process when it is told to end an interpreter that has other threads, and before 3.13
        // also when the main interpreter ends before a sub-interpreter.
        if !others.iter().all(|interpreter| interpreter.has_own_threads_only()) {
            return false;
        }
        let main = main.thread_state();
        for interpreter in others {
            interpreter.end(main);
        }
        true
    }
}

impl<H> Interpreter<H> {
    /// Whether all thread states of this interpreter were made by [`attach`](Self::attach).
    fn has_own_threads_only(&'static self) -> bool {
        self.attach(|_, _| self.thread_states().iter().all(|state| entrance::is_known(*state)))
    }

    /// All thread states of this interpreter, to which the thread is attached.
    fn thread_states(&self) -> Vec<*mut ffi::PyThreadState> {
        // SAFETY: a live interpreter; its lock is held, so that the list does not change.
        let mut state = unsafe { raw::PyInterpreterState_ThreadHead(self.state()) };
        let mut states = Vec::new();
        while !state.is_null() {
            states.push(state);
            // SAFETY: as above, and a live state of it.
            state = unsafe { raw::PyThreadState_Next(state) };
        }
        states
    }

    /// Ends a sub-interpreter that has [own threads only](Self::has_own_threads_only), none of them attached.
    fn end(&'static self, main: *mut ffi::PyThreadState) {
        let own = self.thread_state();
        // SAFETY: this thread's own state, and the thread is detached.
        unsafe { ffi::PyEval_RestoreThread(own) };
        for state in self.thread_states().into_iter().filter(|state| !ptr::eq(*state, own)) {
            // SAFETY: a state of this interpreter that no thread is attached with, nor will be.
            unsafe { ffi::PyThreadState_Clear(state) };
            // SAFETY: as above, and cleared.
            unsafe { ffi::PyThreadState_Delete(state) };
        }
        end_attached(own, main);
    }
}

/// Ends the interpreter that `own`, its last state, is attached to; the thread is detached afterwards.
pub fn end_attached(own: *mut ffi::PyThreadState, main: *mut ffi::PyThreadState) {
    // SAFETY: attached with the last state of a sub-interpreter.
    unsafe { ffi::Py_EndInterpreter(own) };
    // Up to 3.11 the lock, which all interpreters share there, is still held; from 3.12 none is.
    if !raw::has_lock_per_interpreter() {
        // SAFETY: this thread's own state of the main interpreter, whose lock is held.
        unsafe { ffi::PyThreadState_Swap(main) };
        // SAFETY: attached by the line above.
        unsafe { ffi::PyEval_SaveThread() };
    }
}
