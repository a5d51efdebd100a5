//! Keeps a thread free of the process's signals, and turns the signals of a process into bytes on a pipe.

#![allow(unsafe_code, reason = "signal masks and handlers have no safe interface")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use libc::c_int;

/// Runs `body` with all signals blocked on this thread; a thread that `body` starts inherits that, for good.
///
/// The handlers of a server may end the process at once, which they must do on the server's own threads only.
pub fn with_all_blocked<R>(body: impl FnOnce() -> R) -> R {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: writes the set it is given.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: written by the call above.
    with_blocked(&unsafe { all.assume_init() }, body)
}

/// Runs `body`, which starts processes and waits for them, without the process's handler of `SIGCHLD`: that of a server may
/// wait for any child, and leave nothing to be known of ours.
pub fn with_children_unnoticed<R>(body: impl FnOnce() -> R) -> R {
    let mut one = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: writes the set it is given.
    unsafe { libc::sigemptyset(one.as_mut_ptr()) };
    // SAFETY: changes the set that the call above has written.
    unsafe { libc::sigaddset(one.as_mut_ptr(), libc::SIGCHLD) };
    // SAFETY: written by the calls above.
    with_blocked(&unsafe { one.assume_init() }, body)
}

/// Runs `body` with `signals` blocked on this thread, beside those that are already.
fn with_blocked<R>(signals: &libc::sigset_t, body: impl FnOnce() -> R) -> R {
    struct Restore(libc::sigset_t);

    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the mask that the call below has written; a null place for the old one is allowed.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
        }
    }

    let mut old = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: reads a set, and writes the old one to its place; with these arguments it cannot fail.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, signals, old.as_mut_ptr()) };
    // SAFETY: written by the call above.
    let _restore = Restore(unsafe { old.assume_init() });
    body()
}

// Where the handler writes, and in which process. Set before it is installed, once.
static PIPE: AtomicI32 = AtomicI32::new(-1);
static PROCESS: AtomicI32 = AtomicI32::new(0);

/// From now on each of `signals` that this process gets is a byte, its number, on the pipe whose read end this gives. Processes
/// that it forks die of them as usual. Once in a process.
pub fn catch(signals: &[c_int]) -> io::Result<OwnedFd> {
    let (reader, writer) = io::pipe()?;
    // A handler must not wait, and a byte more or less of a full pipe says nothing new.
    rustix::io::ioctl_fionbio(&writer, true)?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    let writer = OwnedFd::from(writer).into_raw_fd();
    if PIPE.compare_exchange(-1, writer, Ordering::SeqCst, Ordering::SeqCst).is_err() {
        return Err(io::Error::other("the signals of this process are caught already"));
    }
    PROCESS.store(std::process::id().cast_signed(), Ordering::SeqCst);
    for signal in signals {
        // SAFETY: a `sigaction` is plain memory, and all zero bytes are one.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = note as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: a complete action whose handler keeps to what handlers may do; the old one is not wanted.
        if unsafe { libc::sigaction(*signal, &raw const action, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(reader.into())
}

/// Only what is allowed in a handler (POSIX.1-2017, "Signal Actions").
extern "C" fn note(signal: c_int) {
    // SAFETY: the address of the thread's own variable.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::getpid() } == PROCESS.load(Ordering::Relaxed) {
        let byte = signal as u8;
        // SAFETY: one byte of our own; the descriptor stays open as long as the process.
        unsafe { libc::write(PIPE.load(Ordering::Relaxed), (&raw const byte).cast(), 1) };
    } else {
        // SAFETY: plain numbers.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        // Comes when this handler returns, for until then it is blocked.
        // SAFETY: plain numbers.
        unsafe { libc::raise(signal) };
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Sends the calling thread a signal, whose handler has returned when this does.
pub fn raise(signal: c_int) {
    // SAFETY: plain numbers.
    unsafe { libc::raise(signal) };
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::*;

    #[test]
    fn a_caught_signal_is_a_byte_and_kills_a_forked_child() {
        let mut pipe = File::from(catch(&[libc::SIGUSR2]).unwrap());
        assert!(catch(&[]).is_err());
        // SAFETY: plain numbers.
        unsafe { libc::raise(libc::SIGUSR2) };
        let mut bytes = [0; 2];
        assert_eq!(pipe.read(&mut bytes).unwrap(), 1);
        assert_eq!(i32::from(bytes[0]), libc::SIGUSR2);
        // SAFETY: the child only raises a signal, or ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: plain numbers.
            unsafe { libc::raise(libc::SIGUSR2) };
            // SAFETY: ends the child without the exit handlers of its parent.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: writes the status to our own variable.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGUSR2);
    }
}
