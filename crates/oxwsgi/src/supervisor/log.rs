//! The logs that lines go to: the server's error logs, or the system's log. No process of a site holds one.

#![forbid(unsafe_code)]

mod line;
mod outlet;
mod pipe;
mod syslog_server;

use oxwsgi_core::daemon::LogTarget;
use oxwsgi_core::report::{Level, Number};

use outlet::Outlet;

/// All logs of one server.
#[derive(Debug, Default)]
pub struct Logs {
    sinks: Vec<Sink>,
}

/// One of the [`Logs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log(usize);

#[derive(Debug)]
struct Sink {
    target: LogTarget,
    outlets: Vec<Outlet>,
}

impl Logs {
    /// The log that `target` names.
    ///
    /// # Errors
    /// Its descriptor is not open.
    pub fn open(&mut self, target: &LogTarget) -> Result<Log, String> {
        if let Some(known) = self.sinks.iter().position(|sink| sink.target == *target) {
            return Ok(Log(known));
        }
        let outlets = Outlet::of(target)?;
        self.sinks.push(Sink { target: target.clone(), outlets });
        Ok(Log(self.sinks.len() - 1))
    }

    /// Writes a text of process `pid`, if the log is to have such.
    pub fn write(&mut self, log: Log, level: Level, pid: u32, text: &[u8]) {
        for outlet in &mut self.sinks[log.0].outlets {
            if outlet.takes(level) {
                outlet.write(level, pid, text);
            }
        }
    }

    /// Writes a text of this process.
    pub fn say(&mut self, log: Log, level: Level, text: &str) {
        self.write(log, level, std::process::id(), text.as_bytes());
    }

    /// Writes a numbered text of this process.
    pub fn report(&mut self, log: Log, level: Level, number: u16, text: &str) {
        self.say(log, level, &format!("{}: {text}", Number(number)));
    }
}

#[cfg(test)]
mod tests;
