//! The connections of one group that wait for a request. Shared by all threads of a server's process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use oxwsgi_core::daemon::board::Board;

use crate::connection::Connection;
use crate::socket::Socket;
use crate::waiting::Waiting;

/// How long one is kept without being used.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often all pools of the process are looked through for connections that nobody uses any more.
const REVIEW: Duration = Duration::from_secs(5);

/// Connections that wait.
#[derive(Debug, Default)]
pub struct Pool {
    waiting: Mutex<Waiting<Socket>>,
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

    /// A connection whose process has a thread for one request: see [`Waiting::take`].
    pub fn take(&self, board: &Board) -> Option<Connection<Socket>> {
        self.lock().take(board)
    }

    /// Keeps a connection for the next request. Of those to one process no more are kept than there ever were requests at
    /// once: under load a server with many processes would keep far too many that it does not need.
    pub fn put(&self, connection: Connection<Socket>) {
        let now = Instant::now();
        let most = self.most_busy.load(Ordering::Relaxed);
        let superfluous = self.lock().put(connection, most, now);
        // Closed without holding up others.
        drop(superfluous);
        review(now);
    }

    /// Closes what nobody has used for a while.
    fn prune(&self, now: Instant) {
        let old = self.lock().prune(PATIENCE, now);
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<Socket>> {
        lock(&self.waiting)
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
