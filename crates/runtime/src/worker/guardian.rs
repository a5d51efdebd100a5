//! Sees to it that the process ends: at once when the server has, and when its own end takes too long. A thread of its own
//! from start to end, which never touches Python, so that nothing an application does can hold it up.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use oxwsgi_core::os::packet::Wait;
use oxwsgi_core::os::{process, signals};
use oxwsgi_core::report::Level;
use rustix::event::Timespec;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use crate::worker::control::Control;

/// What a process that was ended by its guardian exits with; mod_wsgi's too (`exit(-1)`).
const ABORTED: i32 = 255;

/// It does next to nothing, in bytes.
const STACK: usize = 128 * 1024;

/// The guardian, seen by the others.
#[derive(Debug)]
pub struct Guardian {
    group: String,
    control: &'static Control,
    lifeline: OwnedFd,
    wake: OwnedFd,
    deadline: Mutex<Option<Instant>>,
}

impl Guardian {
    /// Watches `lifeline` from now on.
    pub fn start(group: String, lifeline: OwnedFd, control: &'static Control) -> io::Result<&'static Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC)?;
        let guardian: &'static Self =
            Box::leak(Box::new(Self { group, control, lifeline, wake, deadline: Mutex::default() }));
        let thread = std::thread::Builder::new().name("wsgi-guardian".to_owned()).stack_size(STACK);
        signals::with_all_blocked(|| thread.spawn(|| guardian.watch()))?;
        Ok(guardian)
    }

    /// The process is to have ended after `limit`.
    pub fn set_limit(&self, limit: Duration) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + limit);
        // A counter that is full already says the same.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn watch(&self) -> ! {
        loop {
            let deadline = *self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                let text = format!("Shutdown timeout expired; aborting daemon process '{}'.", self.group);
                self.control.log(Level::Info, text.as_bytes(), Wait::Never);
                process::end_now(ABORTED);
            }
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            let mut polled =
                [PollFd::new(&self.lifeline, PollFlags::IN), PollFd::new(&self.wake, PollFlags::IN)];
            let result = poll(&mut polled, timeout.as_ref());
            let [lifeline, wake] = polled;
            if result.is_ok() && !lifeline.revents().is_empty() {
                // Nothing is ever written to it. Whoever would read a reply has gone as well.
                process::end_now(0);
            }
            if !wake.revents().is_empty() {
                let _ = rustix::io::read(&self.wake, &mut [0; 8]);
            }
        }
    }
}
