//! How a process ended, in words for a log.

#![forbid(unsafe_code)]

use std::fmt;

/// A status as `waitpid(2)` gives it. Displayed as `exit code 1` or `signal 9 (SIGKILL)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitStatus(pub i32);

impl WaitStatus {
    /// Of a process that nobody could wait for, because whoever had started it was gone.
    pub const UNKNOWN: Self = Self(-1);

    /// The signal that ended the process, when one has.
    pub const fn signal(self) -> Option<i32> {
        if libc::WIFSIGNALED(self.0) { Some(libc::WTERMSIG(self.0)) } else { None }
    }
}

impl fmt::Display for WaitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.signal() {
            None if *self == Self::UNKNOWN => f.write_str("an unknown status"),
            None => write!(f, "exit code {}", libc::WEXITSTATUS(self.0)),
            Some(number) => match NAMES.iter().find(|(known, _)| *known == number) {
                Some((_, name)) => write!(f, "signal {number} ({name})"),
                None => write!(f, "signal {number}"),
            },
        }
    }
}

/// Those that end processes in practice.
const NAMES: [(i32, &str); 17] = [
    (libc::SIGHUP, "SIGHUP"),
    (libc::SIGINT, "SIGINT"),
    (libc::SIGQUIT, "SIGQUIT"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGTRAP, "SIGTRAP"),
    (libc::SIGABRT, "SIGABRT"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGKILL, "SIGKILL"),
    (libc::SIGUSR1, "SIGUSR1"),
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGUSR2, "SIGUSR2"),
    (libc::SIGPIPE, "SIGPIPE"),
    (libc::SIGALRM, "SIGALRM"),
    (libc::SIGTERM, "SIGTERM"),
    (libc::SIGXCPU, "SIGXCPU"),
    (libc::SIGSYS, "SIGSYS"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_code_or_a_signal() {
        assert_eq!(WaitStatus(0).to_string(), "exit code 0");
        assert_eq!(WaitStatus(3 << 8).to_string(), "exit code 3");
        assert_eq!(WaitStatus(libc::SIGKILL).to_string(), "signal 9 (SIGKILL)");
        assert_eq!(WaitStatus(libc::SIGSEGV | 0x80).to_string(), "signal 11 (SIGSEGV)");
        assert_eq!(WaitStatus::UNKNOWN.to_string(), "an unknown status");
        assert_eq!(WaitStatus(40).to_string(), "signal 40");
    }
}
