//! All groups and their processes: starts them, hears them, ends them when their time is up, and starts them again.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use oxwsgi_core::daemon::{FromWorker, LONGEST_MESSAGE, decode};
use oxwsgi_core::os::packet::{self, Wait};
use oxwsgi_core::os::{Poller, WaitStatus};
use oxwsgi_core::report::Level;

use super::group::{Group, Verdict};
use super::log::Logs;
use super::memory::OutOfMemory;
use super::obituary::Obituary;
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
/// Between two starts of a process whose work is done each time.
const SERVICE_PACE: Duration = Duration::from_secs(1);
/// Before another attempt when there is no slot for a process.
const SLOT_WAIT: Duration = Duration::from_millis(200);
/// Messages of one process in one turn; then others have theirs.
const TURN: usize = 64;
/// Output of ended processes of one group that is still held open by what they have started.
const MOST_STREAMS: usize = 64;

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
    lifeline: OwnedFd,
    workers: HashMap<u32, Worker>,
    streams: HashMap<u32, Stream>,
    next_id: u32,
    next_orphan_look: Option<Instant>,
    memory: OutOfMemory,
    is_ending: bool,
}

impl Crew {
    /// Without a group yet. `lifeline` goes to each process.
    pub fn new(poller: Poller, lifeline: OwnedFd, logs: Logs) -> Self {
        Self {
            groups: Vec::new(),
            logs,
            failures: Vec::new(),
            poller,
            lifeline,
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
            match group.start(position, self.lifeline.as_fd(), now) {
                Ok(Some((worker, stream))) => self.enlist(worker, stream),
                Ok(None) => return group.pace.pause(now + SLOT_WAIT),
                Err(error) => {
                    return self.failed(position, now, now, &format!("a process cannot be made: {error}"));
                }
            }
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

    /// Something has come from a process.
    pub fn hear(&mut self, id: u32, part: Part, now: Instant) {
        match part {
            Part::Control => self.hear_control(id, now),
            Part::Output => self.hear_output(id),
            Part::Notes => self.hear_notes(id, now),
        }
    }

    fn hear_control(&mut self, id: u32, now: Instant) {
        let mut buffer = vec![0; LONGEST_MESSAGE];
        for _ in 0..TURN {
            let Some(worker) = self.workers.get_mut(&id) else { return };
            let Some(control) = &worker.control else { return };
            match packet::receive(control, &mut buffer, 0, Wait::Never) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(packet) if packet.length > 0 => {
                    match decode(&buffer[..packet.length]).filter(|_| !packet.truncated) {
                        Some(message) => self.heard(id, message, now),
                        None => return self.refuse(id),
                    }
                }
                // Its end comes as a signal, or its site has closed what it should not: it goes on as far as it can.
                _ => {
                    self.poller.remove(control);
                    worker.control = None;
                    return;
                }
            }
        }
    }

    fn heard(&mut self, id: u32, message: FromWorker, now: Instant) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let position = worker.group;
        let group = &mut self.groups[position];
        match message {
            FromWorker::Log(level, text) => {
                let pid = self.streams.get(&id).map_or(0, |stream| stream.pid);
                self.logs.write(group.log, level, pid, &text);
            }
            FromWorker::Ready => {
                if worker.life.ready(now) {
                    self.became_ready(position, now);
                }
            }
            FromWorker::Ending(_) | FromWorker::Stopping => {
                worker.life.said(&message, &group.plan.limits, now);
                self.fill(position, now);
            }
        }
    }

