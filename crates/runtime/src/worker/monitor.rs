//! The main thread of a worker while requests are served: watches signals, the supervisor and all limits, and leads the process to
//! its end. Detached from Python until that begins, so that nothing an application does holds it up.

use std::os::fd::AsFd;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use oxwsgi_core::daemon::{FromWorker, Reason};
use oxwsgi_core::os::packet::Wait;
use oxwsgi_core::report::Level;
use oxwsgi_core::worker::{Active, Keeper, Observed, Step};
use rustix::event::Timespec;
use rustix::event::{PollFd, PollFlags, poll};

use crate::worker::guardian::{Guardian, ORPHAN_LOOK};
use crate::worker::pool::Pool;
use crate::worker::prober::Prober;
use crate::worker::signals::Signals;
use crate::worker::workplace::Workplace;
use crate::wsgi;

/// How often the main thread looks around while requests come.
const LOOK: Duration = Duration::from_secs(1);

/// How long nothing may move before tickets that are missing are taken for lost.
const STILL: Duration = Duration::from_secs(2);

/// How long and at how many looks tickets must be missing on a process that is never still.
const STEADY: (Duration, u32) = (Duration::from_secs(5), 5);

/// The main thread.
#[derive(Debug)]
pub struct Monitor {
    place: &'static Workplace,
    keeper: Keeper,
    pool: Pool,
    prober: Option<(&'static Prober, JoinHandle<()>)>,
    signals: Signals,
    guardian: &'static Guardian,
    /// The epoch in which the process was started.
    epoch: u32,
    is_orphan: bool,
    is_closed: bool,
    still: Still,
    missing: Option<Missing>,
}

/// Since when nothing has moved.
#[derive(Clone, Copy, Debug)]
struct Still {
    since: Instant,
    /// Requests admitted and over, tickets, requests under way.
    counts: (u64, u64, u32, usize),
}

/// Tickets that nobody seems to have.
#[derive(Clone, Copy, Debug)]
struct Missing {
    since: Instant,
    looks: u32,
    /// As many were missing at each look.
    least: u32,
}

impl Monitor {
    /// For a process whose threads have been started.
    pub fn new(
        place: &'static Workplace,
        pool: Pool,
        prober: Option<(&'static Prober, JoinHandle<()>)>,
        signals: Signals,
        guardian: &'static Guardian,
        epoch: u32,
    ) -> Self {
        let now = Instant::now();
        let threads = place.board.threads();
        Self {
            keeper: Keeper::new(place.limits, threads, now),
            still: Still { since: now, counts: (0, 0, threads, 0) },
            missing: None,
            place,
            pool,
            prober,
            signals,
            guardian,
            epoch,
            is_orphan: false,
            is_closed: false,
        }
    }

    /// Watches until the process is to stop, and says why.
    pub fn watch(&mut self) -> Reason {
        loop {
            let wanted = self.listen();
            let now = Instant::now();
            let active = self.active();
            let observed = self.observe(&active);
            for reason in wanted {
                let step = self.keeper.end(reason, now, &observed);
                if let Some(reason) = self.take(step) {
                    return reason;
                }
            }
            loop {
                let step = self.keeper.look(now, &observed);
                if let Some(reason) = self.take(step) {
                    return reason;
                }
                if step == Step::Stay {
                    break;
                }
            }
            let pause = self.pause(now, &observed);
            self.wait(pause);
        }
    }

    /// The reasons to end that others have.
    fn listen(&mut self) -> Vec<Reason> {
        let mut wanted = self.signals.take();
        self.is_orphan = self.is_orphan || self.place.control.is_gone();
        if self.is_orphan && self.place.board.is_past(self.epoch) {
            wanted.push(Reason::Superseded);
        }
        wanted.extend(self.place.tally.take_reason());
        wanted
    }

    fn active(&self) -> Vec<Active> {
        let watches = self.pool.watches().iter().enumerate();
        watches
            .filter_map(|(thread, watch)| watch.request().map(|(turn, since)| Active { thread, turn, since }))
            .collect()
    }

    fn observe<'a>(&self, active: &'a [Active]) -> Observed<'a> {
        let tally = &self.place.tally;
        Observed {
            active,
            last_activity: tally.last_activity(),
            first_request: tally.first_request(),
            is_loaded: wsgi::is_any_loaded(),
            waiting_for_lock: self.prober.as_ref().and_then(|(prober, _)| prober.waiting_since()),
            is_last_over: tally.is_last_over(),
        }
    }

    /// Does what is to be done; gives the reason when the process is to stop.
    fn take(&mut self, step: Step) -> Option<Reason> {
        match step {
            Step::Stay => None,
            Step::Interrupt(active) => {
                let watch = self.pool.watches().get(active.thread);
                if let (Some((prober, _)), Some(watch)) = (&self.prober, watch) {
                    prober.interrupt(watch, active.turn);
                }
                None
            }
            Step::Drain(reason) => {
                self.close(reason);
                None
            }
            Step::Stop(reason) => {
                // From here on nothing holds up the end: neither Python nor a supervisor that does not listen.
                if let Some(limit) = self.place.limits.shutdown {
                    self.guardian.set_limit(limit);
                }
                self.close(reason);
                Some(reason)
            }
        }
    }

