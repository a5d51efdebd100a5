//! Keeps a thread free of the process's signals.

#![allow(unsafe_code, reason = "the thread's signal mask has no safe interface")]

use std::mem::MaybeUninit;

/// Runs `body` with all signals blocked on this thread; a thread that `body` starts inherits that, for good.
///
/// The handlers of a server may end the process at once, which they must do on the server's own threads only.
pub fn with_all_blocked<R>(body: impl FnOnce() -> R) -> R {
    struct Restore(libc::sigset_t);

    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the mask that the call below has written; a null place for the old one is allowed.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
        }
    }

    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: writes the set it is given.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    let mut old = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: a full set, and a place for the old one, which it writes; with these arguments it cannot fail.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr()) };
    // SAFETY: written by the call above.
    let _restore = Restore(unsafe { old.assume_init() });
    body()
}
