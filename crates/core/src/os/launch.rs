//! Starts a program of someone else's that runs for long: as the account it belongs to, within limits, with none of our
//! descriptors but one. What stops it on the way to `exec` is read from a pipe, so that nobody has to wait for the child: a
//! folder on a server that does not answer holds up nobody else.

#![allow(unsafe_code, reason = "forks, and between fork and exec there is only the C library")]

use std::ffi::{CString, c_char, c_int};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::account::{Account, errno};
use super::child::Process;
use super::forked::{clear, reset_signals, take_descriptors};
use super::obstacle::{Obstacle, Step, note, obstacles};
use super::signals::with_all_blocked;

/// The descriptor that the program gets beside the standard ones.
const EXTRA: RawFd = 3;
/// Where the child keeps the pipe for its own notes, until `exec`.
const NOTES: RawFd = EXTRA + 1;
/// Of the notes, in bytes: far more than a child writes.
const MOST_NOTES: u64 = 64 * 1024;

/// A program to start, as often as needed.
#[derive(Clone, Debug)]
pub struct Launch {
    arguments: Vec<CString>,
    environment: Vec<CString>,
    limits: Vec<Limit>,
    priority: i32,
    umask: Option<u32>,
    root: Option<CString>,
    account: Option<Account>,
    folders: Vec<CString>,
}

/// One limit of the kernel's (`setrlimit(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Of what.
    pub kind: LimitKind,
    /// Where the process is told, or refused more.
    pub soft: u64,
    /// Where it is ended, and how far it may raise the soft one itself.
    pub hard: u64,
}

/// What the kernel limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// Processor time, in seconds.
    Cpu,
    /// Private writable memory, in bytes.
    Data,
    /// Address space, in bytes.
    AddressSpace,
    /// Open descriptors.
    Descriptors,
}

/// A started program that has not been heard of yet.
#[derive(Debug)]
pub struct Launched {
    /// The process.
    pub process: Process,
    /// What the child notes on its way; ends when the program runs, or the child has given up.
    pub notes: Notes,
}

/// Read end of the pipe with a child's notes; never waits.
#[derive(Debug)]
pub struct Notes {
    pipe: File,
    read: Vec<u8>,
}

impl Launch {
    /// The program that the first of `arguments` names, with the variables of `environment` (`NAME=value`) and no others.
    pub fn new(arguments: Vec<CString>, environment: Vec<CString>) -> Self {
        Self {
            arguments,
            environment,
            limits: Vec::new(),
            priority: 0,
            umask: None,
            root: None,
            account: None,
            folders: Vec::new(),
        }
    }

    /// Within these limits; one that is stricter already stays.
    pub fn limits(self, limits: Vec<Limit>) -> Self {
        Self { limits, ..self }
    }

    /// With this nice value, if the system allows it; 0 leaves the one of this process.
    pub fn priority(self, priority: i32) -> Self {
        Self { priority, ..self }
    }

    /// With this mask for new files instead of the one of this process.
    pub fn umask(self, umask: Option<u32>) -> Self {
        Self { umask, ..self }
    }

    /// Sees `root` as the root of the file system.
    pub fn root(self, root: Option<CString>) -> Self {
        Self { root, ..self }
    }

    /// Runs as `account` instead of as ourselves.
    pub fn account(self, account: Option<Account>) -> Self {
        Self { account, ..self }
    }

    /// In the first of these folders that it can enter. Entered by the account, not by root; each that cannot be entered
    /// makes a note.
    pub fn folders(self, folders: Vec<CString>) -> Self {
        Self { folders, ..self }
    }

    /// Starts it, with the null device as its input, `output` for output and errors, and `extra` as descriptor 3.
    pub fn start(&self, output: BorrowedFd<'_>, extra: BorrowedFd<'_>) -> io::Result<Launched> {
        let (notes, child_notes) = io::pipe()?;
        let notes = Notes { pipe: File::from(OwnedFd::from(notes)), read: Vec::new() };
        rustix::io::ioctl_fionbio(&notes.pipe, true)?;
        let null = clear(&File::open("/dev/null")?)?;
        let (output, extra, child_notes) = (clear(&output)?, clear(&extra)?, clear(&child_notes)?);
        let descriptors = [&null, &output, &output, &extra, &child_notes].map(AsRawFd::as_raw_fd);
        let (arguments, environment) = (pointers(&self.arguments), pointers(&self.environment));
        // A signal for the child finds no handler of ours there, but waits until it has the system's own.
        with_all_blocked(|| {
            // SAFETY: the child calls nothing but `Launch::run`, which keeps to functions that are allowed there.
            match unsafe { libc::fork() } {
                -1 => Err(io::Error::last_os_error()),
                0 => self.run(&descriptors, &arguments, &environment),
                pid => Ok(Launched { process: Process::child(pid), notes }),
            }
        })
    }

