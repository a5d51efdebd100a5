//! One run of the server from its start to its end, on the main thread: what happened decides what is shown and done next.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use crate::problem::Problem;
use crate::serve::events::{Event, Events};
use crate::serve::installed::{Installed, Logs};
use crate::serve::log_view::{self, Blocks, Capacity, ErrorLine, Piece};
use crate::serve::reload::{Change, Pending, Watcher};
use crate::serve::report::{Report, Shown};
use crate::serve::server::Server;
use crate::serve::terminal::Terminal;
use crate::serve::workers::Workers;

/// The server and its processes end within this time when asked, or are ended.
const STOPPING: Duration = Duration::from_secs(5);

/// A stop that takes longer is explained.
const PATIENT: Duration = Duration::from_secs(1);

/// An import that takes longer is mentioned.
const SLOW: Duration = Duration::from_secs(4);

/// The report is on its way before the server can answer; this is for the way.
const REPORTING: Duration = Duration::from_secs(2);

/// The number with which daemon processes that end before they are ready are told of.
const CANNOT_START: &str = "WSGI1203";

/// So many processes may crash before one came up.
const CRASHES: u32 = 3;

/// A run of the server.
#[derive(Debug)]
pub struct Session<'a> {
    server: Server,
    installed: &'a Installed,
    logs: Logs,
    events: &'a Events,
    terminal: Terminal,
    shown: Shown<'a>,
    /// What to say when it is ready.
    welcome: Vec<(String, String)>,
    workers: Workers,
    watcher: Option<Watcher>,
    phase: Phase,
    since: Instant,
    said_slow: bool,
    blocks: Blocks,
    /// Lines of the server that are not of its log: why it does not start.
    raw: Vec<String>,
    /// Why the server does not start, if it does not.
    obstacles: Vec<ErrorLine>,
    crashes: u32,
    pending: Pending,
}

#[derive(Debug)]
enum Phase {
    /// Until the server has answered and every process has imported the application.
    Starting {
        answered: Option<Instant>,
    },
    Serving,
    /// A restart was asked for because this file changed.
    Reloading {
        changed: PathBuf,
    },
    /// Until the server has ended; then this is the result.
    Stopping {
        since: Instant,
        said: bool,
        result: Result<(), Problem>,
    },
}

impl<'a> Session<'a> {
    /// Takes over a server, of what is `installed`, whose output goes to `events`.
    pub fn new(
        server: Server,
        installed: &'a Installed,
        events: &'a Events,
        shown: Shown<'a>,
        welcome: Vec<(String, String)>,
        capacity: Capacity,
        watcher: Option<Watcher>,
    ) -> Self {
        Self {
            server,
            installed,
            logs: installed.logs(),
            events,
            terminal: Terminal::default(),
            shown,
            welcome,
            workers: Workers::new(capacity),
            watcher,
            phase: Phase::Starting { answered: None },
            since: Instant::now(),
            said_slow: false,
            blocks: Blocks::default(),
            raw: Vec::new(),
            obstacles: Vec::new(),
            crashes: 0,
            pending: Pending::default(),
        }
    }