    /// A process that does not speak our language may be doing anything.
    fn refuse(&mut self, id: u32) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Some(process) = &worker.process else { return };
        let group = &self.groups[worker.group];
        let text = format!(
            "Process '{}' (pid={}) has sent its supervisor what is no message, and is ended.",
            group.name(),
            process.pid()
        );
        self.logs.report(group.log, Level::Error, 1206, &text);
        process.kill_group();
        worker.life.kill();
        if let Some(control) = worker.control.take() {
            self.poller.remove(&control);
        }
    }

    fn hear_output(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let (log, pid) = (self.groups[stream.group].log, stream.pid);
        if !stream.read(|line| self.logs.write(log, Level::Error, pid, line)) {
            self.poller.remove(&*stream);
            // The last words of a process are asked for when it has ended.
            if !self.workers.contains_key(&id) {
                self.streams.remove(&id);
            }
        }
    }

    fn hear_notes(&mut self, id: u32, now: Instant) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Some(notes) = &mut worker.notes else { return };
        let obstacles = match notes.take() {
            Ok(None) => return,
            Ok(Some(obstacles)) => obstacles,
            Err(_) => Vec::new(),
        };
        self.poller.remove(&*notes);
        worker.notes = None;
        let position = worker.group;
        let group = &mut self.groups[position];
        worker.refusal = group.recipe.refusal(&group.plan, &obstacles);
        if worker.refusal.is_some() {
            return;
        }
        let deviations = group.recipe.deviations(&group.plan, &obstacles);
        if !std::mem::replace(&mut group.has_said_deviations, true) {
            for text in deviations {
                self.logs.report(group.log, Level::Warning, 1208, &format!("{text}."));
            }
        }
        // It serves no requests, so it has nothing to become ready for.
        if group.is_service() && worker.life.ready(now) {
            self.became_ready(position, now);
        }
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
        let text = format!("Daemon process group '{}' cannot start: {cause}", group.name());
        if group.verdict == Verdict::Pending {
            group.verdict = Verdict::Failed;
            self.failures.push((group.index, text));
        } else if let Some(wait) = wait {
            let text = format!("{text}. The next attempt is in {:.1} s.", wait.as_secs_f64());
            self.logs.report(group.log, Level::Error, 1203, &text);
        }
    }

    /// Looks which processes have ended.
    pub fn reap(&mut self, now: Instant) {
        let mut ended = Vec::new();
        for (id, worker) in &mut self.workers {
            let Some(process) = worker.process.take() else { continue };
            if self.is_ending && process.has_ended() {
                // What it has started ends with the server as well. Its number is its own until it is waited for.
                process.kill_group();
            }
            match process.reap() {
                Err(process) => worker.process = Some(process),
                Ok(status) => {
                    // First of all: whoever had a connection to it waits for this.
                    self.groups[worker.group].bury(worker.slot, status, now);
                    ended.push((*id, status));
                }
            }
        }
        for (id, status) in ended {
            self.ended(id, WaitStatus(status), now);
        }
    }

    fn ended(&mut self, id: u32, status: WaitStatus, now: Instant) {
        // What it said and wrote before is still to be read.
        self.hear_notes(id, now);
        self.hear_control(id, now);
        self.hear_output(id);
        let Some(mut worker) = self.workers.remove(&id) else { return };
        for descriptor in [worker.control.as_ref().map(AsFd::as_fd), worker.notes.as_ref().map(AsFd::as_fd)] {
            descriptor.into_iter().for_each(|descriptor| self.poller.remove(descriptor));
        }
        let position = worker.group;
        self.groups[position].members.retain(|member| *member != id);
        let (pid, last_words) = self.close_stream(id);
        let life = worker.life;
        let out_of_memory =
            status.signal() == Some(libc::SIGKILL) && !life.was_killed() && self.memory.has_struck();
        let group = &mut self.groups[position];
        let was_expected = matches!(life.stage, Stage::Ending(_));
        let was_killed = life.was_killed();
        let plan = group.plan.clone();
        let obituary = Obituary { group: &plan, pid, status, was_expected, was_killed, out_of_memory };
        let is_done = group.is_service() && status == WaitStatus(0);
        match life.stage {
            _ if self.is_ending => self.logs.say(group.log, obituary.level(), &obituary.line("")),
            Stage::Starting => {
                let cause =
                    worker.refusal.take().unwrap_or_else(|| obituary.early_end(last_words.as_deref()));
                self.failed(position, life.started, now, &cause);
            }
            Stage::Ready(_) if is_done => {
                group.pace.pause(life.started + SERVICE_PACE);
                self.logs.say(group.log, Level::Info, &obituary.line(", restarting it"));
            }
            Stage::Ready(_) => {
                let wait = group.pace.failed(life.started, now).unwrap_or_default();
                let line = obituary.line(&format!(", restarting it in {:.1} s", wait.as_secs_f64()));
                self.say_death(position, &obituary, &line);
            }
            Stage::Proven => {
                let line = obituary.line(", restarting it");
                self.say_death(position, &obituary, &line);
            }
            Stage::Ending(_) => {
                let line = obituary.line(", replacing it");
                self.say_death(position, &obituary, &line);
            }
        }
        self.fill(position, now);
    }

    fn say_death(&mut self, position: usize, obituary: &Obituary<'_>, line: &str) {
        let log = self.groups[position].log;
        match obituary.level() {
            Level::Error => self.logs.report(log, Level::Error, 1202, line),
            level => self.logs.say(log, level, line),
        }
    }

    /// The number and the last words of a process that has ended. What it has started may go on writing.
    fn close_stream(&mut self, id: u32) -> (u32, Option<String>) {
        let Some(stream) = self.streams.get_mut(&id) else { return (0, None) };
        let (log, pid, position) = (self.groups[stream.group].log, stream.pid, stream.group);
        stream.flush(|line| self.logs.write(log, Level::Error, pid, line));
        let last_words = stream.last_words();
        // Closed at its end, or when there are too many of its kind; a writer gets `SIGPIPE` then.
        let is_open = stream.read(|line| self.logs.write(log, Level::Error, pid, line));
        let left = self
            .streams
            .iter()
            .filter(|(other, stream)| stream.group == position && !self.workers.contains_key(other));
        if (!is_open || left.count() > MOST_STREAMS)
            && let Some(stream) = self.streams.remove(&id)
        {
            self.poller.remove(&stream);
        }
        (pid, last_words)
    }

    /// Does what is due.
    pub fn act(&mut self, now: Instant) {
        let mut proven = Vec::new();
        for (id, worker) in &mut self.workers {
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
                debug_assert!(self.streams.contains_key(id), "a process has its output");
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
                has_orphans |= group.watch_orphans(now);
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
        for worker in self.workers.values_mut() {
            let own = self.groups[worker.group].plan.limits.shutdown.unwrap_or(SHUTDOWN) + SLACK;
            worker.life.end_by(now + bound.map_or(own, |bound| bound.min(own)));
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
