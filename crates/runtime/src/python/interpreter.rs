//! Interpreters of this process, and the thread states with which threads enter them.
//!
//! The main interpreter has the empty name; the others are sub-interpreters made when first asked for, and live until
//! the process ends. A thread keeps one state for each interpreter it has entered: what extensions and `threading.local` keep
//! per thread stays there from one request to the next.

use std::fmt;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use pyo3::ffi;

use crate::python::ending::end_attached;
use crate::python::entrance::Origin;
use crate::python::{Attached, PyResult, Raised, entrance, gilstate};

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
        explain: impl FnOnce(Attached<'_>, Raised<'_>) -> E,
    ) -> Result<(), E> {
        // SAFETY: the thread on which Python has just started is attached.
        let adopted = self.adopt(unsafe { Attached::assume() }, make, explain);
        // SAFETY: attached; the state stays this thread's own.
        unsafe { ffi::PyEval_SaveThread() };
        adopted
    }

    /// Takes the main interpreter in, to which this thread is attached since Python has started on it.
    pub fn adopt<'py, E>(
        &self,
        py: Attached<'py>,
        make: impl FnOnce(Attached<'py>) -> PyResult<'py, H>,
        explain: impl FnOnce(Attached<'py>, Raised<'py>) -> E,
    ) -> Result<(), E> {
        gilstate::learn();
        let host = make(py).map_err(|raised| explain(py, raised))?;
        // SAFETY: attached.
        let state = unsafe { ffi::PyInterpreterState_Get() };
        let interpreter = publish(Interpreter { name: Box::default(), state, main: None, host });
        // SAFETY: attached.
        let thread = unsafe { ffi::PyThreadState_Get() };
        entrance::remember(interpreter.address(), thread, Origin::Python);
        self.add(interpreter);
        Ok(())
    }

    /// The interpreter of this name, made by `make` when it is the first to ask. The thread is detached before and after.
    pub fn find_or_make<E>(
        &self,
        name: &[u8],
        make: impl FnOnce(Attached<'_>) -> PyResult<'_, H>,
        explain: impl FnOnce(Attached<'_>, Raised<'_>) -> E,
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

    /// Tells interpreters apart.
    pub const fn address(&'static self) -> *const () {
        std::ptr::from_ref(self).cast()
    }

    /// What CPython calls it.
    pub(super) const fn state(&self) -> *mut ffi::PyInterpreterState {
        self.state
    }

    /// The state with which this thread enters it.
    #[inline]
    pub(super) fn thread_state(&'static self) -> *mut ffi::PyThreadState {
        entrance::find(self.address()).unwrap_or_else(|| self.new_thread_state())
    }

    #[cold]
    fn new_thread_state(&'static self) -> *mut ffi::PyThreadState {
        let (state, origin) = if let Some(main) = self.main {
            // The GILState function below makes a state only for a thread that has none, and gives the one it has
            // otherwise: the main interpreter's must come first.
            main.thread_state();
            // SAFETY: the interpreter lives until the process ends; the lock need not be held.
            (unsafe { ffi::PyThreadState_New(self.state) }, Origin::New)
        } else {
            // SAFETY: Python runs, and this thread has no state yet; the one made here is released when the thread ends.
            unsafe { ffi::PyGILState_Ensure() };
            // SAFETY: attached by the line above.
            (unsafe { ffi::PyEval_SaveThread() }, Origin::Gil)
        };
        entrance::remember(self.address(), state, origin);
        state
    }

    /// Called on the main interpreter.
    fn make_sub_interpreter<E>(
        &'static self,
        name: &[u8],
        make: impl FnOnce(Attached<'_>) -> PyResult<'_, H>,
        explain: impl FnOnce(Attached<'_>, Raised<'_>) -> E,
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
                entrance::remember(interpreter.address(), thread, Origin::Python);
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
