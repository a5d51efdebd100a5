//! Runs a program of someone else's as the account it belongs to, and reads what it answers: never as root, with none
//! of our descriptors, bounded in output and time.

#![allow(unsafe_code, reason = "forks, and between fork and exec there is only the C library")]

use std::ffi::{CString, c_char, c_int};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Instant;

use super::account::{Account, errno};
use super::forked::{clear, reset_signals, take_descriptors};
use super::obstacle::{Step, note};
use super::running::{Child, Running};

/// Where the child keeps the pipe for its own notes: right after the three standard ones.
const NOTES: RawFd = 3;

/// A program to run.
#[derive(Clone, Debug)]
pub struct Errand {
    programs: Vec<CString>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    account: Option<Account>,
    root: Option<CString>,
    files: Vec<CString>,
}

impl Errand {
    /// The first of `programs` that the account may execute, with `arguments` after its name, and no variables.
    pub fn new(programs: Vec<CString>, arguments: Vec<CString>) -> Self {
        let environment = Vec::new();
        Self { programs, arguments, environment, account: None, root: None, files: Vec::new() }
    }

    /// With the variables of `environment` (`NAME=value`).
    pub fn environment(self, environment: Vec<CString>) -> Self {
        Self { environment, ..self }
    }

    /// Runs as `account` instead of as ourselves.
    pub fn account(self, account: Option<Account>) -> Self {
        Self { account, ..self }
    }

    /// Sees `root` as the root of the file system.
    pub fn root(self, root: Option<CString>) -> Self {
        Self { root, ..self }
    }

    /// Has the account try to open each of `files` for reading first.
    pub fn try_reading(self, files: Vec<CString>) -> Self {
        Self { files, ..self }
    }

    /// Starts it. All that the child needs is laid out before the fork.
    pub fn launch(&self) -> io::Result<Running> {
        let (notes, child_notes) = pipe()?;
        let (output, child_output) = pipe()?;
        let (errors, child_errors) = pipe()?;
        let null = File::open("/dev/null")?;
        let arguments: Vec<Vec<*const c_char>> = self
            .programs
            .iter()
            .map(|program| {
                let rest = self.arguments.iter().map(|argument| argument.as_ptr());
                [program.as_ptr()].into_iter().chain(rest).chain([ptr::null()]).collect()
            })
            .collect();
        let environment: Vec<_> =
            self.environment.iter().map(|variable| variable.as_ptr()).chain([ptr::null()]).collect();
        let standard =
            [null.as_raw_fd(), child_output.as_raw_fd(), child_errors.as_raw_fd(), child_notes.as_raw_fd()];
        // SAFETY: the child calls nothing but `Errand::run`, which keeps to functions that are allowed there.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => self.run(standard, &arguments, &environment),
            pid => Ok(Running { since: Instant::now(), child: Child(pid), notes, output, errors }),
        }
    }

    /// The child, from fork to exec: no allocation, no lock (POSIX.1-2017, `fork`).
    fn run(
        &self,
        standard: [RawFd; 4],
        arguments: &[Vec<*const c_char>],
        environment: &[*const c_char],
    ) -> ! {
        self.prepare(standard);
        for (index, (program, arguments)) in self.programs.iter().zip(arguments).enumerate() {
            // SAFETY: C text and lists that end in null, made before the fork.
            unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
            note(NOTES, Step::Execute(index), errno(), Some(program));
        }
        // SAFETY: ends the child at once, without the exit handlers of the server it is a copy of.
        unsafe { libc::_exit(127) }
    }

    fn prepare(&self, standard: [RawFd; 4]) {
        take_descriptors(&standard);
        reset_signals();
        // Away from the server's terminal and process group, so that the whole errand can be ended at once.
        // SAFETY: takes nothing.
        unsafe { libc::setsid() };
        if let Some(root) = &self.root {
            // SAFETY: C text.
            if unsafe { libc::chroot(root.as_ptr()) } != 0 {
                give_up(Step::Root, errno());
            }
        }
        // SAFETY: C text.
        unsafe { libc::chdir(c"/".as_ptr()) };
        if let Some(account) = &self.account
            && let Err(reason) = account.assume()
        {
            give_up(Step::Identity, reason);
        }
        for (index, file) in self.files.iter().enumerate() {
            // SAFETY: C text.
            let opened = unsafe { libc::open(file.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
            if opened < 0 {
                note(NOTES, Step::Read(index), errno(), Some(file));
            } else {
                // SAFETY: just opened.
                unsafe { libc::close(opened) };
            }
        }
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = io::pipe()?;
    Ok((ours.into(), clear(&theirs)?))
}

fn give_up(step: Step, reason: c_int) -> ! {
    note(NOTES, step, reason, None);
    // SAFETY: as in `Errand::run`.
    unsafe { libc::_exit(127) }
}

#[cfg(test)]
mod tests;
