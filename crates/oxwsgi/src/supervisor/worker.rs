//! A worker process as the supervisor sees it: what it has said, and until when it may take for what it is doing.

#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use oxwsgi_core::daemon::{FromWorker, Limits, Reason};
use oxwsgi_core::os::{Notes, Process};

use super::pace::PROOF;

/// Python with a large application on a slow disk takes a minute; one that takes longer than this will never be ready.
const START_LIMIT: Duration = Duration::from_secs(300);
/// A worker keeps its own time; this much later it does not any more.
const SLACK: Duration = Duration::from_secs(2);

/// A process of a group.
#[derive(Debug)]
pub struct Worker {
    /// Index of its group.
    pub group: usize,
    /// Its slot of the group's board.
    pub slot: u32,
    /// The process itself; none once it was waited for.
    pub process: Option<Process>,
    /// Our end of its control socket; none once it has closed it.
    pub control: Option<OwnedFd>,
    /// What it notes on its way to `exec`; none once that is over.
    pub notes: Option<Notes>,
    /// Why it could not become what it was to be.
    pub refusal: Option<String>,
    /// Its life so far.
    pub life: Life,
}

/// How far a process is.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// When it was started.
    pub started: Instant,
    /// What it is doing.
    pub stage: Stage,
    /// Since when it is ending.
    pub ending: Option<Instant>,
    kill_at: Option<Instant>,
    killed: bool,
}

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not ready yet.
    Starting,
    /// Serving since then.
    Ready(Instant),
    /// Serving, and it has done so for long enough to show that it can.
    Proven,
    /// It takes no new requests, or has been told to take none.
    Ending(Option<Reason>),
}

impl Life {
    /// Of a process that was just started.
    pub fn begin(now: Instant) -> Self {
        let kill_at = Some(now + START_LIMIT);
        Self { started: now, stage: Stage::Starting, ending: None, kill_at, killed: false }
    }

    /// The process takes requests, or does whatever it is there for.
    pub fn ready(&mut self, now: Instant) -> bool {
        let is_news = self.stage == Stage::Starting;
        if is_news {
            self.stage = Stage::Ready(now);
            self.kill_at = None;
        }
        is_news
    }

    /// The process has said something about its life. What it says twice gives it no more time.
    pub fn said(&mut self, message: &FromWorker, limits: &Limits, now: Instant) {
        match message {
            FromWorker::Ready | FromWorker::Log(..) => {}
            FromWorker::Ending(reason) => {
                if self.begin_ending(Some(*reason), now) {
                    self.kill_at = window(*reason, limits)
                        .zip(limits.shutdown)
                        .map(|(window, shutdown)| now + window + shutdown + SLACK);
                }
            }
            FromWorker::Stopping => {
                self.begin_ending(None, now);
                let kill_at = limits.shutdown.map(|shutdown| now + shutdown + SLACK);
                self.kill_at = [self.kill_at, kill_at].into_iter().flatten().min();
            }
        }
    }

    /// It was told to end, and is killed at that time if it does not.
    pub fn end_by(&mut self, kill_at: Instant, now: Instant) {
        self.begin_ending(None, now);
        self.kill_at = Some(self.kill_at.map_or(kill_at, |before| before.min(kill_at)));
    }

    fn begin_ending(&mut self, reason: Option<Reason>, now: Instant) -> bool {
        let is_news = !matches!(self.stage, Stage::Ending(_));
        if is_news {
            self.stage = Stage::Ending(reason);
            self.ending = Some(now);
        }
        is_news
    }

    /// When something is to be done about it without its saying anything.
    pub fn due(&self) -> Option<Instant> {
        let proof = match self.stage {
            Stage::Ready(since) => Some(since + PROOF),
            _ => None,
        };
        [proof, self.kill_at].into_iter().flatten().min()
    }

    /// Whether it has served for long enough, and is that just now.
    pub fn prove(&mut self, now: Instant) -> bool {
        let proves = matches!(self.stage, Stage::Ready(since) if since + PROOF <= now);
        if proves {
            self.stage = Stage::Proven;
        }
        proves
    }

