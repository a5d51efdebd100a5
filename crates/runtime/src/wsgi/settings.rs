//! How Python runs in this process, as the server's module said when it started it, or the plan of its daemon group.

use std::ffi::CString;

use oxwsgi_core::abi::{LogSink, Start};
use oxwsgi_core::borrowed::{Bytes, Slice};
use oxwsgi_core::daemon::{Group, Server};
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::report::Level;

use crate::python::{Configuration, HashSeed};

/// What `start` was told, kept.
#[derive(Debug)]
#[allow(
    missing_docs,
    reason = "each is the field of its name of `oxwsgi_core::abi::Start` or `oxwsgi_core::daemon::Group`"
)]
pub struct Settings {
    pub log: LogSink,
    pub log_level: Level,
    pub python_path: Vec<Vec<u8>>,
    pub home: Option<Vec<u8>>,
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
    pub run_once: bool,
    pub process_group: Vec<u8>,
    pub maximum_processes: u32,
    pub threads_per_process: u32,
    pub dialect: Dialect,
    pub server_version: [u32; 3],
    pub server_description: Vec<u8>,
    pub mpm_name: Vec<u8>,
    pub server_built: Vec<u8>,
}

impl From<&Start<'_>> for Settings {
    fn from(start: &Start<'_>) -> Self {
        let owned = |items: Slice<'_, Bytes<'_>>| items.iter().map(|item| item.to_vec()).collect();
        Self {
            log: start.log,
            log_level: start.log_level,
            python_path: owned(start.python_path),
            home: None,
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
            run_once: false,
            process_group: start.process_group.to_vec(),
            maximum_processes: start.maximum_processes,
            threads_per_process: start.threads_per_process,
            // No other server runs Python in its own processes.
            dialect: Dialect::Httpd,
            server_version: start.server_version,
            server_description: start.server_description.to_vec(),
            mpm_name: start.mpm_name.to_vec(),
            server_built: start.server_built.to_vec(),
        }
    }
}

impl Settings {
    /// For a daemon process of `group`. Lines outside of requests go to `log`.
    pub fn of_group(group: &Group, server: &Server, log: LogSink) -> Self {
        let python = &group.python;
        let is_service = group.threads == 0;
        Self {
            log,
            log_level: group.log.level(),
            python_path: python.path.clone(),
            home: group.home.clone(),
            python_eggs: python.eggs.clone(),
            switch_interval: python.switch_interval,
            restrict_stdin: python.restrict_stdin,
            restrict_stdout: python.restrict_stdout,
            // A service has its process to itself.
            restrict_signal: python.restrict_signal && !is_service,
            single_process: false,
            destroy_interpreter: python.destroy_interpreter,
            case_sensitivity: python.case_sensitivity,
            multithread: group.threads != 1,
            multiprocess: group.multiprocess,
            run_once: group.threads == 1 && group.limits.maximum_requests == Some(1),
            process_group: group.name.clone(),
            maximum_processes: group.processes,
            threads_per_process: group.threads,
            dialect: server.dialect,
            server_version: server.version,
            server_description: server.description.clone(),
            mpm_name: server.mpm_name.clone(),
            server_built: server.built.clone(),
        }
    }

    /// Whether this is a daemon process, and not one of the server's own.
    pub const fn is_daemon(&self) -> bool {
        !self.process_group.is_empty()
    }

    /// Whether this is a daemon process that runs scripts and serves no requests.
    pub const fn is_service(&self) -> bool {
        self.is_daemon() && self.threads_per_process == 0
    }

    /// Whether the server is httpd, of which an application can learn more.
    pub fn is_httpd(&self) -> bool {
        self.dialect == Dialect::Httpd
    }

    /// The name of the process group, for log lines.
    pub fn group_name(&self) -> String {
        String::from_utf8_lossy(&self.process_group).into_owned()
    }

    /// Writes a line to the server's log, outside any request. May block: not while attached.
    pub fn log(&self, level: Level, line: &str) {
        if level <= self.log_level {
            self.log.write(level, line.as_bytes());
        }
    }
}

/// How Python itself starts; or what is wrong with it.
pub fn configuration(start: &Start<'_>) -> Result<Configuration, String> {
    let c_string = |bytes: &Bytes<'_>| {
        CString::new(bytes.to_vec()).map_err(|_| "a Python setting holds a NUL character".to_owned())
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
