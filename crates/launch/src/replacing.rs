//! When a supervisor that has died is replaced: at once the first time, then after longer and longer pauses; and what the
//! operator reads of it. For whoever starts it: a server's parent process, or a keeper.

#![forbid(unsafe_code)]

use std::fmt::Display;
use std::time::{Duration, Instant};

use oxwsgi_core::report::Number;

use crate::error::LaunchError;

/// The supervisor has died.
pub const DIED: Number = Number(1153);
/// There is no other one yet.
pub const NOT_REPLACED: Number = Number(1154);

/// A supervisor that lived for so long had no reason of its own to die.
const SOUND: Duration = Duration::from_secs(60);
/// Between two attempts to start one that had, at first and at most.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The pace at which the supervisors of one generation follow each other.
#[derive(Clone, Copy, Debug)]
pub struct Replacing {
    /// When the last one was started.
    since: Instant,
    /// How many have died soon after their start, one after the other.
    failures: u32,
    /// When another is to be started; none while there is one.
    due: Option<Instant>,
}

impl Replacing {
    /// The first one was started `now`.
    pub const fn new(now: Instant) -> Self {
        Self { since: now, failures: 0, due: None }
    }

    /// It has died.
    pub fn lost(&mut self, now: Instant) {
        let is_sound = now.saturating_duration_since(self.since) >= SOUND;
        self.failures = if is_sound { 0 } else { self.failures + 1 };
        // The first is replaced at once.
        let pause = match self.failures {
            0 | 1 => Duration::ZERO,
            more => PAUSE.saturating_mul(1 << (more - 2).min(16)).min(LONGEST_PAUSE),
        };
        self.due = Some(now + pause);
    }

    /// When another is to be started; none while there is one.
    pub const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether another is to be started now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Another was started, or could not be.
    pub fn tried(&mut self, now: Instant, has_started: bool) {
        self.since = now;
        self.due = (!has_started).then(|| now + LONGEST_PAUSE);
    }
}

/// The line for a supervisor that has died; `how` is its status.
pub fn died(pid: u32, how: impl Display) -> String {
    format!(
        "{DIED}: The supervisor (pid={pid}) of the daemon process groups has died ({how}); their processes go on, and another \
         supervisor takes over"
    )
}

/// The line for an attempt that failed.
pub fn not_replaced(error: &LaunchError) -> String {
    format!(
        "{NOT_REPLACED}: {error}; the next attempt is in {} seconds, and until then processes of daemon groups that end are \
         not replaced",
        LONGEST_PAUSE.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_supervisors_die_young() {
        let mut now = Instant::now();
        let mut replacing = Replacing::new(now);
        assert_eq!(replacing.due(), None);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            now += Duration::from_secs(1);
            replacing.lost(now);
            let due = replacing.due().unwrap();
            pauses.push((due - now).as_secs());
            assert!(replacing.is_due(due) && (due == now || !replacing.is_due(now)));
            now = due;
            replacing.tried(now, true);
            assert_eq!(replacing.due(), None);
        }
        assert_eq!(pauses, [0, 5, 10, 20, 40, 80, 160, 300, 300]);
        now += SOUND;
        replacing.lost(now);
        assert!(replacing.is_due(now), "one that lived long is replaced at once");
    }

    #[test]
    fn what_cannot_be_started_is_tried_again_much_later() {
        let now = Instant::now();
        let mut replacing = Replacing::new(now);
        replacing.lost(now);
        replacing.tried(now, false);
        assert_eq!(replacing.due(), Some(now + LONGEST_PAUSE));
    }
}
