//! The generation in force: its supervisor, and another one in its place when it has died.

#![allow(unsafe_code, reason = "a process that httpd watches, and descriptors of another")]

use std::ffi::{CStr, c_int, c_void};
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oxwsgi_core::config::ProcessSettings;
use oxwsgi_core::daemon::{decode, encode};
use oxwsgi_core::report::{Level, Number};

use super::blueprint::Blueprint;
use super::watch;
use crate::apache::kept::Kept;
use crate::apache::phase::{self, Phase};
use crate::apache::pool::Pool;
use crate::apache::record::Server;
use crate::apache::{directives, ffi, log};
use crate::daemon::launch::{Generation, LaunchError, Lifeline, Replacing, replacing};

/// Under this name is the lifeline: numbers of the process that made it, and of its two descriptors.
const LIFELINE: &CStr = c"oxwsgi-lifeline";

/// A supervisor creates sockets and starts processes; slow homes are on slow disks.
const PATIENCE: Duration = Duration::from_secs(40);
/// At a restart it waits for no group, and all sites wait for it.
const PATIENCE_OF_OTHERS: Duration = Duration::from_secs(15);
/// How long the end of the server waits for groups whose own `shutdown-timeout` is off.
const LONGEST_FAREWELL: Duration = Duration::from_secs(30);

/// Why no group is started.
pub const LAUNCH: Number = Number(1151);
/// Why a group is not started, and the others are.
const GROUP: Number = Number(1152);

/// What this process knows of the generation in force.
static CURRENT: Mutex<Option<Current>> = Mutex::new(None);

/// The generation in force.
#[derive(Debug)]
pub struct Current {
    /// The process that has started it.
    pub parent: u32,
    /// Path of the socket of each group of the configuration, in order.
    pub sockets: Vec<Vec<u8>>,
    /// None when no group could be started.
    pub running: Option<Running>,
}

/// Groups that were started.
#[derive(Debug)]
pub struct Running {
    generation: Generation,
    /// For each group of the configuration its place in the plan; none when it is not there.
    places: Vec<Option<usize>>,
    replacing: Replacing,
}

/// Numbered messages.
type Failures = Vec<(Number, String)>;

