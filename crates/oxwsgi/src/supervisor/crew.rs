//! All groups and their processes: starts them, hears them, ends them when their time is up, and starts them again.

#![forbid(unsafe_code)]

mod ends;
mod hearing;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use oxwsgi_core::os::{Poller, Process};
use oxwsgi_core::report::Level;

use super::group::{Group, Verdict};
use super::log::Logs;
use super::memory::OutOfMemory;
use super::recipe::whom;
use super::source::{Part, Source};
use super::stream::Stream;
use super::worker::{Stage, Worker};

/// Of processes whose `shutdown-timeout` is off, when the supervisor itself has to end.
const SHUTDOWN: Duration = Duration::from_secs(5);
/// A worker ends itself at its `shutdown-timeout`; this much later it is ended.
const SLACK: Duration = Duration::from_secs(1);
/// Between two looks after processes that are nobody's children any more.
const ORPHAN_LOOK: Duration = Duration::from_millis(100);
/// Before another attempt when there is no slot for a process.
const SLOT_WAIT: Duration = Duration::from_millis(200);

/// The groups and their processes.
#[derive(Debug)]
pub struct Crew {
    /// Those that have a socket.
    pub groups: Vec<Group>,
    /// All logs.
    pub logs: Logs,
    /// First failures of groups, by their index in the plan, that nobody was told of yet.
    pub failures: Vec<(u32, String)>,
    poller: Poller,
    /// What each process gets: the lifeline and the drain pipe.
    ties: [OwnedFd; 2],
    workers: HashMap<u32, Worker>,
    streams: HashMap<u32, Stream>,
    next_id: u32,
    next_orphan_look: Option<Instant>,
    memory: OutOfMemory,
    is_ending: bool,
}

impl Crew {
    /// Without a group yet. `ties`, the lifeline and the drain pipe, go to each process.
    pub fn new(poller: Poller, ties: [OwnedFd; 2], logs: Logs) -> Self {
        Self {
            groups: Vec::new(),
            logs,
            failures: Vec::new(),
            poller,
            ties,
            workers: HashMap::new(),
            streams: HashMap::new(),
            next_id: 0,
            next_orphan_look: None,
            memory: OutOfMemory::watch(),
            is_ending: false,
        }
    }

    /// Waits for something to happen, at most until `due`.
    pub fn wait(&self, due: Option<Instant>, now: Instant) -> io::Result<Vec<u64>> {
        self.poller.wait(due.map(|due| due.saturating_duration_since(now)))
    }

    /// Waits for `descriptor` too.
    pub fn watch(&self, descriptor: BorrowedFd<'_>, source: Source) -> io::Result<()> {
        self.poller.add(descriptor, source.token())
    }

    /// No longer.
    pub fn unwatch(&self, descriptor: BorrowedFd<'_>) {
        self.poller.remove(descriptor);
    }

    /// Starts the processes that a group lacks, as far as its pace allows.
    pub fn fill(&mut self, position: usize, now: Instant) {
        while !self.is_ending {
            let group = &mut self.groups[position];
            let stages = group.members.iter().filter_map(|id| Some(self.workers.get(id)?.life.stage));
            let (mut active, mut unproven) = (0, 0);
            for stage in stages {
                active += usize::from(!matches!(stage, Stage::Ending(_)));
                unproven += usize::from(matches!(stage, Stage::Starting | Stage::Ready(_)));
            }
            if active >= group.plan.processes as usize || !group.pace.allows(unproven, now) {
                return;
            }
            match group.start(position, self.ties.each_ref().map(AsFd::as_fd), now) {
                Ok(Some((worker, stream))) => {
                    group.is_full = false;
                    self.enlist(worker, stream);
                }
                Ok(None) => {
                    group.pace.pause(now + SLOT_WAIT);
                    return self.make_room(position);
                }
                Err(error) => {
                    return self.failed(position, now, now, &format!("a process cannot be made: {error}"));
                }
            }
        }
    }

