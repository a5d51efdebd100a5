//! A daemon process: a group's own `python`, which runs this as an extension module and serves requests that come over a socket
//! instead of through a server's memory.
//!
//! [`run`] is the life of the process, on Python's main thread: orders from the supervisor, scripts to load, and then the
//! [`monitor`]. Requests are served by a [`pool`] of [`attendant`]s, each with the gateway ([`crate::wsgi`]), which knows
//! nothing of this folder. Decisions that need no socket and no Python are in `oxwsgi_core::worker`.

#![forbid(unsafe_code)]

mod attendant;
mod connections;
mod control;
mod exchange;
mod guardian;
mod monitor;
mod offspring;
mod orders;
mod poller;
mod pool;
mod prober;
mod queue;
mod service;
mod signals;
mod surroundings;
mod tally;
mod transmission;
mod workplace;

use oxwsgi_core::daemon::{FromWorker, Import};
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::os::packet::Wait;
use oxwsgi_core::os::process;
use oxwsgi_core::report::Level;

use crate::python::{Attached, Exception, PyResult};
use crate::worker::control::Control;
use crate::worker::guardian::Guardian;
use crate::worker::monitor::Monitor;
use crate::worker::orders::Orders;
use crate::worker::pool::Pool;
use crate::worker::prober::Prober;
use crate::worker::signals::Signals;
use crate::worker::workplace::Workplace;
use crate::wsgi::{self, Settings};

/// What to do when there are no descriptors to be had.
const FILES: &str = "See that the process may have more files open (ulimit -n, LimitNOFILE=).";

/// What to do when there are no threads to be had.
fn more_threads(dialect: Dialect) -> String {
    let (stack_size, memory_limit) = (dialect.option("stack-size"), dialect.option("memory-limit"));
    format!(
        "See that the group's user may have more processes (ulimit -u, TasksMax=), and that threads=, {stack_size}= and \
         {memory_limit}= of the group fit each other."
    )
}

/// What to do when Python does not work.
fn whole_python(dialect: Dialect) -> String {
    format!(
        "See that the Python of the group is whole ({}=), and that no module of the site has the name of one of Python's \
         own.",
        dialect.option("python-home")
    )
}

/// Serves as a daemon process for as long as that lives. Returns when Python is to end, or with `SystemExit` and the reason why
/// there can be no daemon process.
pub fn run(py: Attached<'_>) -> PyResult<'_, ()> {
    let cannot = |error: String| py.raise(Exception::SystemExit, error);
    let (orders, lines) = Orders::receive().map_err(cannot)?;
    let control = Control::begin(lines.control);
    let warning = surroundings::apply(py, &orders.group);
    let group = String::from_utf8_lossy(&orders.group.name).into_owned();
    let dialect = orders.server.dialect;
    let failed = |text: String| cannot(format!("WSGI1024: Daemon process '{group}' cannot start: {text}"));
    // Before anything of the site can take its time.
    let guardian = Guardian::start(group.clone(), lines.life, control).map_err(|error| {
        failed(step("the thread that looks after its end", error, &more_threads(dialect)))
    })?;
    surroundings::correct_environment(py, &orders.group)?;
    if let Some(text) = warning {
        control.log(Level::Warning, text.as_bytes(), Wait::Socket);
    }
    // What Python does on SIGINT is for people at a keyboard.
    let signal = py.import("signal")?;
    signal.call_method(c"signal", &[&signal.attribute(c"SIGINT")?, &signal.attribute(c"SIG_DFL")?])?;

    let settings = Settings::of_group(&orders.group, &orders.server, Control::sink());
    let is_service = orders.group.threads == 0;
    wsgi::adopt(py, settings)
        .map_err(|error| failed(step("its main interpreter", error, &whole_python(dialect))))?;
    let done = if is_service {
        service::end_on_signal(py)?;
        py.detach(|| Ok(serve_scripts(orders, control, guardian)))
    } else {
        py.detach(|| serve_requests(orders, control, guardian))
    };
    match done {
        Ok(true) => Ok(()),
        // The exit handlers have run.
        Ok(false) => process::end_now(0),
        Err(error) => Err(failed(error)),
    }
}

/// What the process cannot have, why, and what to do.
fn step(what: &str, error: impl std::fmt::Display, cure: &str) -> String {
    format!("{what} cannot be made: {error}. {cure}")
}

/// The life of a process that serves requests, from here to the point where Python is to end; false when that must not be.
fn serve_requests(
    mut orders: Orders,
    control: &'static Control,
    guardian: &'static Guardian,
) -> Result<bool, String> {
    let mut signals = Signals::catch(&orders.group.limits)
        .map_err(|error| step("what its signals are told with", error, FILES))?;
    let imports = std::mem::take(&mut orders.group.imports);
    let (threads, stack_size) = (orders.group.threads, orders.group.resources.stack_size);
    let (limits, epoch, dialect) = (orders.group.limits, orders.epoch, orders.server.dialect);
    let place = Workplace::new(orders, control)
        .map_err(|error| step("what its requests are waited for with", error, FILES))?;
    let mut ends = None;
    for import in &imports {
        ends = ends.or_else(|| signals.take().into_iter().next());
        if ends.is_none() {
            load(import, &place.group, control);
        }
    }
    let no_threads = |error| step("its threads", error, &more_threads(dialect));
    let prober = Prober::start(&limits).map_err(no_threads)?;
    let pool = Pool::start(place, threads, stack_size).map_err(no_threads)?;
    if let Some(reason) = ends {
        place.end(reason);
    } else {
        place.process().open();
        control.say(&FromWorker::Ready);
    }
    let mut monitor = Monitor::new(place, pool, prober, signals, guardian, epoch);
    let reason = monitor.watch();
    Ok(monitor.stop(reason))
}

/// The life of a process that runs scripts, one after the other.
fn serve_scripts(orders: Orders, control: &'static Control, guardian: &'static Guardian) -> bool {
    let Orders { group, board, epoch, .. } = orders;
    let shutdown = group.limits.shutdown;
    guardian.watch_supervisor(board, epoch, shutdown);
    control.say(&FromWorker::Ready);
    let name = String::from_utf8_lossy(&group.name);
    for import in &group.imports {
        if load(import, &name, control) {
            break;
        }
    }
    if let Some(limit) = shutdown {
        guardian.set_limit(limit);
    }
    let text = format!("Stopping process '{name}'.");
    control.log(Level::Info, text.as_bytes(), Wait::Never);
    wsgi::finish()
}

/// Loads a script for this group; true when it has asked for the end of the process.
fn load(import: &Import, group: &str, control: &Control) -> bool {
    let import = oxwsgi_core::abi::Import {
        script: import.script.as_slice().into(),
        script_kind: import.script_kind,
        callable: import.callable.as_slice().into(),
        factory: import.factory,
        application_group: import.application_group.as_slice().into(),
    };
    let wants_end = wsgi::import(&import);
    offspring::end(group, control);
    wants_end
}
