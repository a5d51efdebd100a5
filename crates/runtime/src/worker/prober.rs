//! The thread that touches Python on behalf of the main thread, which never does while requests are served: it finds out whether
//! Python's lock can be had, and breaks into requests. When it has to wait, that is told by the time since when it does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use oxwsgi_core::boundary::guard;
use oxwsgi_core::daemon::Limits;
use oxwsgi_core::os::signals;

use crate::wsgi::{self, Watch};

/// The lock is tried ten times within `deadlock-timeout`, and neither more nor less often than this.
const TRIES: u32 = 10;
const OFTEN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(30);

/// The prober, seen by the main thread.
#[derive(Debug)]
pub struct Prober {
    start: Instant,
    /// None: the lock is not tried.
    interval: Option<Duration>,
    /// Nanoseconds since `start`; 0 while it waits for nothing.
    waiting: AtomicU64,
    task: Mutex<Task>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Task {
    interrupt: Vec<(&'static Watch, u64)>,
    is_over: bool,
}

impl Prober {
    /// Starts it, if the limits need one.
    pub fn start(limits: &Limits) -> std::io::Result<Option<(&'static Self, JoinHandle<()>)>> {
        if limits.deadlock.is_none() && limits.interrupt.is_none() {
            return Ok(None);
        }
        let prober: &'static Self = Box::leak(Box::new(Self {
            start: Instant::now(),
            interval: limits.deadlock.map(|limit| (limit / TRIES).clamp(OFTEN, SELDOM)),
            waiting: AtomicU64::new(0),
            task: Mutex::default(),
            changed: Condvar::new(),
        }));
        let thread = std::thread::Builder::new().name("wsgi-prober".to_owned());
        let handle = signals::with_all_blocked(|| thread.spawn(|| prober.work()))?;
        Ok(Some((prober, handle)))
    }

    /// How often the lock is tried.
    pub const fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// Since when it has been waiting for Python's lock.
    pub fn waiting_since(&self) -> Option<Instant> {
        let waiting = self.waiting.load(Ordering::SeqCst);
        (waiting != 0).then(|| self.start + Duration::from_nanos(waiting))
    }

    /// Has an exception raised in request number `turn` of a thread.
    pub fn interrupt(&self, watch: &'static Watch, turn: u64) {
        self.task().interrupt.push((watch, turn));
        self.changed.notify_one();
    }

    /// Has it end.
    pub fn stop(&self) {
        self.task().is_over = true;
        self.changed.notify_one();
    }

    fn work(&self) {
        loop {
            let interrupts = {
                let task = self.task();
                let has_nothing = |task: &mut Task| task.interrupt.is_empty() && !task.is_over;
                let mut task = match self.interval {
                    Some(interval) => {
                        let waited = self.changed.wait_timeout_while(task, interval, has_nothing);
                        waited.unwrap_or_else(PoisonError::into_inner).0
                    }
                    None => {
                        self.changed.wait_while(task, has_nothing).unwrap_or_else(PoisonError::into_inner)
                    }
                };
                if task.is_over {
                    break;
                }
                std::mem::take(&mut task.interrupt)
            };
            let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1);
            self.waiting.store(now, Ordering::SeqCst);
            // A panic has been reported by the panic hook, and changes nothing for the next round.
            guard(
                || {
                    wsgi::take_lock();
                    interrupts.into_iter().for_each(|(watch, turn)| wsgi::interrupt(watch, turn));
                },
                |_| (),
            );
            self.waiting.store(0, Ordering::SeqCst);
        }
        wsgi::leave_thread();
    }

    fn task(&self) -> MutexGuard<'_, Task> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