    /// All slots of a group are taken, and it lacks processes: ends the one that has been ending for longest.
    fn make_room(&mut self, position: usize) {
        let group = &mut self.groups[position];
        // Once, until there was room: one that survives even this is the system's affair.
        if std::mem::replace(&mut group.is_full, true) {
            return;
        }
        let mut ending: Vec<(Instant, u32, u32)> = Vec::new();
        for id in &group.members {
            if let Some(Worker { life, process: Some(process), .. }) = self.workers.get(id) {
                ending.extend(life.ending.map(|since| (since, *id, process.pid())));
            }
        }
        ending.sort_unstable();
        let pids: Vec<_> = ending.iter().map(|(_, _, pid)| pid.to_string()).collect();
        let mut text = format!("Daemon process group '{}' has no room for another process: ", group.name());
        text.push_str(&match pids.first() {
            None => "those of an earlier supervisor take long to end.".to_owned(),
            Some(first) => format!(
                "{} take long to end (pid={}), and {first} is killed. With {}= no request keeps its process for ever.",
                pids.len(),
                pids.join(", "),
                group.dialect().option("request-timeout")
            ),
        });
        self.logs.report(group.log, Level::Error, 1213, &text);
        let longest = ending.first().and_then(|(_, id, _)| self.workers.get_mut(id));
        if let Some(worker) = longest {
            worker.life.kill();
            worker.process.iter().for_each(Process::kill_group);
        }
    }

    fn enlist(&mut self, worker: Worker, stream: Stream) {
        let id = self.next_id;
        self.next_id += 1;
        let group = &mut self.groups[worker.group];
        group.members.push(id);
        let plan = &group.plan;
        let account = plan.account.as_ref();
        let (uid, gid) = account.map_or_else(own_account, |account| (account.uid, account.gid));
        let line = format!(
            "Starting daemon process '{}' with uid={uid}, gid={gid} and threads={}.",
            group.name(),
            plan.threads
        );
        self.logs.write(group.log, Level::Info, stream.pid, line.as_bytes());
        // A descriptor that cannot be waited for leaves a process that is never ready, and is ended for it.
        let parts = [
            (Part::Control, worker.control.as_ref().map(AsFd::as_fd)),
            (Part::Output, Some(stream.as_fd())),
            (Part::Notes, worker.notes.as_ref().map(AsFd::as_fd)),
        ];
        for (part, descriptor) in parts {
            if let Some(Err(error)) =
                descriptor.map(|descriptor| self.poller.add(descriptor, Source::Worker(id, part).token()))
            {
                self.logs.report(
                    group.log,
                    Level::Error,
                    1211,
                    &format!("A process cannot be watched: {error}."),
                );
            }
        }
        self.workers.insert(id, worker);
        self.streams.insert(id, stream);
    }

    fn became_ready(&mut self, position: usize, now: Instant) {
        let group = &mut self.groups[position];
        if matches!(group.verdict, Verdict::Pending | Verdict::Late) {
            group.verdict = Verdict::Ready;
        }
        self.relieve(position, now);
    }

    /// Ends the processes of earlier supervisors, when a group's own are enough.
    fn relieve(&mut self, position: usize, now: Instant) {
        let is_serving = |id| {
            let stage = self.workers.get(id).map(|worker: &Worker| worker.life.stage);
            matches!(stage, Some(Stage::Ready(_) | Stage::Proven))
        };
        let group = &mut self.groups[position];
        let serving = group.members.iter().filter(|id| is_serving(id)).count();
        group.relieve(serving, now);
    }

    /// A process that was started at `started` is no use, for this cause.
    fn failed(&mut self, position: usize, started: Instant, now: Instant, cause: &str) {
        let group = &mut self.groups[position];
        let wait = group.pace.failed(started, now);
        if group.verdict == Verdict::Pending {
            group.verdict = Verdict::Failed;
            self.failures.push((group.index, cause.to_owned()));
        } else if let Some(wait) = wait {
            let text = format!(
                "Daemon process group '{}' cannot start: {cause}. The next attempt is in {:.1} s.",
                group.name(),
                wait.as_secs_f64()
            );
            self.logs.report(group.log, Level::Error, 1203, &text);
        }
    }

