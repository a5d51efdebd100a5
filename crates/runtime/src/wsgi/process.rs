//! Python in this process: its settings, its interpreters, its start and its end.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use oxwsgi_core::abi::{Import, LogSink, Start};
use oxwsgi_core::borrowed::{Bytes, Slice};
use oxwsgi_core::report::{Level, Number};

use crate::python::{self, Attached, Configuration, HashSeed, Interpreter, Interpreters, Raised};
use crate::wsgi::host::Host;
use crate::wsgi::traceback;
use crate::wsgi::{application, host};

/// How long the end waits for requests that are still being served.
const PATIENCE: Duration = Duration::from_secs(3);

/// What `start` was told, kept.
#[derive(Debug)]
#[allow(missing_docs, reason = "each is the field of `oxwsgi_core::abi::Start` of its name")]
pub struct Settings {
    pub log: LogSink,
    pub log_level: Level,
    pub python_path: Vec<Vec<u8>>,
    pub python_eggs: Option<Vec<u8>>,
    pub switch_interval: f64,
    pub restrict_stdin: bool,
    pub restrict_stdout: bool,
    pub restrict_signal: bool,
    pub single_process: bool,
    pub destroy_interpreter: bool,
    pub case_sensitivity: bool,
    pub multithread: bool,
    pub multiprocess: bool,
    pub process_group: Vec<u8>,
    pub maximum_processes: u32,
    pub threads_per_process: u32,
    pub server_version: [u32; 3],
    pub server_description: Vec<u8>,
    pub mpm_name: Vec<u8>,
    pub server_built: Vec<u8>,
}

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
    process.log(
        Level::Info,
        &format!("Initializing Python runtime {}.", context(&process.settings.process_group, None)),
    );
    process.interpreters.adopt_main(|py| Host::new(py, process, b""), explain)
}

/// Loads a script before the first request. See `RuntimeTable::import`.
pub fn import(import: &Import<'_>) {
    let Some(process) = PROCESS.get() else { return };
    let imported = process.enter(&import.application_group, |py, host| {
        application::import(py, host, &import.script);
    });
    if let Err(error) = imported {
        process.log(Level::Error, &error.to_string());
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
        process.log(Level::Info, &format!("The process ends while {reason}: Python is not finalised."));
    }
}

impl Process {
    /// The process, once Python runs.
    pub fn current() -> Option<&'static Self> {
        PROCESS.get()
    }

    /// What `start` was told.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Writes a line to the server's log, outside any request. May block: not while attached.
    pub fn log(&self, level: Level, line: &str) {
        if level <= self.settings.log_level {
            self.settings.log.write(level, line.as_bytes());
        }
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
        let made = self.interpreters.find_or_make(group, |py| Host::new(py, self, group), explain);
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

/// "main interpreter in embedded mode" and its kin, as log lines name a place.
pub fn context(process_group: &[u8], application_group: Option<&[u8]>) -> String {
    let interpreter = match application_group {
        None => String::new(),
        Some(b"") => "main interpreter ".to_owned(),
        Some(name) => format!("sub-interpreter '{}' ", String::from_utf8_lossy(name)),
    };
    if process_group.is_empty() {
        return format!("{interpreter}in embedded mode");
    }
    let preposition = if application_group.is_some() { "of" } else { "in" };
    format!("{interpreter}{preposition} daemon process '{}'", String::from_utf8_lossy(process_group))
}

fn explain(py: Attached<'_>, raised: Raised<'_>) -> String {
    let exception = raised.take();
    let text = format!("{}: {}", exception.name(), exception.message());
    if let Some(process) = PROCESS.get() {
        traceback::log_outside_request(py, process, &exception);
    }
    text
}

fn configuration(start: &Start<'_>) -> Result<Configuration, String> {
    let c_string = |bytes: &Bytes<'_>| {
        std::ffi::CString::new(bytes.to_vec())
            .map_err(|_| "a Python setting holds a NUL character".to_owned())
    };
    let hash_seed = match start.python_hash_seed.get() {
        None => None,
        Some(b"random") => Some(HashSeed::Random),
        Some(number) => {
            let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
            Some(HashSeed::Fixed(number.ok_or("the hash seed is neither \"random\" nor a 32 bit number")?))
        }
    };
    Ok(Configuration {
        executable: c_string(&start.executable)?,
        optimize: start.python_optimize,
        dont_write_bytecode: start.dont_write_bytecode,
        warnings: start.python_warnings.iter().map(c_string).collect::<Result<_, _>>()?,
        hash_seed,
    })
}

impl From<&Start<'_>> for Settings {
    fn from(start: &Start<'_>) -> Self {
        let owned = |items: Slice<'_, Bytes<'_>>| items.iter().map(|item| item.to_vec()).collect();
        Self {
            log: start.log,
            log_level: start.log_level,
            python_path: owned(start.python_path),
            python_eggs: start.python_eggs.get().map(<[u8]>::to_vec),
            switch_interval: start.switch_interval,
            restrict_stdin: start.restrict_stdin,
            restrict_stdout: start.restrict_stdout,
            restrict_signal: start.restrict_signal,
            single_process: start.single_process,
            destroy_interpreter: start.destroy_interpreter,
            case_sensitivity: start.case_sensitivity,
            multithread: start.multithread,
            multiprocess: start.multiprocess,
            process_group: start.process_group.to_vec(),
            maximum_processes: start.maximum_processes,
            threads_per_process: start.threads_per_process,
            server_version: start.server_version,
            server_description: start.server_description.to_vec(),
            mpm_name: start.mpm_name.to_vec(),
            server_built: start.server_built.to_vec(),
        }
    }
}