    /// Takes no new request.
    fn close(&mut self, reason: Reason) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        self.place.close();
        self.place.control.say(&FromWorker::Ending(reason));
        let pid = std::process::id();
        let group = &self.place.group;
        self.log(&format!("Shutdown requested for daemon process '{group}' (pid={pid}): {reason}."));
        self.place.connections.close_free(&self.place.process());
    }

    fn log(&self, text: &str) {
        self.place.control.log(Level::Info, text.as_bytes(), Wait::Never);
    }

    /// How long there is nothing to do.
    fn pause(&mut self, now: Instant, observed: &Observed<'_>) -> Option<Duration> {
        let next_close = self.place.connections.close_unused(now, &self.place.process());
        let is_moving = self.is_moving(now, observed);
        let after = |pause: Option<Duration>| pause.map(|pause| now + pause);
        let mut looks = vec![
            self.keeper.next_look(observed),
            next_close,
            after(self.prober.as_ref().and_then(|(prober, _)| prober.interval())),
            after(self.is_orphan.then_some(ORPHAN_LOOK)),
        ];
        // Asleep, it is woken by the next request.
        if is_moving || !self.place.tally.fall_asleep(self.still.counts.0) {
            looks.push(Some(now + LOOK));
        }
        looks.into_iter().flatten().min().map(|look| look.saturating_duration_since(now))
    }

    /// Whether there is something to look at soon. Puts tickets right that somebody has taken away or made up.
    fn is_moving(&mut self, now: Instant, observed: &Observed<'_>) -> bool {
        let process = self.place.process();
        let (admitted, over) = self.place.tally.counts();
        let (idle, busy) = (process.idle(), observed.active.len());
        let counts = (admitted, over, idle, busy);
        self.restore_lost(now, idle, observed.active);
        if self.still.counts != counts {
            self.still = Still { since: now, counts };
            return true;
        }
        let expected = self.place.board.threads().saturating_sub(u32::try_from(busy).unwrap_or(u32::MAX));
        let is_wrong = idle != expected;
        if is_wrong && now - self.still.since >= STILL {
            // Whoever had one sends a request at once, or never; and a site may write to its own board.
            process.correct(idle, expected);
            self.place.connections.forget_promises();
        }
        is_wrong || busy > 0
    }

    /// Gives back the tickets that are lost on a process that has always something to do. `busy` was seen before `idle`.
    fn restore_lost(&mut self, now: Instant, idle: u32, busy: &[Active]) {
        let threads = self.place.board.threads();
        let without = |count: u32| threads.saturating_sub(idle).saturating_sub(count);
        let count = |requests: usize| u32::try_from(requests).unwrap_or(u32::MAX);
        let mut missing = without(count(busy.len()));
        if missing > 0 {
            // Whose request has come since then has no longer one that waits.
            let waiting = self.place.connections.waiting();
            let new = self.active().iter().filter(|active| !busy.contains(active)).count();
            missing = without(count(busy.len() + new).saturating_add(waiting));
        }
        if missing == 0 || self.is_closed {
            self.missing = None;
            return;
        }
        let Missing { since, looks, least } =
            self.missing.unwrap_or(Missing { since: now, looks: 0, least: missing });
        let (looks, least) = (looks + 1, least.min(missing));
        self.missing = Some(Missing { since, looks, least });
        if now - since >= STEADY.0 && looks >= STEADY.1 {
            let process = self.place.process();
            (0..least).for_each(|_| process.give_ticket());
            self.missing = None;
        }
    }

    fn wait(&self, pause: Option<Duration>) {
        // A little later, so that what is due then is due indeed.
        let limit = pause.and_then(|pause| Timespec::try_from(pause + Duration::from_millis(1)).ok());
        let control = self.place.control;
        let mut polled = vec![
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::from_borrowed_fd(self.place.tally.as_fd(), PollFlags::IN),
        ];
        if !self.is_orphan {
            polled.push(PollFd::new(control, PollFlags::IN));
        }
        // A signal that interrupts it is a byte to read.
        let _ = poll(&mut polled, limit.as_ref());
        self.place.tally.wake_up();
    }

    /// Ends the process, as far as that can be done before Python itself ends. False when Python must not.
    pub fn stop(self, reason: Reason) -> bool {
        self.place.control.say(&FromWorker::Stopping);
        self.log(&format!("Stopping process '{}'.", self.place.group));
        self.pool.stop();
        let is_locked_out = self.prober.as_ref().is_some_and(|(prober, _)| prober.waiting_since().is_some());
        match reason {
            Reason::DeadlockTimeout => wsgi::write_stacks(),
            // Somebody runs C code and does not let go of the lock.
            Reason::RequestTimeout if is_locked_out => wsgi::write_stacks(),
            Reason::RequestTimeout => wsgi::log_stacks(),
            _ => {}
        }
        wsgi::publish(wsgi::Event::ProcessStopping(&reason.to_string()));
        self.pool.wait();
        if let Some((prober, handle)) = self.prober {
            prober.stop();
            // A panic in it has been reported.
            let _ = handle.join();
        }
        self.signals.stop();
        wsgi::finish()
    }
}
