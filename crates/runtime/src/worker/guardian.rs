//! Sees to it that the process ends: at once when the server has, and when its own end takes too long; without threads for
//! requests also when another supervisor has taken over. A thread of its own from start to end, which never touches Python, so
//! that nothing an application does can hold it up.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use oxwsgi_core::daemon::Reason;
use oxwsgi_core::daemon::board::Board;
use oxwsgi_core::os::packet::Wait;
use oxwsgi_core::os::{process, signals};
use oxwsgi_core::report::Level;
use rustix::event::Timespec;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::process::{Signal, getpid, kill_process};

use crate::worker::control::Control;

/// What a process that was ended by its guardian exits with; mod_wsgi's too (`exit(-1)`).
const ABORTED: i32 = 255;

/// How often a process whose supervisor is gone looks whether another one has taken over.
pub const ORPHAN_LOOK: Duration = Duration::from_millis(100);

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
    service: OnceLock<Service>,
}

/// What is to be known of a process whose main thread is its script's.
#[derive(Debug)]
struct Service {
    board: Board,
    /// The epoch in which the process was started.
    epoch: u32,
    /// How long its end may take.
    shutdown: Option<Duration>,
}

impl Guardian {
    /// Watches `lifeline` from now on.
    pub fn start(group: String, lifeline: OwnedFd, control: &'static Control) -> io::Result<&'static Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC)?;
        let guardian: &'static Self = Box::leak(Box::new(Self {
            group,
            control,
            lifeline,
            wake,
            deadline: Mutex::default(),
            service: OnceLock::new(),
        }));
        let thread = std::thread::Builder::new().name("wsgi-guardian".to_owned()).stack_size(STACK);
        signals::with_all_blocked(|| thread.spawn(|| guardian.watch()))?;
        Ok(guardian)
    }

    /// The process is to have ended after `limit`, if not sooner.
    pub fn set_limit(&self, limit: Duration) {
        let then = Instant::now() + limit;
        let mut deadline = self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        *deadline = Some(deadline.map_or(then, |before| before.min(then)));
        drop(deadline);
        self.wake();
    }

    /// The process is to end, as if it were told to, when the group has workers of a later supervisor than the one of `epoch`;
    /// nobody else looks after that. Its end may take as long as `shutdown`.
    pub fn watch_supervisor(&self, board: Board, epoch: u32, shutdown: Option<Duration>) {
        if self.service.set(Service { board, epoch, shutdown }).is_ok() {
            self.wake();
        }
    }

    fn wake(&self) {
        // A counter that is full already says the same.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn watch(&self) -> ! {
        let mut is_superseded = false;
        loop {
            // Nothing to look after any more, once the process has been told.
            let service = self.service.get().filter(|_| !is_superseded);
            let is_orphan = service.is_some() && self.control.is_gone();
            if is_orphan
                && let Some(service) = service
                && service.board.is_past(service.epoch)
            {
                is_superseded = true;
                self.end(service);
                continue;
            }
            let deadline = *self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                let text = format!("Shutdown timeout expired; aborting daemon process '{}'.", self.group);
                self.control.log(Level::Info, text.as_bytes(), Wait::Never);
                process::end_now(ABORTED);
            }
            let look = is_orphan.then_some(ORPHAN_LOOK);
            let timeout = left.into_iter().chain(look).min().and_then(|left| Timespec::try_from(left).ok());
            let mut polled =
                vec![PollFd::new(&self.lifeline, PollFlags::IN), PollFd::new(&self.wake, PollFlags::IN)];
            if service.is_some() && !is_orphan {
                polled.push(PollFd::new(self.control, PollFlags::IN));
            }
            let result = poll(&mut polled, timeout.as_ref());
            let is_told = |polled: &PollFd<'_>| result.is_ok() && !polled.revents().is_empty();
            if is_told(&polled[0]) {
                // Nothing is ever written to it. Whoever would read a reply has gone as well.
                process::end_now(0);
            }
            if is_told(&polled[1]) {
                let _ = rustix::io::read(&self.wake, &mut [0; 8]);
            }
        }
    }

    /// Has a process without threads for requests end, in its own way.
    fn end(&self, service: &Service) {
        if let Some(limit) = service.shutdown {
            self.set_limit(limit);
        }
        let (group, pid, reason) = (&self.group, std::process::id(), Reason::Superseded);
        let text = format!("Shutdown requested for daemon process '{group}' (pid={pid}): {reason}.");
        self.control.log(Level::Info, text.as_bytes(), Wait::Never);
        // Can always be sent to oneself.
        let _ = kill_process(getpid(), Signal::TERM);
    }
}
