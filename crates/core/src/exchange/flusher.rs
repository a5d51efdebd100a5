//! Sends what [`Outflow`]s have kept when their application does not come back in time.
//!
//! One thread at a time watches. Before it sends, which may block on a slow client, it leaves the watch to another
//! one, started when there is none. Threads that find nothing to do for a while end. They never touch Python.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::boundary::guard;
use crate::exchange::Outflow;
use crate::os::signals;

/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(10);

/// A reply from a thread of its own needs little.
const STACK: usize = 256 * 1024;

static CREW: Mutex<Crew> = Mutex::new(Crew { watched: Vec::new(), has_watcher: false, waiting: 0 });
static WORK: Condvar = Condvar::new();

#[derive(Debug)]
struct Crew {
    watched: Vec<Arc<Outflow>>,
    has_watcher: bool,
    waiting: usize,
}

/// Watches `outflow` until it keeps nothing. False when no thread can be had.
pub(super) fn watch(outflow: &Arc<Outflow>) -> bool {
    let mut crew = lock();
    if !crew.has_watcher && !crew.call_another() {
        return false;
    }
    if crew.watched.is_empty() {
        // The watcher waits without a deadline.
        WORK.notify_all();
    }
    if !crew.watched.iter().any(|known| Arc::ptr_eq(known, outflow)) {
        crew.watched.push(Arc::clone(outflow));
    }
    true
}

fn lock() -> MutexGuard<'static, Crew> {
    CREW.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crew {
    /// Sees to it that a thread will take the watch.
    fn call_another(&self) -> bool {
        if self.waiting > 0 {
            WORK.notify_all();
            return true;
        }
        let thread = std::thread::Builder::new().name("oxwsgi-flush".to_owned()).stack_size(STACK);
        signals::with_all_blocked(|| thread.spawn(|| guard(work, |_| ()))).is_ok()
    }

    /// An outflow with something to send, or else how long until there may be one; none when nothing is kept.
    fn next(&mut self) -> Result<Arc<Outflow>, Option<Duration>> {
        let mut soonest: Option<Duration> = None;
        let mut found = None;
        self.watched.retain(|outflow| match outflow.due() {
            None => false,
            Some(Duration::ZERO) => {
                found = Some(Arc::clone(outflow));
                true
            }
            Some(rest) => {
                soonest = Some(soonest.map_or(rest, |soonest| soonest.min(rest)));
                true
            }
        });
        found.ok_or(soonest)
    }
}

fn work() {
    let mut crew = lock();
    loop {
        if crew.has_watcher {
            crew.waiting += 1;
            let (after, timeout) = WORK.wait_timeout(crew, IDLE).unwrap_or_else(PoisonError::into_inner);
            crew = after;
            crew.waiting -= 1;
            if timeout.timed_out() && crew.has_watcher {
                return;
            }
            continue;
        }
        match crew.next() {
            Ok(outflow) => {
                // When no other thread can be had, the others' bytes wait until this one has sent.
                crew.call_another();
                drop(crew);
                // A panic has abandoned that request; the crew goes on.
                guard(|| outflow.flush(), |_| ());
                crew = lock();
            }
            Err(pause) => {
                crew.has_watcher = true;
                let pause = pause.unwrap_or(IDLE);
                let (after, timeout) = WORK.wait_timeout(crew, pause).unwrap_or_else(PoisonError::into_inner);
                crew = after;
                crew.has_watcher = false;
                if pause == IDLE && timeout.timed_out() && crew.watched.is_empty() {
                    return;
                }
            }
        }
    }
}
