//! How fast a group's processes are started when they do not live: at once at first, then after longer and longer waits,
//! one process at a time.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

/// A process that was ready for this long has shown that the group works.
pub const PROOF: Duration = Duration::from_secs(1);

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The pace of one group.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    failures: u32,
    last_failure: Option<Instant>,
    not_before: Option<Instant>,
}

impl Pace {
    /// Of a group that nothing is known of.
    pub const fn new() -> Self {
        Self { failures: 0, last_failure: None, not_before: None }
    }

    /// A process started at `started` did not live. Gives the wait before the next attempt; none when it is one of several
    /// that were started together, and its end says nothing new.
    pub fn failed(&mut self, started: Instant, now: Instant) -> Option<Duration> {
        if self.last_failure.is_some_and(|last| started <= last) {
            return None;
        }
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
        *self = Self { failures: self.failures + 1, last_failure: Some(now), not_before: Some(now + wait) };
        Some(wait)
    }

    /// A process lives.
    pub fn proved(&mut self) {
        *self = Self { last_failure: self.last_failure, ..Self::new() };
    }

    /// Without a failure: the next process comes not before `pause` is over. For processes that end when their work is done.
    pub fn pause(&mut self, until: Instant) {
        self.not_before = self.not_before.max(Some(until));
    }

    /// Whether a process may be started, while `unproven` others are on their way.
    pub fn allows(&self, unproven: usize, now: Instant) -> bool {
        self.not_before.is_none_or(|then| then <= now) && (self.failures == 0 || unproven == 0)
    }

    /// When a process may be started that may not be now.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|then| *then > now)
    }

    /// Attempts that have failed since a process lived.
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_one_process_is_tried_at_a_time() {
        let mut now = Instant::now();
        let mut pace = Pace::new();
        assert!(pace.allows(3, now));
        let mut waits = Vec::new();
        for _ in 0..12 {
            let started = now;
            now += Duration::from_millis(50);
            let wait = pace.failed(started, now).unwrap();
            assert!(!pace.allows(0, now) && pace.due(now) == Some(now + wait));
            now += wait;
            assert!(pace.allows(0, now) && !pace.allows(1, now));
            waits.push(wait.as_millis());
        }
        assert_eq!(waits[..4], [100, 200, 400, 800]);
        assert_eq!(waits[11], 30_000);
        pace.proved();
        assert!(pace.allows(5, now) && pace.failures() == 0);
    }

    #[test]
    fn processes_started_together_fail_once() {
        let started = Instant::now();
        let mut pace = Pace::new();
        assert!(pace.failed(started, started + Duration::from_millis(10)).is_some());
        assert!(pace.failed(started, started + Duration::from_millis(11)).is_none());
        assert!(
            pace.failed(started + Duration::from_millis(200), started + Duration::from_millis(210)).is_some()
        );
    }
}
