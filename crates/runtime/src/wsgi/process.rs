//! Python in this process: its settings, its interpreters, its start and its end.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use oxwsgi_core::abi::{Import, Start};
use oxwsgi_core::report::{Level, Number};

use crate::python::{self, Attached, Interpreter, Interpreters, Raised};
use crate::wsgi::host::{self, Host};
use crate::wsgi::report::Report;
use crate::wsgi::settings::{Settings, configuration};

/// How long the end waits for requests that are still being served.
const PATIENCE: Duration = Duration::from_secs(3);

/// The process.
#[derive(Debug)]
pub struct Process {
    settings: Settings,
    interpreters: Interpreters<Host>,
    // Threads inside `Process::enter`; the end waits for them.
    serving: AtomicUsize,
    stopping: AtomicBool,
}

static PROCESS: OnceLock<Process> = OnceLock::new();

/// Starts Python. See `RuntimeTable::start`.
pub fn start(start: &Start<'_>) -> Result<(), String> {
    if PROCESS.get().is_some() {
        return Err("Python runs in this process already".to_owned());
    }
    python::start(&configuration(start)?)
        .map_err(|error| format!("Python cannot be initialised: {error}"))?;
    let process = PROCESS.get_or_init(|| Process {
        settings: Settings::from(start),
        interpreters: Interpreters::new(),
        serving: AtomicUsize::new(0),
        stopping: AtomicBool::new(false),
    });
    process.settings.log(Level::Info, "Initializing Python runtime.");
    process.interpreters.adopt_main(|py| Host::new(py, &process.settings, b""), explain)
}

/// Loads a script before the first request. See `RuntimeTable::import`.
pub fn import(import: &Import<'_>) {
    let Some(process) = PROCESS.get() else { return };
    let imported = process.enter(&import.application_group, |py, host| {
        host.scripts().import(py, host.place(), &import.script);
    });
    if let Err(error) = imported {
        process.settings.log(Level::Error, &error.to_string());
    }
}

/// Runs the exit handlers and ends Python. See `RuntimeTable::stop`.
pub fn stop() {
    let Some(process) = PROCESS.get() else { return };
    if process.stopping.swap(true, Ordering::SeqCst) || !process.settings.destroy_interpreter {
        return;
    }
    // Before the wait: a request that is stuck must not keep the handlers from running.
    for interpreter in process.interpreters.all() {
        interpreter.attach(host::run_exit_handlers);
    }
    let deadline = Instant::now() + PATIENCE;
    while process.serving.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    // A thread that attaches after the end would be ended inside the server's code.
    let idle = process.serving.load(Ordering::SeqCst) == 0;
    if !idle || !process.interpreters.end() {
        let reason = if idle { "the application's own threads run" } else { "requests are being served" };
        process
            .settings
            .log(Level::Info, &format!("The process ends while {reason}: Python is not finalised."));
    }
}

impl Process {
    /// The process, once Python runs.
    pub fn current() -> Option<&'static Self> {
        PROCESS.get()
    }

    /// Runs `body` attached to the interpreter of this application group, which is made if need be.
    pub fn enter<R>(
        &'static self,
        group: &[u8],
        body: impl for<'py> FnOnce(Attached<'py>, &'static Host) -> R,
    ) -> Result<R, EnterError> {
        let _serving = Serving::begin(self)?;
        let interpreter = self.interpreter(group)?;
        Ok(interpreter.attach(body))
    }

    fn interpreter(&'static self, group: &[u8]) -> Result<&'static Interpreter<Host>, EnterError> {
        if let Some(interpreter) = self.interpreters.find(group) {
            return Ok(interpreter);
        }
        let made = self.interpreters.find_or_make(group, |py| Host::new(py, &self.settings, group), explain);
        made.map_err(|reason| EnterError::Interpreter {
            group: String::from_utf8_lossy(group).into_owned(),
            reason: reason.unwrap_or_else(|| "Python could not create it".to_owned()),
        })
    }
}

/// Why a request did not get into its interpreter.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// The process is ending.
    #[error("{}: The process is ending; the request is refused.", Number(1002))]
    Stopping,
    /// The interpreter could not be made.
    #[error("{}: Cannot acquire interpreter '{group}': {reason}", Number(87))]
    Interpreter {
        /// The application group.
        group: String,
        /// The exception.
        reason: String,
    },
}

/// Counts a thread in for as long as it lives.
struct Serving<'a>(&'a Process);

impl<'a> Serving<'a> {
    fn begin(process: &'a Process) -> Result<Self, EnterError> {
        process.serving.fetch_add(1, Ordering::SeqCst);
        let serving = Self(process);
        // After the count, so that the end either sees this thread or this thread sees the end.
        if process.stopping.load(Ordering::SeqCst) { Err(EnterError::Stopping) } else { Ok(serving) }
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.0.serving.fetch_sub(1, Ordering::SeqCst);
    }
}

fn explain(py: Attached<'_>, raised: Raised<'_>) -> String {
    let exception = raised.take();
    if let Some(process) = PROCESS.get() {
        Report::Process(&process.settings).write(py, Level::Error, exception.lines());
    }
    format!("{}: {}", exception.name(), exception.message())
}