    /// Runs until the server has ended.
    ///
    /// # Errors
    /// It ended for another reason than that somebody wanted it to.
    pub fn run(mut self) -> Result<(), Problem> {
        loop {
            let now = Instant::now();
            let wait =
                self.next_due().map_or(Duration::from_secs(60), |due| due.saturating_duration_since(now));
            match self.events.receiver.recv_timeout(wait) {
                Ok(event) => self.handle(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.begin_stop(Ok(())),
            }
            self.act(Instant::now());
            if let Some(status) = self.server.ended() {
                return self.finish(status);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Out(line) => self.access(&line),
            Event::Err(line) => self.error(&line),
            Event::Answered => {
                if let Phase::Starting { answered } = &mut self.phase {
                    *answered = Some(Instant::now());
                }
                self.welcome_when_ready();
            }
            Event::Stop if matches!(self.phase, Phase::Stopping { .. }) => self.server.kill(),
            Event::Stop => self.begin_stop(Ok(())),
            Event::Child => self.server.reap_others(),
            Event::Changed(Change::File(path)) => self.pending.add(path, Instant::now()),
            Event::Changed(Change::Directory(path)) => self.watch_more(&path),
        }
    }

    fn access(&mut self, line: &str) {
        match self.logs.access(line) {
            Some(access) if access.is_internal() => {}
            Some(access) => self.blocks.add_request(access, Instant::now()),
            None => self.terminal.out(line),
        }
    }

    fn error(&mut self, line: &str) {
        let Some(error) = self.logs.error(line) else {
            if matches!(self.phase, Phase::Starting { .. }) {
                self.raw.push(line.to_owned());
            } else {
                self.terminal.err(line);
            }
            return;
        };
        if let Some(report) = Report::parse(&error.message) {
            let said = self.blocks.of_process(report.pid);
            self.show(said);
            self.imported(&report);
        } else if self.is_of_our_doing(&error) {
            // We ended it.
        } else if !error.is_noise() {
            let is_crash = error.is_end_of_process()
                || matches!(error.number.as_deref(), Some("AH00052" | CANNOT_START));
            self.crashes += u32::from(is_crash);
            let is_starting = matches!(self.phase, Phase::Starting { .. });
            if is_starting && matches!(error.level.as_str(), "crit" | "alert" | "emerg") {
                self.obstacles.push(error);
            } else {
                self.blocks.add(error, Instant::now());
            }
        }
    }

    /// Whether a line tells of the end of a process that we wanted to end: `child pid 12 exit signal Killed (9)` or `Process
    /// 'shop' (pid=12) has died`, and what is said of processes that take their time.
    fn is_of_our_doing(&self, error: &ErrorLine) -> bool {
        let is_stopping = matches!(self.phase, Phase::Stopping { .. });
        let pid = error.message.split([' ', '=', ')']).find_map(|word| word.parse::<u32>().ok());
        match error.number.as_deref() {
            Some("AH00045" | "AH00046" | "AH00047") => is_stopping,
            _ if error.is_end_of_process() => {
                is_stopping || pid.is_some_and(|pid| self.workers.is_retiring(pid))
            }
            Some("AH00052") => is_stopping || pid.is_some_and(|pid| self.workers.is_retiring(pid)),
            _ => false,
        }
    }

    fn imported(&mut self, report: &Report) {
        if matches!(self.phase, Phase::Reloading { .. }) && self.workers.capacity().is_embedded {
            // The first new process that is done; httpd ends the old ones when they are.
            self.workers.retire(Instant::now());
        }
        let exception = self.workers.done(report.pid);
        let problem = report.problem(&self.shown, exception.as_deref());
        match (&self.phase, problem) {
            (Phase::Stopping { .. } | Phase::Serving, _) => {}
            (Phase::Starting { .. }, Some(problem)) if self.watcher.is_none() => {
                self.begin_stop(Err(problem));
            }
            (Phase::Starting { .. } | Phase::Reloading { .. }, Some(problem)) => {
                self.phase = Phase::Serving;
                self.wait_for_change(&problem);
            }
            (Phase::Starting { .. }, None) => self.welcome_when_ready(),
            (Phase::Reloading { changed }, None) if self.workers.are_done() => {
                let took = self.since.elapsed().as_millis();
                let text = format!(" in {took} ms: {} changed.", self.short(changed));
                self.terminal.say("Reloaded", &text);
                self.phase = Phase::Serving;
                self.workers.settle();
            }
            (Phase::Reloading { .. }, None) => {}
        }
    }

    fn wait_for_change(&mut self, problem: &Problem) {
        problem.print();
        self.terminal.say("Waiting", " for a change of the project's Python files.");
    }

    fn welcome_when_ready(&mut self) {
        if !matches!(self.phase, Phase::Starting { answered: Some(_) }) || !self.workers.are_done() {
            return;
        }
        self.phase = Phase::Serving;
        self.workers.settle();
        self.show_obstacles();
        for line in std::mem::take(&mut self.raw) {
            self.terminal.err(&line);
        }
        for (emphasis, text) in std::mem::take(&mut self.welcome) {
            self.terminal.say(&emphasis, &text);
        }
    }

    fn watch_more(&mut self, directory: &std::path::Path) {
        if let Some(Err(problem)) = self.watcher.as_mut().map(|watcher| watcher.add(directory)) {
            problem.print();
        }
        // Files may have been in it before it was watched.
        self.pending.add(directory.to_path_buf(), Instant::now());
    }

    /// Does what has become due.
    fn act(&mut self, now: Instant) {
        let complete = self.blocks.complete(now);
        self.show(complete);
        if self.terminal.closed && !matches!(self.phase, Phase::Stopping { .. }) {
            self.begin_stop(Ok(()));
        }
        for pid in self.workers.overdue(now) {
            self.server.kill_process(pid);
        }
        match &mut self.phase {
            Phase::Starting { .. } => self.watch_start(now),
            Phase::Serving => {
                if let Some(changed) = self.pending.take(now) {
                    self.phase = Phase::Reloading { changed };
                    self.since = now;
                    self.restart(now);
                }
            }
            Phase::Reloading { .. } => {}
            Phase::Stopping { since, said, .. } => {
                if now >= *since + STOPPING {
                    self.server.kill();
                } else if now >= *since + PATIENT && !*said {
                    *said = true;
                    self.terminal
                        .say("Stopping", " when the requests in progress end; Ctrl-C again ends them.");
                }
            }
        }
    }

    fn watch_start(&mut self, now: Instant) {
        let Phase::Starting { answered } = self.phase else { return };
        if self.crashes >= CRASHES {
            let problem = self.crashing().detail("The messages above name the signal.");
            return self.begin_stop(Err(problem));
        }
        // httpd's own processes answer when they have imported the application, not before.
        if self.workers.capacity().is_embedded
            && answered.is_some_and(|at| at + REPORTING <= now)
            && !self.workers.are_done()
        {
            return self.begin_stop(Err(Problem::new("Python did not start inside httpd")
                .detail(format!(
                    "It should have been Python {} in {}.",
                    self.shown.python.version,
                    self.shown.python.home.display()
                ))
                .cure("the messages above say why")));
        }
        if now >= self.since + SLOW && !self.said_slow {
            self.said_slow = true;
            self.terminal.say("Waiting", &format!(" for {} to be imported.", self.shown.text));
        }
    }

    /// Has the application imported anew, by new processes: requests in progress are finished by the present ones.
    fn restart(&mut self, now: Instant) {
        self.workers.renew();
        if self.workers.capacity().is_embedded {
            self.server.restart();
        } else {
            self.server.replace(&self.workers.retire(now));
        }
    }

    fn begin_stop(&mut self, result: Result<(), Problem>) {
        if matches!(self.phase, Phase::Stopping { .. }) {
            return;
        }
        self.show_obstacles();
        let signal = self.installed.stop_signal(!matches!(self.phase, Phase::Starting { answered: None }));
        self.phase = Phase::Stopping { since: Instant::now(), said: false, result };
        self.server.stop(signal);
    }

    fn next_due(&self) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::Starting { answered } => {
                let slow = (!self.said_slow).then(|| self.since + SLOW);
                let silent =
                    answered.filter(|_| self.workers.capacity().is_embedded).map(|at| at + REPORTING);
                [slow, silent].into_iter().flatten().min()
            }
            Phase::Serving => self.pending.due(),
            Phase::Reloading { .. } => None,
            Phase::Stopping { since, said, .. } => Some(*since + if *said { STOPPING } else { PATIENT }),
        };
        [phase, self.blocks.due(), self.workers.due()].into_iter().flatten().min()
    }

