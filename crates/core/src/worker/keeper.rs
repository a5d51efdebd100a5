//! When a worker ends, and why: all the limits of its group, from what is observed of it at one moment to the next.
//!
//! A process *serves*; then it *drains*: it takes no new request, and those under way have until a deadline; then it *stops*.
//! Each limit stands for itself: that one is off turns no other one off. Asked by the worker's main thread; knows no clock.

use std::time::{Duration, Instant};

use crate::daemon::{Limits, Reason};

/// A request that a thread serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active {
    /// Number of the thread.
    pub thread: usize,
    /// Tells the thread's requests apart.
    pub turn: u64,
    /// When the thread took it.
    pub since: Instant,
}

/// What is seen of the process at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observed<'a> {
    /// The requests under way.
    pub active: &'a [Active],
    /// When a request last began, read its body, was answered or ended; none before the first.
    pub last_activity: Option<Instant>,
    /// When the first request came.
    pub first_request: Option<Instant>,
    /// A script has been loaded.
    pub is_loaded: bool,
    /// Since when somebody has been waiting for Python's lock, who only wants to know whether it can be had.
    pub waiting_for_lock: Option<Instant>,
    /// The last of the requests that `maximum-requests` allows is over.
    pub is_last_over: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Stay,
    /// Raise an exception in this request.
    Interrupt(Active),
    /// Take no new request.
    Drain(Reason),
    /// End, whatever is under way. Comes after `Drain`, or at once.
    Stop(Reason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// None: the last request may take its time.
    Draining(Reason, Option<Instant>),
    Stopping,
}

/// Keeps the limits of one process.
#[derive(Debug)]
pub struct Keeper {
    limits: Limits,
    /// `request-timeout` for this number of threads.
    request: Option<Duration>,
    started: Instant,
    phase: Phase,
    interrupted: Vec<(Active, Instant)>,
}

impl Keeper {
    /// For a process that has started at `started`.
    pub fn new(limits: Limits, threads: u32, started: Instant) -> Self {
        // A request that keeps one of many threads is less of a trouble.
        let scale = 1.0 + f64::from(threads.max(1)).ln();
        let request = limits.request.map(|limit| limit.mul_f64(scale));
        Self { limits, request, started, phase: Phase::Serving, interrupted: Vec::new() }
    }

    /// What is to be done at `now`. To be asked again at once, until the answer is [`Step::Stay`].
    pub fn look(&mut self, now: Instant, observed: &Observed<'_>) -> Step {
        match self.phase {
            Phase::Stopping => Step::Stay,
            Phase::Serving => match self.exceeded(now, observed) {
                Some(reason) => self.end(reason, now, observed),
                None => self.interrupt(now, observed),
            },
            Phase::Draining(reason, until) => {
                let until = match until {
                    None if observed.is_last_over => self.deadline(reason, now),
                    until => until,
                };
                self.phase = Phase::Draining(reason, until);
                let is_over =
                    until.is_some_and(|until| until <= now) || !self.is_worth_waiting(now, observed);
                if is_over || self.is_deadlocked(now, observed) {
                    self.phase = Phase::Stopping;
                    return Step::Stop(reason);
                }
                self.interrupt(now, observed)
            }
        }
    }

    /// The process is to end for a reason that is not found by looking.
    pub fn end(&mut self, reason: Reason, now: Instant, observed: &Observed<'_>) -> Step {
        let until = match (reason, self.window(reason)) {
            // The last request that is allowed is as good as any other.
            (Reason::MaximumRequests, _) if !observed.is_last_over => None,
            (_, None) => return self.stop(reason),
            (_, Some(window)) => Some(now + window),
        };
        match self.phase {
            Phase::Stopping => Step::Stay,
            Phase::Serving if until.is_some() && !self.is_worth_waiting(now, observed) => self.stop(reason),
            Phase::Serving => {
                self.phase = Phase::Draining(reason, until);
                Step::Drain(reason)
            }
            Phase::Draining(first, before) => {
                let sooner = before.into_iter().chain(until).min();
                self.phase = Phase::Draining(first, sooner);
                Step::Stay
            }
        }
    }

