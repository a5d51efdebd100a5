//! The keeper's life: it waits for the end of its supervisor, and of the server or its generation.

#![forbid(unsafe_code)]

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use oxwsgi_core::os::{Poller, WaitStatus};
use oxwsgi_core::report::Level;
use oxwsgi_launch::{Generation, Replacing, replacing};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::supervisor::log::{Log, Logs};
use crate::supervisor::parent::Parent;
use crate::supervisor::signals::Signals;

/// Supervisors that are started to end what others have left, when those died at it.
const LAST_ONES: u32 = 3;

/// A supervisor that is looked after.
#[derive(Debug)]
pub struct Watch {
    generation: Generation,
    replacing: Replacing,
    signals: Signals,
    logs: Logs,
    log: Log,
    /// What it ends for has come; how many supervisors may still be started.
    ending: Option<u32>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
enum Source {
    Child,
    End,
    Lifeline,
    Drain,
}

const SOURCES: [Source; 4] = [Source::Child, Source::End, Source::Lifeline, Source::Drain];

impl Watch {
    /// Over a generation that was just started.
    pub fn new(generation: Generation, signals: Signals, logs: Logs, log: Log) -> Self {
        Self { generation, replacing: Replacing::new(Instant::now()), signals, logs, log, ending: None }
    }

    /// Until the end. The server learns of that by the end of the control socket.
    pub fn run(mut self, parent: &Parent) -> ExitCode {
        match self.poller(parent) {
            Some(poller) => self.run_with(&poller, parent),
            None => ExitCode::FAILURE,
        }
    }

    fn run_with(&mut self, poller: &Poller, parent: &Parent) -> ExitCode {
        loop {
            let due = self.replacing.due().filter(|_| self.ending.is_none());
            if !self.wait(due.map(|due| due.saturating_duration_since(Instant::now())), poller, parent) {
                return ExitCode::FAILURE;
            }
            if let Some(status) = self.ended_supervisor() {
                // What it may have ended for came before.
                self.wait(Some(Duration::ZERO), poller, parent);
                if let Some(code) = self.lost(status, Instant::now()) {
                    return code;
                }
            }
            if !self.replace(Instant::now()) && self.ending.is_some() {
                return ExitCode::FAILURE;
            }
        }
    }

    /// Waits for something to happen, and takes note of it; whether that is possible.
    fn wait(&mut self, limit: Option<Duration>, poller: &Poller, parent: &Parent) -> bool {
        let Ok(tokens) = poller.wait(limit) else { return false };
        for token in tokens {
            self.happened(SOURCES[token as usize], poller, parent);
        }
        true
    }

    fn poller(&self, parent: &Parent) -> Option<Poller> {
        let poller = Poller::new().ok()?;
        for (token, source) in (0..).zip(SOURCES) {
            let descriptor = match source {
                Source::Child => self.signals.child.as_fd(),
                Source::End => self.signals.end.as_fd(),
                Source::Lifeline => parent.lifeline.as_fd(),
                Source::Drain => parent.drain.as_fd(),
            };
            poller.add(descriptor, token).ok()?;
        }
        Some(poller)
    }

    fn happened(&mut self, source: Source, poller: &Poller, parent: &Parent) {
        match source {
            // A signal that comes from now on is another one.
            Source::Child => return self.signals.child.clear(),
            Source::End => {
                self.signals.end.clear();
                if let Some(pid) = self.supervisor() {
                    let _ = kill_process(pid, Signal::TERM);
                }
            }
            // The supervisor sees these as well.
            Source::Lifeline => poller.remove(&parent.lifeline),
            Source::Drain => poller.remove(&parent.drain),
        }
        self.ending.get_or_insert(LAST_ONES);
    }

    fn supervisor(&self) -> Option<Pid> {
        self.generation.pid().and_then(|pid| Pid::from_raw(pid.cast_signed()))
    }

    fn ended_supervisor(&self) -> Option<WaitStatus> {
        match waitpid(Some(self.supervisor()?), WaitOptions::NOHANG) {
            Ok(Some((_, status))) => Some(WaitStatus(status.as_raw())),
            _ => None,
        }
    }

    /// The supervisor has ended. The answer is how this process ends too.
    fn lost(&mut self, status: WaitStatus, now: Instant) -> Option<ExitCode> {
        let pid = self.generation.pid().unwrap_or(0);
        self.generation.lose_supervisor();
        match self.ending {
            Some(_) if status == WaitStatus(0) => return Some(ExitCode::SUCCESS),
            Some(0) => return Some(ExitCode::FAILURE),
            _ => {}
        }
        self.logs.say(self.log, Level::Error, &replacing::died(pid, status));
        self.replacing.lost(now);
        None
    }

    /// Starts another supervisor when it is time; whether there is nothing that would keep it from starting.
    fn replace(&mut self, now: Instant) -> bool {
        if self.supervisor().is_some() {
            return true;
        }
        match &mut self.ending {
            // Processes without a supervisor would not hear of their generation's end.
            Some(left) => *left = left.saturating_sub(1),
            None if self.replacing.is_due(now) => {}
            None => return true,
        }
        let restarted = self.generation.restart();
        self.replacing.tried(now, restarted.is_ok());
        if let Err(error) = &restarted {
            self.logs.say(self.log, Level::Critical, &replacing::not_replaced(error));
        }
        restarted.is_ok()
    }
}
