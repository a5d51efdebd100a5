//! Which of a worker's threads waits for requests.
//!
//! One thread *leads*: it waits for the next request, and serves the one that comes, start to finish. When it is done and
//! nobody leads, it leads again; so a stream of short requests stays on one thread, without any hand-over. The *deputy* takes the
//! lead when it has been without a holder for a millisecond, and calls another thread from the *reserve* to be deputy. So long
//! requests spread over the threads, while short ones do not compete for Python's lock.
//!
//! The deputy looks once a millisecond while requests come in, and sleeps otherwise; then the next leader to leave wakes it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long the lead is without a holder before the deputy takes it.
const PATIENCE: Duration = Duration::from_millis(1);

/// Looks without a request after which the deputy sleeps: to wake it costs about as much as a few of them.
const QUIET_LOOKS: u32 = 5;

/// In place of the time at which the lead was left: somebody has it.
const LED: u64 = u64::MAX;

/// The threads of a worker.
#[derive(Debug)]
pub struct Crew {
    start: Instant,
    /// [`LED`], or when it was left, in microseconds since `start`.
    lead: AtomicU64,
    /// How often it was left.
    turns: AtomicU64,
    deputy_sleeps: AtomicBool,
    stopping: AtomicBool,
    bench: Mutex<Bench>,
}

#[derive(Debug, Default)]
struct Bench {
    deputy: Option<Arc<Seat>>,
    /// The one that came last is called first: its memory is still in the cache.
    reserve: Vec<Arc<Seat>>,
}

/// A thread's place in the crew.
#[derive(Debug)]
pub struct Seat {
    thread: Thread,
    is_deputy: AtomicBool,
}

impl Seat {
    /// The calling thread's.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { thread: std::thread::current(), is_deputy: AtomicBool::new(false) })
    }
}

impl Default for Crew {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            lead: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            deputy_sleeps: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            bench: Mutex::default(),
        }
    }
}

impl Crew {
    /// Waits until this thread, which has nothing to do, has the lead. False when the crew is to stop.
    #[inline]
    pub fn take_lead(&self, seat: &Arc<Seat>) -> bool {
        let left = self.lead.load(Ordering::SeqCst);
        if left == LED || !self.take_lead_left(left) {
            return self.wait_for_lead(seat);
        }
        !self.is_stopping()
    }

    /// The thread that leads has something to do since `now`.
    #[inline]
    pub fn leave_lead(&self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.start).as_micros();
        // The leader alone counts, and leads are handed over through `lead`.
        self.turns.store(self.turns.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.lead
            .store(u64::try_from(elapsed).map_or(LED - 1, |elapsed| elapsed.min(LED - 1)), Ordering::SeqCst);
        if self.deputy_sleeps.load(Ordering::SeqCst) {
            self.wake_deputy();
        }
    }

