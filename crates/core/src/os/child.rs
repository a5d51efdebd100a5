//! A process that we started and have not waited for yet, and what may be asked of any process.

#![forbid(unsafe_code)]

use std::io;

use rustix::event::PollFlags;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, kill_process_group, test_kill_process,
    waitid, waitpid,
};

use super::ready;

/// A child that nobody has waited for, and leads its own process group; its number is its own until [`reap`](Self::reap).
/// It goes on when this is dropped.
#[derive(Debug)]
pub struct Process(Pid);

impl Process {
    pub(super) fn child(pid: libc::pid_t) -> Self {
        Self(Pid::from_raw(pid).expect("a child has a number"))
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.0.as_raw_nonzero().get().unsigned_abs()
    }

    /// Asks it to end (`SIGTERM`).
    pub fn terminate(&self) {
        let _ = kill_process(self.0, Signal::TERM);
    }

    /// Ends it and what it has started, as far as that is still in its process group (`SIGKILL`).
    pub fn kill_group(&self) {
        let _ = kill_process_group(self.0, Signal::KILL);
        // Before the child leads its own group, only itself can be named.
        let _ = kill_process(self.0, Signal::KILL);
    }

    /// Whether it has ended, so that it can be [reaped](Self::reap) at once.
    pub fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        matches!(waitid(WaitId::Pid(self.0), options), Ok(Some(_)))
    }

    /// The wait status, as `waitpid(2)` gives it, if the process has ended; itself otherwise.
    ///
    /// # Errors
    /// The process runs.
    pub fn reap(self) -> Result<i32, Self> {
        match waitpid(Some(self.0), WaitOptions::NOHANG) {
            Ok(Some((_, status))) => Ok(status.as_raw()),
            _ => Err(self),
        }
    }
}

/// Whether a process of that number runs; the number may be anybody's. One that has ended and was not waited for does
/// not, where the system can tell: nobody may ever wait for an orphan, in a container without an init.
pub fn is_running(pid: u32) -> bool {
    #[cfg(target_os = "linux")]
    if let Ok(process) = watch(pid) {
        return !ready(&process, PollFlags::IN).contains(PollFlags::IN);
    }
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// A descriptor that becomes readable when the process of that number has ended; it must not have been waited for.
#[cfg(target_os = "linux")]
pub fn watch(pid: u32) -> io::Result<std::os::fd::OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_processes_are_told_from_others() {
        assert!(is_running(std::process::id()));
        for nobody in [0, u32::MAX, 0x7fff_fff0] {
            assert!(!is_running(nobody), "{nobody}");
        }
        assert!(watch(0).is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_nobody_waits_for_has_ended() {
        let mut child =
            std::process::Command::new("/bin/cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        assert!(is_running(child.id()));
        drop(child.stdin.take());
        let end = watch(child.id()).unwrap();
        rustix::event::poll(&mut [rustix::event::PollFd::new(&end, PollFlags::IN)], None).unwrap();
        assert!(!is_running(child.id()));
        child.wait().unwrap();
    }
}
