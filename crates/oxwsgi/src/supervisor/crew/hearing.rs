//! What processes say, write and note. All of it is a site's word: bounded in each turn, and nonsense ends who says it.

#![forbid(unsafe_code)]

use std::io;
use std::time::Instant;

use oxwsgi_core::daemon::{FromWorker, LONGEST_MESSAGE, decode};
use oxwsgi_core::os::packet::{self, Wait};
use oxwsgi_core::report::Level;

use super::Crew;
use crate::supervisor::source::Part;
use crate::supervisor::worker::{Life, Stage};

/// Messages of one process in one turn; then others have theirs.
const TURN: usize = 64;

impl Crew {
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
                // An application has no word for more, and the system's log would call everybody.
                self.logs.write(group.log, level.max(Level::Critical), pid, &text);
            }
            FromWorker::Ready => {
                if worker.life.ready(now) {
                    self.became_ready(position, now);
                }
            }
            FromWorker::Ending(_) | FromWorker::Stopping => {
                let Life { started, stage, .. } = worker.life;
                worker.life.said(&message, &group.plan.limits, now);
                // It was no use, however politely it says so.
                if stage == Stage::Starting && !self.is_ending {
                    let why = match message {
                        FromWorker::Ending(reason) => reason.to_string(),
                        _ => "it stops".to_owned(),
                    };
                    let cause = format!("its process ended before it was ready: {why}");
                    self.failed(position, started, now, &cause);
                }
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
        if !std::mem::replace(&mut group.has_noted, true) {
            if let Some(text) = group.recipe.refused_priority(&group.plan, &obstacles) {
                self.logs.report(group.log, Level::Warning, 1208, &text);
            }
            if let Some(text) = group.recipe.other_folder(&group.plan, &obstacles) {
                self.logs.say(group.log, Level::Info, &text);
            }
        }
        // It serves no requests, so it has nothing to become ready for.
        if group.is_service() && worker.life.ready(now) {
            self.became_ready(position, now);
        }
    }
}
