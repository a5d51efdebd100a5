//! The supervisor's life: groups are made and reported, then it waits for whatever happens, until its server ends.

#![forbid(unsafe_code)]

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use oxwsgi_core::daemon::{FromSupervisor, Plan};
use oxwsgi_core::os::{Limit, Poller};
use oxwsgi_core::report::Level;

use super::crew::Crew;
use super::group::{Group, Verdict};
use super::log::{Log, Logs};
use super::parent::{Adopted, Parent};
use super::recipe::lossy;
use super::signals::Signals;
use super::source::Source;

/// When the server is gone, its processes end within this time.
const HURRY: Duration = Duration::from_millis(900);
/// After the first failure of a start that is to fail as a whole, others get this time to show theirs.
const MORE_FAILURES: Duration = Duration::from_secs(2);

/// The server waits no longer than this for groups that start while others serve: until then all of its sites stand still.
const GRACE: Duration = Duration::from_secs(1);

/// The supervisor of one server generation.
#[derive(Debug)]
pub struct Session<'a> {
    plan: &'a Plan,
    parent: &'a mut Parent,
    signals: Signals,
    crew: Crew,
    log: Log,
    phase: Phase,
    since: Instant,
    /// A group that cannot start ends everything.
    is_strict: bool,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The server waits, for not all groups have shown whether they can start; since when it is known that the start fails.
    Starting { failing: Option<Instant> },
    /// All that can serve do, or are no longer waited for.
    Serving,
    /// All processes are asked to end. The sockets' files go too, unless the server is to have another supervisor for them.
    Ending { code: u8, is_for_good: bool },
}

impl<'a> Session<'a> {
    /// Ready to make the groups of `plan`.
    ///
    /// # Errors
    /// Something is missing that no group can do without.
    pub fn new(plan: &'a Plan, parent: &'a mut Parent, is_strict: bool) -> Result<Self, String> {
        let failed = |error: std::io::Error| {
            format!("the supervisor of the daemon process groups cannot work: {error}")
        };
        let signals = Signals::catch().map_err(failed)?;
        let mut logs = Logs::default();
        let log = logs.open(&plan.log)?;
        let (lifeline, drain) = (parent.lifeline.try_clone(), parent.drain.try_clone());
        let ties = [lifeline.map_err(failed)?, drain.map_err(failed)?];
        let crew = Crew::new(Poller::new().map_err(failed)?, ties, logs);
        let sources = [
            (Some(signals.child.as_fd()), Source::Child),
            (Some(signals.end.as_fd()), Source::End),
            (parent.control(), Source::Control),
            (Some(parent.lifeline.as_fd()), Source::Lifeline),
            (Some(parent.drain.as_fd()), Source::Drain),
            (parent.watch.as_ref().map(AsFd::as_fd), Source::Parent),
        ];
        for (descriptor, source) in sources {
            descriptor.map_or(Ok(()), |descriptor| crew.watch(descriptor, source)).map_err(failed)?;
        }
        let (phase, since) = (Phase::Starting { failing: None }, Instant::now());
        Ok(Self { plan, parent, signals, crew, log, phase, since, is_strict })
    }

    /// Makes the groups, and serves until the end.
    pub fn run(mut self, adopted: Option<Vec<Option<Adopted>>>, descriptors: Option<Limit>) -> ExitCode {
        match adopted {
            None => (0..self.plan.groups.len()).for_each(|index| self.make_group(index, None, descriptors)),
            Some(groups) => {
                for (index, group) in groups.into_iter().enumerate().filter(|(_, group)| group.is_some()) {
                    self.make_group(index, group, descriptors);
                }
            }
        }
        let mut now = Instant::now();
        loop {
            self.crew.act(now);
            self.tell(now);
            if let Phase::Ending { code, is_for_good } = self.phase
                && self.crew.is_gone()
            {
                if is_for_good {
                    self.crew.remove_sockets();
                }
                return ExitCode::from(code);
            }
            let due = [self.crew.due(now), self.due()].into_iter().flatten().min();
            let tokens = match self.crew.wait(due, now) {
                Ok(tokens) => tokens,
                Err(error) => {
                    let text = format!("The supervisor of the daemon process groups cannot go on: {error}.");
                    self.crew.logs.report(self.log, Level::Critical, 1210, &text);
                    // The processes go on without; the server starts another supervisor.
                    return ExitCode::FAILURE;
                }
            };
            now = Instant::now();
            for source in tokens.into_iter().filter_map(Source::of) {
                self.happened(source, now);
            }
        }
    }

