//! Python in this process: its settings, its interpreters, its start and its end.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use oxwsgi_core::abi::{Import, Start};
use oxwsgi_core::report::{Level, Number};

use crate::python::{self, Attached, Interpreter, Interpreters, Raised};
use crate::wsgi::callbacks::Event;
use crate::wsgi::host::{self, Host};
use crate::wsgi::report::Report;
use crate::wsgi::settings::{Settings, configuration};
use crate::wsgi::watch;

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
    let process = Process::begin(Settings::from(start));
    process.settings.log(Level::Info, "Initializing Python runtime.");
    process.interpreters.adopt_main(|py| Host::new(py, &process.settings, b""), explain)
}

/// Makes the `python` that runs this a daemon process's.
pub fn adopt(py: Attached<'_>, settings: Settings) -> Result<(), String> {
    if PROCESS.get().is_some() {
        return Err("this process is a daemon process already".to_owned());
    }
    let process = Process::begin(settings);
    let text = format!("Initializing Python runtime in daemon process '{}'.", process.settings.group_name());
    Report::Process(&process.settings).write(py, Level::Info, vec![text]);
    process.interpreters.adopt(py, |py| Host::new(py, &process.settings, b""), explain)
}

/// Loads a script before the first request. See `RuntimeTable::import`. True when a service's script wants the process to end.
pub fn import(import: &Import<'_>) -> bool {
    let Some(process) = PROCESS.get() else { return false };
    let imported =
        process.enter(&import.application_group, |py, host| host.scripts().import(py, host.place(), import));
    imported.unwrap_or_else(|error| {
        process.settings.log(Level::Error, &error.to_string());
        false
    })
}

/// Tells the application, in each of its interpreters, of something that happens to the process.
pub fn publish(event: Event<'_>) {
    for interpreter in Process::all_interpreters() {
        interpreter.attach(|py, host| host.publish(py, event));
    }
}

/// Runs the exit handlers and ends Python. See `RuntimeTable::stop`.
pub fn stop() {
    let Some(process) = PROCESS.get() else { return };
    if process.stopping.swap(true, Ordering::SeqCst) {
        return;
    }
    publish(Event::ProcessStopping(""));
    if !process.settings.destroy_interpreter {
        return;
    }
    // Before the wait: a request that is stuck must not keep the handlers from running.
    process.run_exit_handlers();
    let deadline = Instant::now() + PATIENCE;
    while process.serving.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    // A thread that attaches after the end would be ended inside the server's code.
    let idle = process.serving.load(Ordering::SeqCst) == 0;
    if !idle || !process.interpreters.end() {
        process.log_unfinished(if idle { OWN_THREADS } else { "requests are being served" });
    }
}

/// Runs the exit handlers of a daemon process and ends its sub-interpreters, when no thread serves requests any more. False when
/// the process must end without finalising Python.
pub fn finish() -> bool {
    let Some(process) = PROCESS.get() else { return true };
    process.stopping.store(true, Ordering::SeqCst);
    if !process.settings.destroy_interpreter {
        return false;
    }
    process.run_exit_handlers();
    let ended = process.interpreters.end_others();
    if !ended {
        process.log_unfinished(OWN_THREADS);
    }
    ended
}

const OWN_THREADS: &str = "the application's own threads run";

impl Process {
    /// The process, once Python runs.
    pub fn current() -> Option<&'static Self> {
        PROCESS.get()
    }

    fn begin(settings: Settings) -> &'static Self {
        PROCESS.get_or_init(|| Self {
            settings,
            interpreters: Interpreters::new(),
            serving: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        })
    }

    /// How it was told to run.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All interpreters, the main one first; none before Python runs.
    pub fn all_interpreters() -> Vec<&'static Interpreter<Host>> {
        PROCESS.get().map(|process| process.interpreters.all()).unwrap_or_default()
    }

    /// Runs `body` attached to the interpreter of this application group, which is made if need be.
    pub fn enter<R>(
        &'static self,
        group: &[u8],
        body: impl for<'py> FnOnce(Attached<'py>, &'static Host) -> R,
    ) -> Result<R, EnterError> {
        let _serving = Serving::begin(self)?;
        let interpreter = self.interpreter(group)?;
        Ok(interpreter.attach(|py, host| {
            watch::enter(py, interpreter.address().addr());
            let result = body(py, host);
            watch::leave(py);
            result
        }))
    }

    fn run_exit_handlers(&self) {
        for interpreter in self.interpreters.all() {
            interpreter.attach(host::run_exit_handlers);
        }
    }

    fn log_unfinished(&self, reason: &str) {
        self.settings.log(Level::Info, &format!("The process ends while {reason}: Python is not finalised."));
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
