//! An errand under way, seen by its parent: what it answers, and its end, which comes at the latest when time is up.

#![allow(unsafe_code, reason = "waits for a process, and polls its pipes")]

use std::ffi::c_int;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::{Duration, Instant};

use libc::pid_t;

use super::account::errno;
use super::obstacle::{Obstacle, obstacles};

/// More than this from a program is no answer (bytes, each of output and errors).
const LONGEST_ANSWER: usize = 64 * 1024;

/// An errand under way. Ended when dropped.
#[derive(Debug)]
pub struct Running {
    pub(super) since: Instant,
    pub(super) child: Child,
    pub(super) notes: OwnedFd,
    pub(super) output: OwnedFd,
    pub(super) errors: OwnedFd,
}

/// A process of ours that nobody has waited for; killed, with all that it started, when dropped.
#[derive(Debug)]
pub(super) struct Child(pub(super) pid_t);

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With this exit status; 127 also when it never ran.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It took too long, or said too much, and was ended.
    Stopped,
}

/// What came of an errand.
#[derive(Debug)]
pub struct Report {
    /// What went wrong on the way, in order.
    pub obstacles: Vec<Obstacle>,
    /// What the program wrote to its standard output: someone else's words.
    pub output: Vec<u8>,
    /// What it wrote to its standard error.
    pub errors: Vec<u8>,
    /// How it ended.
    pub end: End,
}

impl Running {
    /// Waits for the end, at most for `limit` from its start on; then the program is killed.
    pub fn collect(self, limit: Duration) -> io::Result<Report> {
        let deadline = self.since + limit;
        let mut flows: [Vec<u8>; 3] = Default::default();
        let in_time = self.read_until(deadline, &mut flows)?;
        let ended = if in_time { self.child.wait_until(deadline)? } else { None };
        let end = match ended {
            None => End::Stopped,
            Some(status) if libc::WIFEXITED(status) => End::Exited(libc::WEXITSTATUS(status)),
            Some(status) => End::Signalled(libc::WTERMSIG(status)),
        };
        if ended.is_some() {
            // Waited for, so the number may be someone else's by now.
            std::mem::forget(self.child);
        }
        let [notes, output, errors] = flows;
        Ok(Report { obstacles: obstacles(&notes), output, errors, end })
    }

    /// Reads all three pipes to their ends; whether that came in time and within bounds.
    fn read_until(&self, deadline: Instant, flows: &mut [Vec<u8>; 3]) -> io::Result<bool> {
        let mut polled = [&self.notes, &self.output, &self.errors].map(|descriptor| libc::pollfd {
            fd: descriptor.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        });
        while polled.iter().any(|entry| entry.fd >= 0) {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = left.as_micros().div_ceil(1000);
            let left = c_int::try_from(left).unwrap_or(c_int::MAX);
            // SAFETY: three entries of our own.
            match unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as _, left) } {
                // What came in time is read, however late somebody asks for it.
                0 if left == 0 => return Ok(false),
                0.. => {}
                _ => {
                    let error = io::Error::last_os_error();
                    if error.kind() == io::ErrorKind::Interrupted {
                        continue;
                    }
                    return Err(error);
                }
            }
            for (entry, flow) in polled.iter_mut().zip(flows.iter_mut()) {
                if entry.revents == 0 {
                    continue;
                }
                let mut piece = [0; 4096];
                match read(entry.fd, &mut piece)? {
                    // poll skips negative descriptors.
                    0 => entry.fd = -1,
                    count => flow.extend_from_slice(&piece[..count]),
                }
                if flow.len() > LONGEST_ANSWER {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

impl Child {
    /// Its status, when it ends in time. It has closed its output, so it is about to.
    fn wait_until(&self, deadline: Instant) -> io::Result<Option<c_int>> {
        let mut status = 0;
        loop {
            // SAFETY: writes the status to our own variable.
            match unsafe { libc::waitpid(self.0, &raw mut status, libc::WNOHANG) } {
                0 if Instant::now() < deadline => std::thread::sleep(Duration::from_micros(200)),
                0 => return Ok(None),
                -1 if errno() == libc::EINTR => {}
                -1 => return Err(io::Error::last_os_error()),
                _ => return Ok(Some(status)),
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: plain numbers. The child leads its own group; before it does, only itself can be named.
        unsafe { libc::kill(-self.0, libc::SIGKILL) };
        // SAFETY: our own child, not yet waited for.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        // SAFETY: the status is not wanted.
        while unsafe { libc::waitpid(self.0, ptr::null_mut(), 0) } < 0 && errno() == libc::EINTR {}
    }
}

fn read(descriptor: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the descriptor is open and owned elsewhere: the file is taken apart again before it could close it.
    let mut file = unsafe { File::from_raw_fd(descriptor) };
    let count = file.read(buffer);
    let _still_open = file.into_raw_fd();
    match count {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => read(descriptor, buffer),
        count => count,
    }
}
