//! The right to load a script: one loader at a time in the process, whichever interpreter it loads into, for scripts
//! import modules, and interpreters share the state of extension modules.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::python::Attached;

// A flag and not a held mutex: the right is acquired detached and kept attached, and a mutex's guard cannot cross that.
static BUSY: Mutex<bool> = Mutex::new(false);
static FREE: Condvar = Condvar::new();

/// Held while loading.
#[derive(Debug)]
pub struct Loading(());

impl Loading {
    /// Waits for the right, detached: whoever has it runs Python code.
    pub fn acquire(py: Attached<'_>) -> Self {
        py.detach(|| {
            let mut busy = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
            while *busy {
                busy = FREE.wait(busy).unwrap_or_else(PoisonError::into_inner);
            }
            *busy = true;
        });
        Self(())
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        // Nobody holds this mutex for longer than it takes to look at the flag.
        *BUSY.lock().unwrap_or_else(PoisonError::into_inner) = false;
        FREE.notify_one();
    }
}
