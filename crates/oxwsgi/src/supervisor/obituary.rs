//! What is said of a process that has ended.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use oxwsgi_core::daemon::Group;
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::os::WaitStatus;
use oxwsgi_core::report::Level;

use super::recipe::lossy;

/// A process that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Obituary<'a> {
    /// Its group.
    pub group: &'a Group,
    /// What its options are called.
    pub dialect: Dialect,
    /// Its number.
    pub pid: u32,
    /// How it ended.
    pub status: WaitStatus,
    /// It had been told to end, or had said that it would.
    pub was_expected: bool,
    /// We ended it.
    pub was_killed: bool,
    /// The system has ended some process for want of memory since we last looked.
    pub out_of_memory: bool,
}

impl Obituary<'_> {
    /// How severe it is.
    pub fn level(&self) -> Level {
        let is_clean = self.status == WaitStatus(0)
            || self.was_killed
            || (self.was_expected && self.status.signal() == Some(libc::SIGTERM));
        if is_clean { Level::Info } else { Level::Error }
    }

    /// The line for the log; `then` is what follows of it.
    pub fn line(&self, then: &str) -> String {
        let Self { group, pid, .. } = self;
        format!("Process '{}' (pid={pid}) has died; {}{then}.", lossy(&group.name), self.how())
    }

    /// Why it was never ready, as a cause of its group's failure.
    pub fn early_end(&self, last_words: Option<&str>) -> String {
        let mut text = format!("its process ended before it was ready: {}", self.how());
        if let Some(words) = last_words {
            text.push_str(&format!(", and the last that it wrote is {words:?}"));
        }
        text
    }

    fn how(&self) -> String {
        let hint: Cow<'_, str> = match self.status.signal() {
            Some(libc::SIGKILL) if self.was_killed => " from its supervisor".into(),
            Some(libc::SIGKILL) if self.out_of_memory => {
                ": the system has ended processes for want of memory".into()
            }
            Some(libc::SIGXCPU) if self.group.resources.cpu_time.is_some() => {
                format!(": {}", self.dialect.option("cpu-time-limit")).into()
            }
            _ => "".into(),
        };
        format!("{}{hint}", self.status)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use oxwsgi_core::config::{DaemonGroup, Host, ProcessSettings};
    use oxwsgi_core::daemon::{Draft, LogTarget};

    use super::*;

    #[test]
    fn an_option_is_called_what_it_is_in_the_configuration() {
        let draft = Draft {
            account: None,
            server_user: 0,
            socket: Vec::new(),
            log: LogTarget::Descriptor(2, Level::Info),
            timeout: Duration::ZERO,
            executable: Path::new("/python3"),
            runtime: Path::new("/runtime.so"),
            environment: Vec::new(),
        };
        let settings = DaemonGroup::parse(&[b"shop", b"cpu-time-limit=1"], Host::Main).unwrap();
        let group = draft.complete(&settings, &ProcessSettings::default());
        for (dialect, option) in [(Dialect::Httpd, "cpu-time-limit"), (Dialect::Nginx, "cpu_time_limit")] {
            let obituary = Obituary {
                group: &group,
                dialect,
                pid: 7,
                status: WaitStatus(libc::SIGXCPU),
                was_expected: false,
                was_killed: false,
                out_of_memory: false,
            };
            let line = obituary.line("");
            assert!(line.ends_with(&format!(": {option}.")), "{line}");
        }
    }
}