/// Exclusive use of the generation in force.
pub fn current<'a>() -> MutexGuard<'a, Option<Current>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    /// Starts the groups of a configuration; what keeps some of them from starting is beside, each with the number of its
    /// message. None when there is none that could run.
    ///
    /// # Errors
    /// What keeps all from starting.
    pub fn launch(
        pool: Pool<'_>,
        main: Server<'_>,
        settings: &ProcessSettings,
        sockets: &[Vec<u8>],
        phase: Phase,
    ) -> Result<(Option<Self>, Failures), Failures> {
        let numbered = |number: Number, failures: Vec<String>| -> Failures {
            failures.into_iter().map(|failure| (number, failure)).collect()
        };
        let all = |text| numbered(LAUNCH, vec![text]);
        let Blueprint { program, plan, places } =
            Blueprint::new(main, settings, sockets, phase).map_err(all)?;
        if plan.groups.is_empty() {
            return Ok((None, Vec::new()));
        }
        let lifeline = lifeline(main).map_err(|error| all(format!("a pipe cannot be made: {error}")))?;
        let patience = if phase == Phase::Restart { PATIENCE_OF_OTHERS } else { PATIENCE };
        let start = || Generation::start(&program, plan.clone(), lifeline, patience);
        let start = match start() {
            // Killed, or on a machine that has no time for it: the sites that were running have nobody else to start them.
            Err(error @ (LaunchError::Ended { .. } | LaunchError::Silent(_))) if phase == Phase::Restart => {
                log::server(
                    main,
                    Level::Error,
                    format_args!("{}: {error}; another one is started", replacing::DIED),
                );
                start()
            }
            start => start,
        };
        let (generation, failures) = start.map_err(|error| match error {
            LaunchError::Failed(failures) => numbered(LAUNCH, failures),
            error => all(error.to_string()),
        })?;
        if let Some(pid) = generation.pid() {
            watch::register(pool, pid, supervisor_changed);
        }
        let running = Self { generation, places, replacing: Replacing::new(Instant::now()) };
        Ok((Some(running), numbered(GROUP, failures)))
    }

    /// The board of the group of this place in the configuration.
    pub fn board(&self, place: usize) -> Option<BorrowedFd<'_>> {
        self.generation.board((*self.places.get(place)?)?)
    }

    /// The supervisor has died; `status` is its exit code or the signal.
    fn lost(&mut self, main: Server<'_>, status: c_int) {
        let pid = self.generation.pid().unwrap_or(0);
        let how = format_args!("exit code or signal {status}");
        log::server(main, Level::Error, replacing::died(pid, how));
        self.generation.lose_supervisor();
        self.replacing.lost(Instant::now());
        self.replace_when_due(main);
    }

    /// Starts another supervisor in the place of the one that has died, if it is time.
    pub fn replace_when_due(&mut self, main: Server<'_>) {
        let now = Instant::now();
        if !self.replacing.is_due(now) {
            return;
        }
        let restarted = self.generation.restart();
        self.replacing.tried(now, restarted.is_ok());
        match restarted {
            Ok(pid) => {
                // SAFETY: the handle's record is alive, and the process's record lasts for ever; read by value.
                let configuration = unsafe { (*(*main.as_raw()).process).pconf };
                // SAFETY: the pool of the configuration in force, on the only thread that uses it.
                watch::register(unsafe { Pool::from_raw(configuration) }, pid, supervisor_changed);
            }
            Err(error) => log::server(main, Level::Critical, replacing::not_replaced(&error)),
        }
    }

    /// The generation ends, and another one begins. The answer is the number of a supervisor that goes on.
    pub fn end(mut self) -> Option<u32> {
        if !self.generation.pid().is_some_and(watch::is_child) {
            // Processes without a supervisor would not hear of the end. If there can be none, they end with the server.
            let _ = self.generation.restart();
        }
        self.generation.end()
    }

    /// The server ends: waits for the groups' processes, as long as their own limits say.
    pub fn end_with_server(self) {
        let groups = &self.generation.plan().groups;
        let own = groups.iter().map(|group| group.limits.shutdown.unwrap_or(LONGEST_FAREWELL));
        let longest = own.max().unwrap_or_default().min(LONGEST_FAREWELL);
        let leftovers = self.generation.leftovers();
        if let Some(pid) = self.generation.end() {
            // The supervisor ends after the last of them.
            watch::await_end(pid, longest + Duration::from_secs(1));
        }
        // A service manager may have ended it at the same time as httpd.
        leftovers.remove();
    }

    /// For a child of the parent: keeps what tells that it lives, and the boards.
    pub fn enter_child(&mut self) {
        self.generation.enter_child();
    }
}

/// The lifeline of this server, made when it is first needed.
fn lifeline(main: Server<'_>) -> std::io::Result<Lifeline> {
    let parent = std::process::id();
    if let Some((maker, lifeline)) = known_lifeline(main)
        && maker == parent
    {
        return Ok(lifeline);
    }
    let lifeline = Lifeline::new()?;
    Kept::new(main, LIFELINE).set(&encode(&(parent, lifeline.read, lifeline.write)));
    Ok(lifeline)
}

fn known_lifeline(main: Server<'_>) -> Option<(u32, Lifeline)> {
    let (maker, read, write) = Kept::new(main, LIFELINE).get().and_then(decode)?;
    Some((maker, Lifeline { read, write }))
}

/// For a child of the parent: leaves the lifeline to that, be there groups in this generation or only in earlier ones.
///
/// # Safety
/// This process comes here once, before anything but httpd has opened a descriptor in it.
pub unsafe fn leave_lifeline(main: Server<'_>) {
    // With -X there is no other process.
    if let Some((_, lifeline)) = known_lifeline(main).filter(|(maker, _)| *maker != std::process::id()) {
        // SAFETY: a copy of the maker's, which never closes it; and the caller's word.
        unsafe { lifeline.close() };
    }
}

/// Something has happened to the supervisor, or is about to.
unsafe extern "C" fn supervisor_changed(reason: c_int, data: *mut c_void, status: c_int) {
    let body = || {
        if !matches!(reason, ffi::APR_OC_REASON_DEATH | ffi::APR_OC_REASON_LOST) {
            return;
        }
        // SAFETY: the data that it was registered with, which httpd has a record of until this call.
        unsafe { ffi::apr_proc_other_child_unregister(data) };
        let mut guard = current();
        // Httpd may be about to read its configuration anew: then that is the time to think of its processes.
        if let Some(running) = guard.as_mut().and_then(|current| current.running.as_mut())
            && !phase::is_stopping()
        {
            running.lost(directives::main_server(), status);
        }
    };
    catch!((), body());
}
