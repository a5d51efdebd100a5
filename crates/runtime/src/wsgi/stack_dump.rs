//! Where all threads are, when Python's lock cannot be had to ask them: written to standard error by Python's own
//! `faulthandler`, from a signal's handler, which needs no lock.

use std::sync::atomic::{AtomicI32, Ordering};

use oxwsgi_core::os::signals;

use crate::python::{Attached, PyResult};

/// As many interpreters can be looked into, each by a signal of its own.
const MOST: i32 = 8;

// How many signals are in use.
static PREPARED: AtomicI32 = AtomicI32::new(0);

/// Prepares the interpreter that the thread is attached to.
pub fn prepare<'py>(py: Attached<'py>) -> PyResult<'py, ()> {
    let index = PREPARED.load(Ordering::Relaxed);
    if index >= MOST {
        return Ok(());
    }
    let signal = py.int(number(index).into())?;
    let options = [
        (c"file", &py.int(libc::STDERR_FILENO.into())?),
        (c"all_threads", &py.bool(true)),
        (c"chain", &py.bool(false)),
    ];
    let register = py.import("faulthandler")?.attribute(c"register")?;
    if let Err(raised) = register.call_with(&[&signal], &options) {
        // Somebody keeps that signal, as valgrind does the last one. To do without is better than to have no Python.
        drop(raised.take());
        return Ok(());
    }
    // One interpreter is made at a time.
    PREPARED.store(index + 1, Ordering::Relaxed);
    Ok(())
}

/// Writes the stacks of all interpreters that were prepared.
pub fn write() {
    (0..PREPARED.load(Ordering::Relaxed)).for_each(|index| signals::raise(number(index)));
}

/// The last real-time signals: applications that use any begin with the first.
fn number(index: i32) -> i32 {
    libc::SIGRTMAX() - index
}
