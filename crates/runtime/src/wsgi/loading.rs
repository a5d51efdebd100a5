//! The loading of scripts and modules: one at a time in the process, and what may come of it.

use std::sync::atomic::{AtomicBool, Ordering};

use oxwsgi_core::report::Number;
use oxwsgi_core::request::{ScriptTitle, Target};

use crate::python::{Attached, Obj, RaisedException};
use crate::wsgi::place::Place;
use crate::wsgi::report::Report;
use crate::wsgi::traceback::{self, Event};
use crate::wsgi::turn::{Taken, Turn};

// Whether any application has been loaded in this process.
static LOADED: AtomicBool = AtomicBool::new(false);

/// One loader at a time in the process, whichever interpreter it loads into: scripts import modules, and interpreters
/// share the state of extension modules.
static LOADING: Turn = Turn::new();

/// A look for what a target names.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// Where it is looked for, and loaded if need be.
    pub place: &'a Place,
    /// Where it is said how that went.
    pub report: Report<'a>,
    /// What is looked for.
    pub target: &'a Target<'a>,
}

/// What came of the wish for something that may have to be loaded first.
#[derive(Debug)]
pub enum Loaded<'py> {
    /// It.
    Ready(Obj<'py>),
    /// It could not be loaded, which is logged.
    Failed,
    /// Only another process can have it: this one is a daemon process, and has an older version of the script.
    Outdated,
    /// It wants the process to end, which is a service's to want.
    Exit,
}

/// Waits for the turn to load, which lasts until the value is dropped.
pub fn take_turn(py: Attached<'_>) -> Taken<'static> {
    LOADING.take(py)
}

/// What comes of an exception that was raised while something of `script` was loaded; `doing` says what. It is logged, unless it
/// is a service's wish to end.
pub fn failed<'py>(
    py: Attached<'py>,
    place: &Place,
    report: Report<'_>,
    doing: &str,
    script: ScriptTitle<'_>,
    exception: &RaisedException<'_>,
) -> Loaded<'py> {
    if exception.is_system_exit() && place.settings().is_service() {
        return Loaded::Exit;
    }
    let event = Event { number: Number(106), exit_number: Number(107), doing, script };
    traceback::report(py, place, report, event, exception);
    Loaded::Failed
}

/// Notes that an application has been loaded.
#[inline]
pub fn note_loaded() {
    // Most often it is noted, and a line of memory that nobody writes is cheap to share.
    if !LOADED.load(Ordering::Relaxed) {
        LOADED.store(true, Ordering::Relaxed);
    }
}

/// Whether an application has been loaded in this process.
pub fn is_any_loaded() -> bool {
    LOADED.load(Ordering::Relaxed)
}
