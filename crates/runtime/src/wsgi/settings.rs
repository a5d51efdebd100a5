//! How Python runs in this process, as the server's module said when it started it.

use std::ffi::CString;

use oxwsgi_core::abi::{LogSink, Start};
use oxwsgi_core::borrowed::{Bytes, Slice};
use oxwsgi_core::report::Level;

use crate::python::{Configuration, HashSeed};

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

impl Settings {
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