    /// The child, from fork to exec: no allocation, no lock (POSIX.1-2017, `fork`).
    fn run(&self, descriptors: &[RawFd], arguments: &[*const c_char], environment: &[*const c_char]) -> ! {
        take_descriptors(descriptors);
        reset_signals();
        // Of its own group, so that it and what it starts can be ended at once, and no terminal's signals reach it.
        let _ = rustix::process::setsid();
        for (index, limit) in self.limits.iter().enumerate() {
            if let Err(error) = limit.set() {
                give_up(Step::Limit(index), error.raw_os_error(), None);
            }
        }
        if self.priority != 0
            && let Err(error) = rustix::process::setpriority_process(None, self.priority)
        {
            note(NOTES, Step::Priority, error.raw_os_error(), None);
        }
        if let Some(mask) = self.umask {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
        }
        if let Some(root) = &self.root
            && let Err(error) = rustix::process::chroot(root.as_c_str())
        {
            give_up(Step::Root, error.raw_os_error(), Some(root));
        }
        let _ = rustix::process::chdir(c"/");
        if let Some(account) = &self.account
            && let Err(reason) = account.assume()
        {
            give_up(Step::Identity, reason, None);
        }
        // From here on nothing is done that the account could not do by itself.
        self.enter_folder();
        // SAFETY: C text, and lists that end in null, made before the fork.
        unsafe { libc::execve(arguments[0], arguments.as_ptr(), environment.as_ptr()) };
        give_up(Step::Execute(0), errno(), self.arguments.first());
    }

    fn enter_folder(&self) {
        let mut folders = self.folders.iter().peekable();
        while let Some(folder) = folders.next() {
            match rustix::process::chdir(folder.as_c_str()) {
                Ok(()) => return,
                Err(error) if folders.peek().is_none() => {
                    give_up(Step::Folder, error.raw_os_error(), Some(folder))
                }
                Err(error) => note(NOTES, Step::Folder, error.raw_os_error(), Some(folder)),
            }
        }
    }
}

impl Limit {
    /// Sets it for this process. May be called between fork and exec.
    fn set(&self) -> Result<(), rustix::io::Errno> {
        let resource = match self.kind {
            LimitKind::Cpu => Resource::Cpu,
            LimitKind::Data => Resource::Data,
            LimitKind::AddressSpace => Resource::As,
            LimitKind::Descriptors => Resource::Nofile,
        };
        let Err(error) = setrlimit(resource, Rlimit { current: Some(self.soft), maximum: Some(self.hard) })
        else {
            return Ok(());
        };
        // Only root may raise a hard limit: then the stricter one stays.
        match getrlimit(resource).maximum {
            Some(maximum) if error == rustix::io::Errno::PERM && maximum < self.hard => {
                let current = Some(self.soft.min(maximum));
                setrlimit(resource, Rlimit { current, maximum: Some(maximum) })
            }
            _ => Err(error),
        }
    }
}

impl Notes {
    /// What was noted, once the child is at its end or the program runs; none when that is still to come.
    pub fn take(&mut self) -> io::Result<Option<Vec<Obstacle>>> {
        let room = MOST_NOTES.saturating_sub(self.read.len() as u64);
        match Read::by_ref(&mut self.pipe).take(room).read_to_end(&mut self.read) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
            Ok(_) => Ok(Some(obstacles(&self.read))),
        }
    }
}

impl std::os::fd::AsFd for Notes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

fn give_up(step: Step, reason: c_int, path: Option<&CString>) -> ! {
    note(NOTES, step, reason, path);
    // SAFETY: ends the child at once, without the exit handlers of the process it is a copy of.
    unsafe { libc::_exit(127) }
}

/// Lets this process have as many descriptors open as it may; gives the limit that was there, for those that it starts.
pub fn raise_descriptor_limit() -> Option<Limit> {
    let was = getrlimit(Resource::Nofile);
    let (soft, hard) = (was.current?, was.maximum?);
    setrlimit(Resource::Nofile, Rlimit { current: Some(hard), maximum: Some(hard) }).ok()?;
    Some(Limit { kind: LimitKind::Descriptors, soft, hard })
}

#[cfg(test)]
mod tests;
