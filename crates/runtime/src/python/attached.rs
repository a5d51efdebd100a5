//! The right to use Python objects on this thread.

use std::marker::PhantomData;

use pyo3::ffi;

/// Proof that the calling thread is attached to an interpreter, and holds that interpreter's lock.
///
/// A thread is attached to one interpreter at a time, and objects of an interpreter are reachable only from its own
/// state and from arguments it passes, so one token type serves for all.
#[derive(Clone, Copy, Debug)]
pub struct Attached<'py> {
    // Neither Send nor Sync: the right belongs to the thread.
    thread: PhantomData<(&'py (), *mut ())>,
}

impl<'py> Attached<'py> {
    /// Claims the right.
    ///
    /// # Safety
    /// The calling thread is attached to an interpreter and stays so for `'py`, except inside [`detach`](Self::detach).
    #[inline]
    pub(super) const unsafe fn assume() -> Self {
        Self { thread: PhantomData }
    }

    /// Gives the right up while `body` runs, so that other threads run Python while this one waits.
    ///
    /// `Send` keeps tokens and objects out of `body`: they are not.
    #[inline]
    pub fn detach<R: Send>(self, body: impl FnOnce() -> R + Send) -> R {
        let _guard = Detached::new();
        body()
    }
}

/// Attaches again when dropped, so that a panic in the body finds the thread as it must be.
struct Detached(*mut ffi::PyThreadState);

impl Detached {
    #[inline]
    fn new() -> Self {
        // SAFETY: called with a token in hand (`detach`), so this thread is attached.
        Self(unsafe { ffi::PyEval_SaveThread() })
    }
}

impl Drop for Detached {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the state is the one this thread saved.
        unsafe { ffi::PyEval_RestoreThread(self.0) }
    }
}
