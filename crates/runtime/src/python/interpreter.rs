//! Interpreters of this process, and the thread states with which threads enter them.
//!
//! The main interpreter has the empty name; the others are sub-interpreters made when first asked for, and live until
//! the process ends. A thread keeps one state for each interpreter it has entered, for its whole life: what extensions
//! and `threading.local` keep per thread stays there from one request to the next.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use pyo3::ffi;

use crate::python::{Attached, PyResult, gilstate, raw};

/// An interpreter and what `H` keeps for it: its types, names and loaded scripts.
pub struct Interpreter<H: 'static> {
    name: Box<[u8]>,
    state: *mut ffi::PyInterpreterState,
    /// The main interpreter, of which this is a sub-interpreter.
    main: Option<&'static Self>,
    host: H,
}

// SAFETY: the state pointer is only given to the C API. `host` may hold Python objects, and is reached by attaching
// only, which lets one thread at a time in.
unsafe impl<H> Send for Interpreter<H> {}
// SAFETY: as above.
unsafe impl<H> Sync for Interpreter<H> {}

impl<H> fmt::Debug for Interpreter<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Interpreter").field(&String::from_utf8_lossy(&self.name)).finish()
    }
}

/// All interpreters of the process.
#[derive(Debug)]
pub struct Interpreters<H: 'static> {
    known: RwLock<Vec<&'static Interpreter<H>>>,
    // Locked while detached only: who holds it runs Python code.
    making: Mutex<()>,
}

/// A thread's way into an interpreter.
struct Entrance {
    interpreter: *const (),
    state: *mut ffi::PyThreadState,
}

// Addresses of the states that `Interpreter` made, of all threads: those it may delete.
static THREAD_STATES: Mutex<Vec<usize>> = Mutex::new(Vec::new());

thread_local! {
    static ENTRANCES: RefCell<Vec<Entrance>> = const { RefCell::new(Vec::new()) };
}

impl<H> Default for Interpreters<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H> Interpreters<H> {
    /// None yet.
    pub const fn new() -> Self {
        Self { known: RwLock::new(Vec::new()), making: Mutex::new(()) }
    }

    /// Takes the main interpreter in, right after Python has started on this thread, and leaves the thread detached.
    /// When `make` fails, its exception is given to `explain` and there is no interpreter.
    pub fn adopt_main<E>(
        &self,
        make: impl FnOnce(Attached<'_>) -> PyResult<'_, H>,
        explain: impl FnOnce(Attached<'_>, crate::python::Raised<'_>) -> E,
    ) -> Result<(), E> {
        gilstate::learn();
        // SAFETY: the thread on which Python has just started is attached.
        let py = unsafe { Attached::assume() };
        let made = make(py).map_err(|raised| explain(py, raised));
        // SAFETY: attached.
        let state = unsafe { ffi::PyInterpreterState_Get() };
        // SAFETY: attached; the state stays this thread's own.
        let thread = unsafe { ffi::PyEval_SaveThread() };
        let interpreter = publish(Interpreter { name: Box::default(), state, main: None, host: made? });
        remember(interpreter, thread);
        self.add(interpreter);
        Ok(())
    }

    /// The interpreter of this name, made by `make` when it is the first to ask. The thread is detached before and after.
    pub fn find_or_make<E>(
        &self,
        name: &[u8],
        make: impl FnOnce(Attached<'_>) -> PyResult<'_, H>,
        explain: impl FnOnce(Attached<'_>, crate::python::Raised<'_>) -> E,
    ) -> Result<&'static Interpreter<H>, Option<E>> {
        // Held while making: the others that want this interpreter wait here, detached.
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = self.find(name) {
            return Ok(found);
        }
        let main = self.find(b"").ok_or(None)?;
        let interpreter = main.make_sub_interpreter(name, make, explain)?;
        self.add(interpreter);
        Ok(interpreter)
    }

    /// The interpreter of this name, when there is one.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&'static Interpreter<H>> {
        self.read().iter().copied().find(|interpreter| *interpreter.name == *name)
    }

    /// All, the main one first.
    pub fn all(&self) -> Vec<&'static Interpreter<H>> {
        self.read().clone()
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<&'static Interpreter<H>>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, interpreter: &'static Interpreter<H>) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).push(interpreter);
    }
}

/// Notes that this thread enters `interpreter` with `state`.
fn remember<H>(interpreter: &'static Interpreter<H>, state: *mut ffi::PyThreadState) {
    THREAD_STATES.lock().unwrap_or_else(PoisonError::into_inner).push(state.addr());
    let entrance = Entrance { interpreter: std::ptr::from_ref(interpreter).cast(), state };
    ENTRANCES.with_borrow_mut(|entrances| entrances.push(entrance));
}

/// An interpreter lives as long as the process.
fn publish<H>(interpreter: Interpreter<H>) -> &'static Interpreter<H> {
    Box::leak(Box::new(interpreter))
}

