//! The ends of processes: written down, logged, and followed by others.

#![forbid(unsafe_code)]

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use oxwsgi_core::os::WaitStatus;
use oxwsgi_core::report::Level;

use super::Crew;
use crate::supervisor::obituary::Obituary;
use crate::supervisor::source::Part;
use crate::supervisor::worker::Stage;

/// Between two starts of a process whose work is done each time.
const SERVICE_PACE: Duration = Duration::from_secs(1);
/// Output of ended processes of one group that is still held open by what they have started.
const MOST_STREAMS: usize = 64;
/// Turns for the last messages of a process, more than its socket holds, and for its last lines.
const LAST_TURNS: usize = 16;

impl Crew {
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
        self.hear(id, Part::Notes, now);
        for _ in 0..LAST_TURNS {
            self.hear(id, Part::Output, now);
            self.hear(id, Part::Control, now);
        }
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
        let (plan, dialect) = (group.plan.clone(), group.dialect());
        let obituary =
            Obituary { group: &plan, dialect, pid, status, was_expected, was_killed, out_of_memory };
        let is_done = group.is_service() && status == WaitStatus(0);
        match life.stage {
            _ if self.is_ending => self.say_death(position, &obituary, &obituary.line("")),
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
}
