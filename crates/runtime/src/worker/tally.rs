//! What the threads that serve tell the main thread: counts and times, and the word that the process is to end. Never blocks.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use oxwsgi_core::daemon::{Limits, Reason};
use rustix::event::{EventfdFlags, eventfd};

/// The counts of a process.
#[derive(Debug)]
pub struct Tally {
    start: Instant,
    maximum_requests: Option<u64>,
    /// Nobody asks for the last activity unless there is a limit to its absence.
    notes_activity: bool,
    admitted: AtomicU64,
    over: AtomicU64,
    /// Nanoseconds since `start`; 0 for never.
    first_request: AtomicU64,
    last_activity: AtomicU64,
    last_is_over: AtomicBool,
    closing: AtomicBool,
    reason: Mutex<Option<Reason>>,
    /// The main thread sleeps until it is woken.
    asleep: AtomicBool,
    wake: OwnedFd,
}

/// Whether a request is served by this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is. `is_last`: no further one will be.
    Granted {
        /// `maximum-requests` is reached with it.
        is_last: bool,
    },
    /// The process is ending.
    Refused,
}

impl Tally {
    /// All zero.
    pub fn new(limits: &Limits) -> io::Result<Self> {
        Ok(Self {
            start: Instant::now(),
            maximum_requests: limits.maximum_requests,
            notes_activity: limits.inactivity.is_some(),
            admitted: AtomicU64::new(0),
            over: AtomicU64::new(0),
            first_request: AtomicU64::new(0),
            last_activity: AtomicU64::new(0),
            last_is_over: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            reason: Mutex::default(),
            asleep: AtomicBool::new(false),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    /// A request has come. One that is no activity does not count against `inactivity-timeout`.
    #[inline]
    pub fn admit(&self, now: Instant, is_activity: bool) -> Admission {
        if self.is_closing() {
            return Admission::Refused;
        }
        let number = self.admitted.fetch_add(1, Ordering::SeqCst) + 1;
        if number == 1 {
            self.first_request.store(self.since_start(now), Ordering::Relaxed);
        }
        if self.maximum_requests.is_some_and(|most| number > most) {
            self.over.fetch_add(1, Ordering::Relaxed);
            return Admission::Refused;
        }
        if self.notes_activity && is_activity {
            self.last_activity.store(self.since_start(now), Ordering::Relaxed);
        }
        self.rouse();
        Admission::Granted { is_last: self.maximum_requests == Some(number) }
    }

    /// A thread is done with a request; whether it was the last, if it was admitted.
    #[inline]
    pub fn finish(&self, admitted: Option<bool>) {
        if let Some(is_last) = admitted {
            self.over.fetch_add(1, Ordering::SeqCst);
            if is_last {
                self.last_is_over.store(true, Ordering::SeqCst);
            }
        }
        // What the main thread waits for is a thread that has nothing to do, whatever it had.
        if self.is_closing() {
            self.wake();
        }
    }

    /// Something was read or written for a request.
    #[inline]
    pub fn note_activity(&self) {
        if self.notes_activity {
            self.last_activity.store(self.since_start(Instant::now()), Ordering::Relaxed);
        }
    }

    /// From now on no request is admitted.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Has the main thread end the process.
    pub fn want_end(&self, reason: Reason) {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.wake();
    }

    /// Whether requests are refused.
    #[inline]
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Requests that have come and those of them that are over.
    pub fn counts(&self) -> (u64, u64) {
        (self.admitted.load(Ordering::SeqCst), self.over.load(Ordering::SeqCst))
    }

    /// When the first request came.
    pub fn first_request(&self) -> Option<Instant> {
        self.time(&self.first_request)
    }

    /// When something was last done for a request; none when nobody asks.
    pub fn last_activity(&self) -> Option<Instant> {
        self.time(&self.last_activity)
    }

    /// Whether the last request that is allowed is over.
    pub fn is_last_over(&self) -> bool {
        self.last_is_over.load(Ordering::SeqCst)
    }

    /// For the main thread: why the threads want the process to end. Told once.
    pub fn take_reason(&self) -> Option<Reason> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// For the main thread: it goes to sleep, unless more requests have come than `admitted`, and is woken by the next.
    pub fn fall_asleep(&self, admitted: u64) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let may_sleep = self.counts().0 == admitted;
        if !may_sleep {
            self.asleep.store(false, Ordering::SeqCst);
        }
        may_sleep
    }

    /// For the main thread: it is awake.
    pub fn wake_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
        // Nothing to read is fine.
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
    }

    /// Has the main thread look around from time to time, from now on.
    #[inline]
    pub fn rouse(&self) {
        if self.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Wakes the main thread.
    #[cold]
    pub fn wake(&self) {
        // A counter that is full already says the same.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn since_start(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    fn time(&self, nanoseconds: &AtomicU64) -> Option<Instant> {
        let nanoseconds = nanoseconds.load(Ordering::Relaxed);
        (nanoseconds != 0).then(|| self.start + Duration::from_nanos(nanoseconds))
    }
}

impl AsFd for Tally {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
