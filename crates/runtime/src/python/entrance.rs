//! The thread states with which each thread enters interpreters: one for each interpreter, kept until the thread says that
//! it ends.

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::ffi;

use crate::python::gilstate;

/// A thread's way into an interpreter.
#[derive(Clone, Copy)]
struct Entrance {
    interpreter: *const (),
    state: *mut ffi::PyThreadState,
    origin: Origin,
}

/// How a state came to be, which is how it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Python's own, of the thread that has started it, or of the one that has made a sub-interpreter.
    Python,
    /// Made for the main interpreter by `PyGILState_Ensure`.
    Gil,
    /// Made by `PyThreadState_New`.
    New,
}

// Addresses of the states in all threads' entrances: those that may be deleted.
static KNOWN: Mutex<Vec<usize>> = Mutex::new(Vec::new());

thread_local! {
    static ENTRANCES: RefCell<Vec<Entrance>> = const { RefCell::new(Vec::new()) };
}

fn known() -> MutexGuard<'static, Vec<usize>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The state with which this thread enters the interpreter at this address.
#[inline]
pub fn find(interpreter: *const ()) -> Option<*mut ffi::PyThreadState> {
    ENTRANCES.with_borrow(|entrances| {
        entrances.iter().find(|entrance| entrance.interpreter == interpreter).map(|entrance| entrance.state)
    })
}

/// Notes that this thread enters the interpreter at this address with `state`.
pub fn remember(interpreter: *const (), state: *mut ffi::PyThreadState, origin: Origin) {
    known().push(state.addr());
    ENTRANCES.with_borrow_mut(|entrances| entrances.push(Entrance { interpreter, state, origin }));
}

/// Whether a state is some thread's way in.
pub fn is_known(state: *mut ffi::PyThreadState) -> bool {
    known().contains(&state.addr())
}

/// Gives up the states of this thread, which is detached, has not started Python, and ends. Runs what the application has left
/// for this moment, such as the destructors of its `threading.local` values. Python has not ended.
pub fn leave() {
    let mut entrances = ENTRANCES.take();
    // Functions of the GILState kind, which destructors may call, need the main interpreter's state up to the end.
    entrances.sort_by_key(|entrance| entrance.origin == Origin::Gil);
    // An interpreter's first state stays: up to 3.12 CPython does not find its way back from having none. It goes with the
    // interpreter.
    for Entrance { state, origin, .. } in
        entrances.into_iter().filter(|entrance| entrance.origin != Origin::Python)
    {
        known().retain(|known| *known != state.addr());
        // SAFETY: this thread's own state, and the thread is detached.
        unsafe { ffi::PyEval_RestoreThread(state) };
        gilstate::point_to(state);
        if origin == Origin::Gil {
            // SAFETY: undoes the call that has made the state; deletes it, and leaves the thread detached.
            unsafe { ffi::PyGILState_Release(ffi::PyGILState_STATE::PyGILState_UNLOCKED) };
            continue;
        }
        // SAFETY: the state that this thread is attached with.
        unsafe { ffi::PyThreadState_Clear(state) };
        // SAFETY: cleared by the line above; leaves the thread detached.
        unsafe { crate::python::raw::PyThreadState_DeleteCurrent() };
    }
}
