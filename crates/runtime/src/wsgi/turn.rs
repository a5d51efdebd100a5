//! One thread at a time, in code that attaches and detaches as it goes.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::python::Attached;

/// Something that is one thread's turn after the other's.
///
/// A flag and not a held mutex: a turn is waited for detached and used attached, and a mutex's guard cannot cross that.
#[derive(Debug, Default)]
pub struct Turn {
    state: Mutex<State>,
    free: Condvar,
}

#[derive(Debug, Default)]
struct State {
    busy: bool,
    // Telling nobody would cost a system call.
    waiting: usize,
}

/// A thread's turn, until dropped.
#[derive(Debug)]
pub struct Taken<'a>(&'a Turn);

impl Turn {
    /// Nobody's.
    pub const fn new() -> Self {
        Self { state: Mutex::new(State { busy: false, waiting: 0 }), free: Condvar::new() }
    }

    /// Takes the turn; waits for it detached, for whoever has it may run Python code.
    pub fn take(&self, py: Attached<'_>) -> Taken<'_> {
        // Nobody holds this mutex for longer than it takes to look at the state.
        let was_busy = std::mem::replace(&mut self.lock().busy, true);
        if was_busy {
            py.detach(|| self.wait());
        }
        Taken(self)
    }

    fn wait(&self) {
        let mut state = self.lock();
        state.waiting += 1;
        let mut state =
            self.free.wait_while(state, |state| state.busy).unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state.busy = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.busy = false;
        if state.waiting > 0 {
            self.0.free.notify_one();
        }
    }
}