impl<H> Interpreter<H> {
    /// Attaches the thread, which is detached, for as long as `body` runs.
    #[inline]
    pub fn attach<R>(&'static self, body: impl for<'py> FnOnce(Attached<'py>, &'static H) -> R) -> R {
        let state = self.thread_state();
        // SAFETY: this thread's own state, and the thread is detached.
        unsafe { ffi::PyEval_RestoreThread(state) };
        gilstate::point_to(state);
        let _leave = Leave;
        // SAFETY: attached by the line above until `_leave` is dropped.
        body(unsafe { Attached::assume() }, &self.host)
    }

    fn thread_state(&'static self) -> *mut ffi::PyThreadState {
        let wanted: *const () = std::ptr::from_ref(self).cast();
        let found = ENTRANCES.with_borrow(|entrances| {
            entrances.iter().find(|entrance| entrance.interpreter == wanted).map(|entrance| entrance.state)
        });
        found.unwrap_or_else(|| self.new_thread_state())
    }

    #[cold]
    fn new_thread_state(&'static self) -> *mut ffi::PyThreadState {
        let state = if let Some(main) = self.main {
            // The GILState function below makes a state only for a thread that has none, and gives the one it has
            // otherwise: the main interpreter's must come first.
            main.thread_state();
            // SAFETY: the interpreter lives until the process ends; the lock need not be held.
            unsafe { ffi::PyThreadState_New(self.state) }
        } else {
            // SAFETY: Python runs, and this thread has no state yet; the one made here is never released.
            unsafe { ffi::PyGILState_Ensure() };
            // SAFETY: attached by the line above.
            unsafe { ffi::PyEval_SaveThread() }
        };
        remember(self, state);
        state
    }

    /// Called on the main interpreter.
    fn make_sub_interpreter<E>(
        &'static self,
        name: &[u8],
        make: impl FnOnce(Attached<'_>) -> PyResult<'_, H>,
        explain: impl FnOnce(Attached<'_>, crate::python::Raised<'_>) -> E,
    ) -> Result<&'static Self, Option<E>> {
        let main = self.thread_state();
        // SAFETY: this thread's own state of the main interpreter, and the thread is detached.
        unsafe { ffi::PyEval_RestoreThread(main) };
        // SAFETY: attached to the main interpreter. Afterwards the thread is attached to the new one, if there is one.
        let thread = unsafe { ffi::Py_NewInterpreter() };
        if thread.is_null() {
            // SAFETY: CPython has switched back to the state it found.
            unsafe { ffi::PyEval_SaveThread() };
            return Err(None);
        }
        gilstate::point_to(thread);
        // SAFETY: attached to the new interpreter.
        let py = unsafe { Attached::assume() };
        match make(py).map_err(|raised| explain(py, raised)) {
            Ok(host) => {
                // SAFETY: attached.
                let state = unsafe { ffi::PyInterpreterState_Get() };
                // SAFETY: attached; the state stays this thread's own.
                unsafe { ffi::PyEval_SaveThread() };
                let interpreter = publish(Self { name: name.into(), state, main: Some(self), host });
                remember(interpreter, thread);
                Ok(interpreter)
            }
            Err(error) => {
                end_attached(thread, main);
                Err(Some(error))
            }
        }
    }
}

/// Detaches when dropped.
struct Leave;

impl Drop for Leave {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: made by `attach` once attached, and every `detach` in between has attached again.
        unsafe { ffi::PyEval_SaveThread() };
    }
}

impl<H> Interpreters<H> {
    /// Ends Python on the thread that started it, which is detached, sub-interpreters first; their exit handlers run.
    /// False when Python has to stay as it is, because the application has threads of its own in a sub-interpreter.
    ///
    /// A thread that attaches afterwards is ended by CPython, so the caller lets none.
    pub fn end(&self) -> bool {
        let all = self.read().clone();
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
        // SAFETY: this thread's own state of the main interpreter.
        unsafe { ffi::PyEval_RestoreThread(main) };
        // SAFETY: attached to the main interpreter, on the thread that started Python.
        unsafe { ffi::Py_FinalizeEx() };
        true
    }
}

impl<H> Interpreter<H> {
    /// Whether all thread states of this interpreter were made by [`attach`](Self::attach).
    fn has_own_threads_only(&'static self) -> bool {
        self.attach(|_, _| {
            let known = THREAD_STATES.lock().unwrap_or_else(PoisonError::into_inner);
            self.thread_states().iter().all(|state| known.contains(&state.addr()))
        })
    }

    /// All thread states of this interpreter, to which the thread is attached.
    fn thread_states(&self) -> Vec<*mut ffi::PyThreadState> {
        // SAFETY: a live interpreter; its lock is held, so that the list does not change.
        let mut state = unsafe { raw::PyInterpreterState_ThreadHead(self.state) };
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
        for state in self.thread_states().into_iter().filter(|state| *state != own) {
            // SAFETY: a state of this interpreter that no thread is attached with, nor will be.
            unsafe { ffi::PyThreadState_Clear(state) };
            // SAFETY: as above, and cleared.
            unsafe { ffi::PyThreadState_Delete(state) };
        }
        end_attached(own, main);
    }
}

/// Ends the interpreter that `own`, its last state, is attached to; the thread is detached afterwards.
fn end_attached(own: *mut ffi::PyThreadState, main: *mut ffi::PyThreadState) {
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