    /// Whether its time is up, and is that just now.
    pub fn overrun(&mut self, now: Instant) -> bool {
        let is_over = self.kill_at.is_some_and(|then| then <= now);
        if is_over {
            self.kill_at = None;
            self.killed = true;
        }
        is_over
    }

    /// We have ended it.
    pub fn kill(&mut self) {
        self.kill_at = None;
        self.killed = true;
    }

    /// Whether we have ended it.
    pub const fn was_killed(&self) -> bool {
        self.killed
    }
}

/// Time for the requests of a process that ends for this reason; none when only the process can tell.
fn window(reason: Reason, limits: &Limits) -> Option<Duration> {
    match reason {
        // The last request that is allowed may take as long as any other.
        Reason::MaximumRequests => None,
        Reason::ShutdownSignal => Some(Duration::ZERO),
        Reason::EvictionSignal => Some(limits.eviction.or(limits.graceful).unwrap_or_default()),
        _ => Some(limits.graceful.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits() -> Limits {
        Limits {
            graceful: Some(15 * SECOND),
            eviction: Some(40 * SECOND),
            shutdown: Some(5 * SECOND),
            ..Limits::default()
        }
    }

    #[test]
    fn one_that_is_never_ready_is_overrun() {
        let now = Instant::now();
        let mut life = Life::begin(now);
        assert_eq!(life.due(), Some(now + START_LIMIT));
        assert!(!life.overrun(now + START_LIMIT - SECOND) && life.overrun(now + START_LIMIT));
        assert!(life.was_killed() && !life.overrun(now + START_LIMIT) && life.due().is_none());
    }

    #[test]
    fn one_that_serves_proves_itself_once() {
        let now = Instant::now();
        let mut life = Life::begin(now);
        assert!(life.ready(now) && !life.ready(now));
        assert!(!life.prove(now) && life.due() == Some(now + PROOF));
        assert!(life.prove(now + PROOF) && !life.prove(now + PROOF));
        assert_eq!((life.stage, life.due()), (Stage::Proven, None));
    }

    #[test]
    fn one_that_ends_gets_its_windows_once() {
        let now = Instant::now();
        for (reason, window) in
            [(Reason::ScriptReload, 15), (Reason::EvictionSignal, 40), (Reason::ShutdownSignal, 0)]
        {
            let mut life = Life::begin(now);
            life.said(&FromWorker::Ending(reason), &limits(), now);
            let due = now + (window + 5) * SECOND + SLACK;
            assert_eq!((life.stage, life.due()), (Stage::Ending(Some(reason)), Some(due)));
            life.said(&FromWorker::Ending(Reason::EvictionSignal), &limits(), now + SECOND);
            assert!(!life.ready(now) && life.due() == Some(due));
            life.said(&FromWorker::Stopping, &limits(), now + SECOND);
            let due = due.min(now + 6 * SECOND + SLACK);
            assert_eq!(life.due(), Some(due));
            life.said(&FromWorker::Stopping, &limits(), now + 2 * SECOND);
            assert_eq!(life.due(), Some(due));
        }
    }

    #[test]
    fn the_last_request_that_is_allowed_may_take_its_time() {
        let now = Instant::now();
        let mut life = Life::begin(now);
        life.said(&FromWorker::Ending(Reason::MaximumRequests), &limits(), now);
        assert_eq!(life.due(), None);
        life.said(&FromWorker::Stopping, &limits(), now);
        assert_eq!(life.due(), Some(now + 5 * SECOND + SLACK));
    }

    #[test]
    fn without_a_shutdown_timeout_it_is_left_alone_until_we_end() {
        let now = Instant::now();
        let limits = Limits { shutdown: None, ..limits() };
        let mut life = Life::begin(now);
        life.ready(now);
        life.said(&FromWorker::Ending(Reason::GracefulSignal), &limits, now);
        life.said(&FromWorker::Stopping, &limits, now);
        assert_eq!((life.due(), life.ending), (None, Some(now)));
        life.end_by(now + SECOND, now);
        life.end_by(now + 2 * SECOND, now);
        assert_eq!(life.due(), Some(now + SECOND));
    }
}
