//! What is said of a process that has ended.

#![forbid(unsafe_code)]

use oxwsgi_core::daemon::Group;
use oxwsgi_core::os::WaitStatus;
use oxwsgi_core::report::Level;

use super::recipe::lossy;

/// A process that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Obituary<'a> {
    /// Its group.
    pub group: &'a Group,
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
        let hint = match self.status.signal() {
            Some(libc::SIGKILL) if self.was_killed => " from its supervisor",
            Some(libc::SIGKILL) if self.out_of_memory => {
                ": the system has ended processes for want of memory"
            }
            Some(libc::SIGXCPU) if self.group.resources.cpu_time.is_some() => ": cpu-time-limit",
            _ => "",
        };
        format!("{}{hint}", self.status)
    }
}
