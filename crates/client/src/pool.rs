//! The connections of one group that wait for a request. Shared by all threads of a server's process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use oxwsgi_core::daemon::board::Board;

use crate::connection::{Connection, Readiness};

/// The most that are kept.
const MOST: usize = 64;

/// How long one is kept without being used.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often all pools of the process are looked through for connections that nobody uses any more.
const REVIEW: Duration = Duration::from_secs(5);

/// The least time between two new connections that are made although an old one would do. Which process takes a new
/// connection is the kernel's choice, so not each comes to the process it was meant for.
const EXPLORE: Duration = Duration::from_millis(10);

/// Connections that wait.
#[derive(Debug, Default)]
pub struct Pool {
    waiting: Mutex<Waiting>,
    /// Requests under way, and the most that were at once.
    busy: AtomicUsize,
    most_busy: AtomicUsize,
}

/// A request that may take a connection; while it lasts it counts.
#[derive(Debug)]
pub struct Visit<'a>(&'a Pool);

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Waiting {
    /// The most recently used last.
    connections: Vec<(Connection, Instant)>,
    explored: Option<Instant>,
}

impl Pool {
    /// An empty pool, reviewed together with the others of this process.
    pub fn new() -> Arc<Self> {
        let pool = Arc::new(Self::default());
        lock(&REVIEWER).pools.push(Arc::downgrade(&pool));
        pool
    }

    /// Begins a request.
    #[inline]
    pub fn visit(&self) -> Visit<'_> {
        let busy = self.busy.fetch_add(1, Ordering::Relaxed) + 1;
        if busy > self.most_busy.load(Ordering::Relaxed) {
            self.most_busy.fetch_max(busy, Ordering::Relaxed);
        }
        Visit(self)
    }

    /// A connection whose process has a thread for one request, which is promised to the caller: its ticket is taken. None
    /// when a new connection is the better choice.
    ///
    /// That is, in this order: one to a process that has nothing else to do; none when there is such a process, but no
    /// connection to it; one to the process with most threads to spare.
    pub fn take(&self, board: &Board) -> Option<Connection> {
        let mut waiting = self.lock();
        let mut best = None;
        let mut index = waiting.connections.len();
        while index > 0 {
            index -= 1;
            match waiting.connections[index].0.readiness(board) {
                Readiness::Gone => {
                    waiting.connections.remove(index);
                    best = best.map(|(other, idle)| (other - 1, idle));
                }
                Readiness::NotYet => {}
                Readiness::Waiting(process) => {
                    let idle = process.idle();
                    if idle == board.threads() && process.take_ticket() {
                        return Some(waiting.connections.remove(index).0);
                    }
                    if idle > 0 && best.is_none_or(|(_, most)| idle > most) {
                        best = Some((index, idle));
                    }
                }
            }
        }
        let (index, _) = best?;
        if waiting.explores(board) {
            return None;
        }
        let process = waiting.connections[index].0.process(board)?;
        process.take_ticket().then(|| waiting.connections.remove(index).0)
    }

    /// Keeps a connection for the next request. Of those to one process no more are kept than there ever were requests at
    /// once: under load a server with many processes would keep far too many that it does not need.
    pub fn put(&self, connection: Connection) {
        let now = Instant::now();
        let most = self.most_busy.load(Ordering::Relaxed);
        let superfluous = {
            let mut waiting = self.lock();
            let same = waiting.connections.iter().filter(|(other, _)| other.owner() == connection.owner());
            if same.count() >= most {
                Some(connection)
            } else {
                let is_full = waiting.connections.len() >= MOST;
                let oldest = is_full.then(|| waiting.connections.remove(0).0);
                waiting.connections.push((connection, now));
                oldest
            }
        };
        // Closed without holding up others.
        drop(superfluous);
        review(now);
    }

    /// Closes what nobody has used for a while.
    fn prune(&self, now: Instant) {
        let old = {
            let mut waiting = self.lock();
            let is_old = |since: Instant| now.saturating_duration_since(since) > PATIENCE;
            let count = waiting.connections.iter().take_while(|(_, since)| is_old(*since)).count();
            waiting.connections.drain(..count).collect::<Vec<_>>()
        };
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

impl Waiting {
    /// Whether there is a process without anything to do that no connection leads to, and a new one may find it.
    fn explores(&mut self, board: &Board) -> bool {
        let leads_to = |slot, pid| self.connections.iter().any(|(one, _)| one.owner() == Some((slot, pid)));
        if !board.all().any(|(slot, process)| process.is_idle() && !leads_to(slot, process.pid())) {
            return false;
        }
        let now = Instant::now();
        let may = self.explored.is_none_or(|last| now.saturating_duration_since(last) >= EXPLORE);
        if may {
            self.explored = Some(now);
        }
        may
    }
}

/// All pools of this process, for a server may have hundreds of groups in hundreds of processes, and their connections
/// must not add up. Whoever comes by looks after the others' as well.
static REVIEWER: Mutex<Reviewer> = Mutex::new(Reviewer { pools: Vec::new(), last: None });

#[derive(Debug)]
struct Reviewer {
    pools: Vec<Weak<Pool>>,
    last: Option<Instant>,
}

fn review(now: Instant) {
    let pools: Vec<Arc<Pool>> = {
        let Ok(mut reviewer) = REVIEWER.try_lock() else { return };
        if reviewer.last.is_some_and(|last| now.saturating_duration_since(last) < REVIEW) {
            return;
        }
        reviewer.last = Some(now);
        reviewer.pools.retain(|pool| pool.strong_count() > 0);
        reviewer.pools.iter().filter_map(Weak::upgrade).collect()
    };
    pools.iter().for_each(|pool| pool.prune(now));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic inside leaves whole connections.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