    /// From now on nobody gets the lead. Who leads is told by other means.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        let bench = self.bench();
        bench.deputy.iter().chain(&bench.reserve).for_each(|seat| seat.thread.unpark());
    }

    /// Whether [`stop`](Self::stop) was called.
    #[inline]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    #[inline]
    fn take_lead_left(&self, left: u64) -> bool {
        self.lead.compare_exchange(left, LED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    #[cold]
    fn wake_deputy(&self) {
        if self.deputy_sleeps.swap(false, Ordering::SeqCst)
            && let Some(deputy) = &self.bench().deputy
        {
            deputy.thread.unpark();
        }
    }

    fn wait_for_lead(&self, seat: &Arc<Seat>) -> bool {
        {
            let mut bench = self.bench();
            let is_deputy = bench.deputy.is_none();
            seat.is_deputy.store(is_deputy, Ordering::SeqCst);
            if is_deputy {
                bench.deputy = Some(Arc::clone(seat));
            } else {
                bench.reserve.push(Arc::clone(seat));
            }
        }
        // Whoever stops does so before it looks at the bench.
        while !seat.is_deputy.load(Ordering::SeqCst) {
            if self.is_stopping() {
                return false;
            }
            std::thread::park();
        }
        self.watch_lead()
    }

    /// The deputy's wait.
    fn watch_lead(&self) -> bool {
        let mut seen = self.turns.load(Ordering::Relaxed);
        let mut quiet = 0;
        while !self.is_stopping() {
            let left = self.lead.load(Ordering::SeqCst);
            if left == LED {
                let turns = self.turns.load(Ordering::Relaxed);
                quiet = if turns == seen { quiet + 1 } else { 0 };
                seen = turns;
                if quiet < QUIET_LOOKS {
                    std::thread::park_timeout(PATIENCE)
                } else {
                    self.sleep()
                }
                continue;
            }
            quiet = 0;
            let vacant = self.start.elapsed().saturating_sub(Duration::from_micros(left));
            if vacant < PATIENCE {
                std::thread::park_timeout(PATIENCE - vacant);
            } else if self.take_lead_left(left) {
                self.call_deputy();
                return true;
            }
        }
        false
    }

    fn sleep(&self) {
        self.deputy_sleeps.store(true, Ordering::SeqCst);
        // Whoever left the lead before it could see that is seen here.
        if self.lead.load(Ordering::SeqCst) == LED && !self.is_stopping() {
            std::thread::park();
        }
        self.deputy_sleeps.store(false, Ordering::SeqCst);
    }

    fn call_deputy(&self) {
        let mut bench = self.bench();
        bench.deputy = bench.reserve.pop();
        if let Some(deputy) = &bench.deputy {
            deputy.is_deputy.store(true, Ordering::SeqCst);
            deputy.thread.unpark();
        }
    }

    fn bench(&self) -> MutexGuard<'_, Bench> {
        self.bench.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize};
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// What a job waits for comes within this time, or never.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Runs `threads` that take jobs out of a channel. Each is a number, of so many jobs that wait for each other before they are
    /// done. Gives who had which, and the most that were under way at once.
    fn served(threads: usize, jobs: impl FnOnce(&dyn Fn(u64))) -> (Vec<(usize, u64)>, usize) {
        let (sender, receiver) = channel::<u64>();
        let (crew, receiver) = (Crew::default(), Mutex::new(receiver));
        let (busy, most, begun) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU64::new(0));
        let done = Mutex::new(Vec::new());
        let serve = |number: usize, receiver: &Mutex<Receiver<u64>>| {
            let seat = Seat::new();
            while crew.take_lead(&seat) {
                let Ok(job) = receiver.try_lock().expect("nobody else leads").recv() else {
                    crew.stop();
                    return;
                };
                crew.leave_lead(Instant::now());
                most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                if let Some(before) = begun.fetch_add(1, Ordering::SeqCst).checked_div(job) {
                    let (start, all) = (Instant::now(), (before + 1) * job);
                    while begun.load(Ordering::SeqCst) < all && start.elapsed() < PATIENCE {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                busy.fetch_sub(1, Ordering::SeqCst);
                done.lock().unwrap().push((number, job));
            }
        };
        std::thread::scope(|scope| {
            for number in 0..threads {
                let (serve, receiver) = (&serve, &receiver);
                scope.spawn(move || serve(number, receiver));
            }
            jobs(&|job| sender.send(job).unwrap());
            drop(sender);
        });
        (done.into_inner().unwrap(), most.into_inner())
    }

    #[test]
    fn all_jobs_are_done_and_all_threads_end() {
        for threads in [1, 2, 5] {
            let (done, _) = served(threads, |send| (0..200).for_each(|_| send(0)));
            assert_eq!(done.len(), 200);
        }
    }

    #[test]
    fn long_jobs_spread_over_all_threads() {
        let (done, most) = served(4, |send| (0..8).for_each(|_| send(4)));
        assert_eq!((done.len(), most), (8, 4));
    }

    #[test]
    fn a_sleeping_deputy_is_woken() {
        let (done, most) = served(2, |send| {
            for _ in 0..3 {
                std::thread::sleep(Duration::from_millis(30));
                send(2);
                send(2);
            }
        });
        assert_eq!((done.len(), most), (6, 2));
    }

    #[test]
    fn short_jobs_stay_on_one_thread_at_a_time() {
        let (done, _) = served(4, |send| {
            for _ in 0..300 {
                send(0);
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        // On a machine that has other things to do, a thread may be set aside for a millisecond now and then.
        let changes = done.windows(2).filter(|pair| pair[0].0 != pair[1].0).count();
        assert!(changes < 100, "{changes} changes");
    }
}
