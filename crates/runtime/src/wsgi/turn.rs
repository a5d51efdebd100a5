//! One thread at a time, in code that attaches and detaches as it goes.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::python::Attached;

/// Something that is one thread's turn after the other's.
///
/// A flag and not a held mutex: a turn is waited for detached and used attached, and a mutex's guard cannot cross that.
#[derive(Debug, Default)]
pub struct Turn {
    busy: Mutex<bool>,
    free: Condvar,
}

/// A thread's turn, until dropped.
#[derive(Debug)]
pub struct Taken<'a>(&'a Turn);

impl Turn {
    /// Nobody's.
    pub const fn new() -> Self {
        Self { busy: Mutex::new(false), free: Condvar::new() }
    }

    /// Takes the turn; waits for it detached, for whoever has it may run Python code.
    pub fn take(&self, py: Attached<'_>) -> Taken<'_> {
        // Nobody holds this mutex for longer than it takes to look at the flag.
        let was_busy = std::mem::replace(&mut *self.lock(), true);
        if was_busy {
            py.detach(|| {
                let busy = self.free.wait_while(self.lock(), |busy| *busy);
                *busy.unwrap_or_else(PoisonError::into_inner) = true;
            });
        }
        Taken(self)
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.0.lock() = false;
        self.0.free.notify_one();
    }
}