    fn show(&mut self, pieces: Vec<Piece>) {
        for piece in pieces {
            match piece {
                Piece::Request(line) => self.terminal.out(&log_view::access(&line)),
                Piece::Block(block) => {
                    if self.workers.hear(&block) {
                        self.terminal.err(&log_view::block(&block, self.workers.capacity()));
                    }
                }
            }
        }
    }

    fn show_rest(&mut self) {
        let rest = self.blocks.rest();
        self.show(rest);
    }

    /// The server has ended. What it still wrote is shown before the result.
    fn finish(mut self, status: ExitStatus) -> Result<(), Problem> {
        while let Ok(event) = self.events.receiver.recv_timeout(Duration::from_millis(100)) {
            match event {
                Event::Out(line) => self.access(&line),
                Event::Err(line) => self.error(&line),
                _ => {}
            }
        }
        self.show_rest();
        match std::mem::replace(&mut self.phase, Phase::Serving) {
            Phase::Stopping { result: Ok(()), .. } => {
                self.terminal.say("Stopped", ".");
                Ok(())
            }
            Phase::Stopping { result, .. } => result,
            Phase::Starting { .. } => Err(self.no_start(status)),
            Phase::Serving | Phase::Reloading { .. } => {
                Err(Problem::new(format!("{} ended by itself ({status})", self.installed.name()))
                    .cure("the messages above say why"))
            }
        }
    }

    fn no_start(&mut self, status: ExitStatus) -> Problem {
        let obstacles: Vec<String> =
            std::mem::take(&mut self.obstacles).into_iter().map(|error| error.message).collect();
        let says = |words: &str| obstacles.iter().any(|obstacle| obstacle.contains(words));
        // With a number in its last words it has found the reason itself.
        let crashes = says("ended before it was ready") && !says("WSGI10");
        let lacks_library = self.workers.capacity().is_embedded && says("has no shared library");
        let problem = match crashes {
            true => self.crashing(),
            false => Problem::new(format!("{} did not start ({status})", self.installed.name())),
        };
        if let Some(problem) = self.installed.explain(&obstacles, self.shown.module) {
            return problem;
        }
        let raw = std::mem::take(&mut self.raw);
        let problem = obstacles.into_iter().chain(raw).fold(problem, Problem::detail);
        match lacks_library {
            true => problem.cure("leave --embedded away: processes of its own need no shared library"),
            false => problem,
        }
    }

    fn crashing(&self) -> Problem {
        Problem::new(format!("{} crashes the process that imports it", self.shown.text))
            .cure("run the import alone to see more: python3 -X faulthandler -c 'import ...'")
    }

    /// They did not keep the server from starting.
    fn show_obstacles(&mut self) {
        for error in std::mem::take(&mut self.obstacles) {
            self.blocks.add(error, Instant::now());
        }
    }

    fn short(&self, path: &std::path::Path) -> String {
        path.strip_prefix(&self.shown.target.project).unwrap_or(path).display().to_string()
    }
}