    /// Does what is due.
    pub fn act(&mut self, now: Instant) {
        let mut proven = Vec::new();
        for worker in self.workers.values_mut() {
            if worker.life.prove(now) {
                proven.push(worker.group);
            }
            let stage = worker.life.stage;
            if worker.life.overrun(now)
                && let Some(process) = &worker.process
            {
                process.kill_group();
                let group = &self.groups[worker.group];
                let (name, pid) = (group.name(), process.pid());
                let (number, text) = match stage {
                    Stage::Starting => (
                        1204,
                        format!("Process '{name}' (pid={pid}) is not ready after a long time, and is ended."),
                    ),
                    _ => (
                        1205,
                        format!("Shutdown timeout expired; aborting daemon process '{name}' (pid={pid})."),
                    ),
                };
                self.logs.report(group.log, Level::Warning, number, &text);
            }
        }
        for position in proven {
            let group = &mut self.groups[position];
            if group.pace.failures() > 0 {
                let text = format!(
                    "Daemon process group '{}' works after {} failed attempts.",
                    group.name(),
                    group.pace.failures()
                );
                self.logs.say(group.log, Level::Notice, &text);
            }
            group.pace.proved();
        }
        let looks = self.next_orphan_look.is_none_or(|then| then <= now);
        let mut has_orphans = false;
        for position in 0..self.groups.len() {
            let group = &mut self.groups[position];
            if looks {
                for pid in group.bury_orphans(now) {
                    let text =
                        format!("Process '{}' (pid={pid}) of an earlier supervisor has ended.", group.name());
                    self.logs.say(group.log, Level::Info, &text);
                }
                has_orphans |= group.has_orphans();
            }
            if group.patience_ends(now).is_none() {
                self.lose_patience(position, now);
            }
            self.fill(position, now);
        }
        if looks {
            self.next_orphan_look = has_orphans.then(|| now + ORPHAN_LOOK);
        }
    }

    fn lose_patience(&mut self, position: usize, now: Instant) {
        let group = &mut self.groups[position];
        if group.verdict == Verdict::Pending {
            group.verdict = Verdict::Late;
            let text = format!(
                "Daemon process group '{}', run by {}, takes long to start; the server does not wait for it.",
                group.name(),
                whom(&group.plan)
            );
            self.logs.report(group.log, Level::Warning, 1212, &text);
        }
        if group.has_others_to_relieve() {
            self.relieve(position, now);
        }
    }

    /// When [`act`](Self::act) has something to do next.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let workers = self.workers.values().filter_map(|worker| worker.life.due());
        let groups = self.groups.iter();
        let groups = groups.flat_map(|group| [group.pace.due(now), group.patience_ends(now)]).flatten();
        workers.chain(groups).chain(self.next_orphan_look).min()
    }

    /// Ends all processes, and starts none any more: within their own time, or within `bound`.
    pub fn end(&mut self, bound: Option<Duration>, now: Instant) {
        self.is_ending = true;
        // Those of earlier supervisors too: only they can end them, and no request can come for them any more.
        self.groups.iter_mut().for_each(Group::dismiss_others);
        for worker in self.workers.values_mut() {
            let own = self.groups[worker.group].plan.limits.shutdown.unwrap_or(SHUTDOWN) + SLACK;
            worker.life.end_by(now + bound.map_or(own, |bound| bound.min(own)), now);
            if let Some(process) = &worker.process {
                process.terminate();
            }
        }
    }

    /// Whether no process is left.
    pub fn is_gone(&self) -> bool {
        self.workers.is_empty()
    }

    /// Removes the files of all sockets, for no connection can come any more.
    pub fn remove_sockets(&self) {
        self.groups.iter().for_each(Group::remove_socket);
    }
}

fn own_account() -> (u32, u32) {
    (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw())
}
