//! The server's process: started in the foreground in a process group of its own, told to restart or stop, and never left
//! behind. Only the main thread starts it, see [`before_exec::end_with_us`].

#![forbid(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::problem::Problem;
use crate::serve::account::Account;
use crate::serve::before_exec;
use crate::serve::descendants;

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pid: Pid,
}

impl Server {
    /// Starts it by `command`; gives its access log (standard output) and error log.
    ///
    /// # Errors
    /// The program cannot be executed.
    pub fn start(
        mut command: Command,
        account: Option<&Account>,
    ) -> Result<(Self, ChildStdout, ChildStderr), Problem> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A terminal sends Ctrl-C to its whole foreground group; the server is stopped by us, in order.
        command.process_group(0);
        // It would win over WSGIPythonHome's virtual environment.
        command.env_remove("PYTHONHOME");
        if let Some(account) = account {
            // Libraries keep caches in the home directory, and root's is closed to the application.
            command.env("HOME", &account.home).env("USER", &account.name).env("LOGNAME", &account.name);
        }
        before_exec::end_with_us(&mut command, Signal::TERM);
        descendants::adopt_orphans()?;
        let program = command.get_program().to_string_lossy().into_owned();
        let failed = |why: String| Problem::new(format!("{program} cannot be run: {why}"));
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(failed("it has no output".to_owned()));
        };
        let pid = Pid::from_child(&child);
        Ok((Self { child, pid }, out, err))
    }

    /// Lets new processes of httpd's take over; the present ones finish their requests.
    pub fn restart(&self) {
        let _ = kill_process(self.pid, Signal::USR1);
    }

    /// Has daemon processes replaced; they finish their requests.
    pub fn replace(&self, pids: &[u32]) {
        for pid in pids {
            descendants::signal(*pid, Signal::USR1);
        }
    }

    /// Asks the server to end its children and itself.
    pub fn stop(&self, signal: Signal) {
        let _ = kill_process(self.pid, signal);
    }

    /// Ends the server, its children, and what these have started, at once.
    pub fn kill(&self) {
        let _ = kill_process_group(self.pid, Signal::KILL);
        descendants::kill_all(self.pid);
    }

    /// Lets go of other processes that have ended.
    pub fn reap_others(&self) {
        descendants::reap_orphans(self.pid);
    }

    /// Ends a process below it that does not finish.
    pub fn kill_process(&self, pid: u32) {
        descendants::signal(pid, Signal::KILL);
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}