    fn make_group(&mut self, index: usize, adopted: Option<Adopted>, descriptors: Option<Limit>) {
        let plan = self.plan;
        let log = self.crew.logs.open(&plan.groups[index].log);
        let group =
            log.and_then(|log| Group::new(plan, index, log, adopted, std::env::vars_os(), descriptors));
        match group {
            Ok(group) => {
                self.parent.tell(&FromSupervisor::Group(group.index), &group.descriptors());
                self.crew.groups.push(group);
            }
            Err(cause) => {
                self.crew.failures.push((u32::try_from(index).unwrap_or(u32::MAX), cause));
            }
        }
    }

    fn happened(&mut self, source: Source, now: Instant) {
        match source {
            Source::Child => {
                self.signals.child.clear();
                self.crew.reap(now);
            }
            Source::Worker(id, part) => self.crew.hear(id, part, now),
            Source::End => {
                self.signals.end.clear();
                // Not the server's wish: it starts another supervisor, whose processes are found by the same files.
                self.end_workers(0, false, None, now);
            }
            Source::Control => {
                if let Some(control) = self.parent.hear() {
                    self.crew.unwatch(control.as_fd());
                }
            }
            Source::Drain => {
                self.crew.unwatch(self.parent.drain.as_fd());
                // A start that fails has nobody to finish for.
                let is_failing = matches!(self.phase, Phase::Starting { failing: Some(_) });
                self.end(u8::from(is_failing), is_failing.then_some(HURRY), now);
            }
            Source::Lifeline => {
                self.crew.unwatch(self.parent.lifeline.as_fd());
                self.end(0, Some(HURRY), now);
            }
            Source::Parent => {
                if let Some(watch) = &self.parent.watch {
                    self.crew.unwatch(watch.as_fd());
                }
                self.end(0, Some(HURRY), now);
            }
        }
    }

    /// Tells the parent how the start goes.
    fn tell(&mut self, now: Instant) {
        let mut has_failed = false;
        for (index, cause) in std::mem::take(&mut self.crew.failures) {
            has_failed = true;
            // A parent that has heard that all is ready listens no more.
            let is_heard = !matches!(self.phase, Phase::Serving)
                && self.parent.tell(&FromSupervisor::Failed(index, cause.clone()), &[]);
            if !is_heard {
                let name = self.plan.groups.get(index as usize).map_or(&[][..], |group| &group.name);
                let text = format!("Daemon process group '{}' cannot start: {cause}.", lossy(name));
                self.crew.logs.report(self.log, Level::Error, 1201, &text);
            }
        }
        let Phase::Starting { failing } = self.phase else { return };
        let is_settled = self.crew.groups.iter().all(|group| group.verdict != Verdict::Pending);
        let failing = failing.or((has_failed && self.is_strict).then_some(now));
        self.phase = Phase::Starting { failing };
        let is_awaited = self.is_strict || now < self.since + GRACE;
        match failing {
            Some(since) if is_settled || since + MORE_FAILURES <= now => self.end(1, Some(HURRY), now),
            // The requests of groups that take longer wait in their queues.
            None if is_settled || !is_awaited => {
                self.parent.tell(&FromSupervisor::Ready, &[]);
                self.phase = Phase::Serving;
            }
            _ => {}
        }
    }

    fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Starting { failing: Some(since) } => Some(since + MORE_FAILURES),
            Phase::Starting { failing: None } => (!self.is_strict).then(|| self.since + GRACE),
            Phase::Serving | Phase::Ending { .. } => None,
        }
    }

    /// Nobody needs this generation's processes any more.
    fn end(&mut self, code: u8, bound: Option<Duration>, now: Instant) {
        self.end_workers(code, true, bound, now);
    }

    fn end_workers(&mut self, code: u8, for_good: bool, bound: Option<Duration>, now: Instant) {
        let (code, was_for_good) = match self.phase {
            Phase::Ending { code, is_for_good } => (code, is_for_good),
            Phase::Starting { .. } | Phase::Serving => (code, false),
        };
        self.phase = Phase::Ending { code, is_for_good: was_for_good || for_good };
        self.crew.end(bound, now);
    }
}
