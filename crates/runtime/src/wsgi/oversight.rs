//! What a daemon process does to its threads from outside: finds out whether Python's lock can be had, raises an exception in a
//! request that takes too long, logs where everybody is. Each attaches, so it may wait; never on the thread that watches time.

use oxwsgi_core::report::Level;

use crate::python::Attached;
use crate::wsgi::process::Process;
use crate::wsgi::report::Report;
use crate::wsgi::settings::Settings;
use crate::wsgi::watch::Watch;

/// Returns when the lock of the main interpreter could be had.
pub fn take_lock() {
    if let Some(main) = Process::all_interpreters().first() {
        main.attach(|_, _| ());
    }
}

/// Raises `mod_wsgi.RequestTimeout` in request number `turn` of this thread, after a look at where it is. Nothing happens when
/// the request is over or runs no Python code.
pub fn interrupt(watch: &'static Watch, turn: u64) {
    let Some(inside) = watch.inside(turn) else { return };
    let interpreters = Process::all_interpreters();
    let Some(interpreter) = interpreters.iter().find(|interpreter| interpreter.address().addr() == inside)
    else {
        return;
    };
    interpreter.attach(|py, host| {
        let settings = host.place().settings();
        let stacks = if settings.log_level >= Level::Info { py.stacks() } else { Vec::new() };
        let stack = stacks.into_iter().find(|(thread, _)| *thread == watch.thread());
        // Last, for between two lines of Python code the thread may have gone on.
        if !watch.interrupt(py, inside, turn, host.types().request_timeout.get(py)) {
            return;
        }
        let thread = watch.thread().0;
        let mut lines = vec![format!("Injected RequestTimeout into thread {thread}, which was here:")];
        lines.extend(stack.into_iter().flat_map(|(_, lines)| lines));
        Report::Process(settings).write(py, Level::Info, lines);
    });
}

/// Logs the stacks of all threads of all interpreters.
pub fn log_stacks() {
    for interpreter in Process::all_interpreters() {
        interpreter.attach(|py, host| log_stacks_of(py, host.place().settings(), &host.place().describe()));
    }
}

fn log_stacks_of(py: Attached<'_>, settings: &'static Settings, place: &str) {
    if settings.log_level < Level::Info {
        return;
    }
    let mut lines = vec![format!("Dumping stack trace for active Python threads of {place}.")];
    for (thread, stack) in py.stacks() {
        lines.push(format!("Thread {} is here:", thread.0));
        lines.extend(stack);
    }
    Report::Process(settings).write(py, Level::Info, lines);
}