    /// When to look again, at the latest, when nothing new is seen until then.
    pub fn next_look(&self, observed: &Observed<'_>) -> Option<Instant> {
        let after = |start: Option<Instant>, limit: Option<Duration>| Some(start? + limit?);
        match self.phase {
            Phase::Stopping => None,
            Phase::Draining(_, until) => until,
            Phase::Serving => {
                let idle = if observed.active.is_empty() { observed.last_activity } else { None };
                let unloaded = if observed.is_loaded { None } else { observed.first_request };
                [
                    after(Some(self.started), self.limits.restart_interval),
                    after(idle, self.limits.inactivity),
                    after(unloaded, self.limits.startup),
                    after(observed.waiting_for_lock, self.limits.deadlock),
                ]
                .into_iter()
                .flatten()
                .min()
            }
        }
    }

    fn stop(&mut self, reason: Reason) -> Step {
        if self.phase == Phase::Stopping {
            return Step::Stay;
        }
        self.phase = Phase::Stopping;
        Step::Stop(reason)
    }

    fn exceeded(&self, now: Instant, observed: &Observed<'_>) -> Option<Reason> {
        let is_over = |start: Option<Instant>, limit: Option<Duration>| {
            start.zip(limit).is_some_and(|(start, limit)| start + limit <= now)
        };
        if is_over(Some(self.started), self.limits.restart_interval) {
            return Some(Reason::RestartInterval);
        }
        if observed.active.is_empty() && is_over(observed.last_activity, self.limits.inactivity) {
            return Some(Reason::InactivityTimeout);
        }
        if !observed.is_loaded && is_over(observed.first_request, self.limits.startup) {
            return Some(Reason::StartupTimeout);
        }
        if self.is_deadlocked(now, observed) {
            return Some(Reason::DeadlockTimeout);
        }
        let is_hopeless = |active: &Active| match self.limits.interrupt {
            None => true,
            Some(grace) => {
                self.interrupted.iter().any(|(known, when)| known == active && now - *when >= grace)
            }
        };
        observed
            .active
            .iter()
            .any(|active| self.is_too_long(active, now) && is_hopeless(active))
            .then_some(Reason::RequestTimeout)
    }

    fn is_deadlocked(&self, now: Instant, observed: &Observed<'_>) -> bool {
        let waited = observed.waiting_for_lock.map(|since| now.saturating_duration_since(since));
        waited.zip(self.limits.deadlock).is_some_and(|(waited, limit)| waited >= limit)
    }

    fn is_too_long(&self, active: &Active, now: Instant) -> bool {
        self.request.is_some_and(|limit| now.saturating_duration_since(active.since) > limit)
    }

    /// One at a time: an exception in one may let go of what the others wait for.
    fn interrupt(&mut self, now: Instant, observed: &Observed<'_>) -> Step {
        if self.limits.interrupt.is_none() {
            return Step::Stay;
        }
        self.interrupted.retain(|(known, _)| observed.active.contains(known));
        let known = &self.interrupted;
        let next = observed.active.iter().find(|active| {
            self.is_too_long(active, now) && !known.iter().any(|(interrupted, _)| interrupted == *active)
        });
        // Not two within the same second.
        let pauses =
            known.iter().any(|(_, when)| now.saturating_duration_since(*when) < Duration::from_secs(1));
        let Some(active) = next.copied().filter(|_| !pauses) else { return Step::Stay };
        self.interrupted.push((active, now));
        Step::Interrupt(active)
    }

    /// How long requests have when the process ends for this reason; none: no longer than the end takes.
    fn window(&self, reason: Reason) -> Option<Duration> {
        match reason {
            Reason::ShutdownSignal
            | Reason::InactivityTimeout
            | Reason::StartupTimeout
            | Reason::DeadlockTimeout => None,
            Reason::EvictionSignal => self.limits.eviction.or(self.limits.graceful),
            Reason::GracefulSignal
            | Reason::MaximumRequests
            | Reason::RestartInterval
            | Reason::RequestTimeout
            | Reason::CpuTimeLimit
            | Reason::ScriptReload
            | Reason::Superseded => self.limits.graceful,
        }
    }

    fn deadline(&self, reason: Reason, now: Instant) -> Option<Instant> {
        Some(now + self.window(reason).unwrap_or_default())
    }

    /// Whether there is a request whose end is still to be hoped for.
    fn is_worth_waiting(&self, now: Instant, observed: &Observed<'_>) -> bool {
        let stale = match (self.limits.request, self.limits.interrupt) {
            (None, None) => None,
            (request, interrupt) => Some(request.unwrap_or_default() + interrupt.unwrap_or_default()),
        };
        let is_fresh =
            |active: &Active| stale.is_none_or(|stale| now.saturating_duration_since(active.since) <= stale);
        observed.active.iter().any(is_fresh)
    }
}

#[cfg(test)]
mod tests;
