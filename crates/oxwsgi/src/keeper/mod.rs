//! `oxwsgi keep`: is to the supervisor what httpd's parent process is, for a server whose own parent process hears only of
//! processes that it has forked itself. That server executes it, with what `oxwsgi_core::daemon::Handover` says; nobody else.
//!
//! It starts the supervisor and hands on what that has made, all at once when the groups are there; starts another one when it
//! dies; and ends after it, when the server or its generation has ended. [`watch`] is that life. It holds nothing
//! else of the server's open, and touches no process of a site.

mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use oxwsgi_core::daemon::{ALL_GROUPS, FromSupervisor, Handover, Plan, Role};
use oxwsgi_launch::{Generation, LaunchError};
use rustix::fs::Mode;

use crate::problem::Problem;
use crate::supervisor::log::{Log, Logs};
use crate::supervisor::parent::{self, Parent};
use crate::supervisor::{handed_over, signals::Signals};

use watch::Watch;

/// A supervisor creates sockets and starts processes; slow homes are on slow disks.
const PATIENCE: Duration = Duration::from_secs(40);
/// A server's masks are for files of its own: nginx has none, so that each of its files has the mode that it asks for.
const MASK: u32 = 0o022;

/// Keeps a supervisor until the server ends.
///
/// # Errors
/// It was not started by a server.
pub fn run(arguments: &[String]) -> Result<ExitCode, Problem> {
    let (handover, parent) = handed_over(Role::Keeper, arguments)?;
    rustix::process::umask(Mode::from_raw_mode(MASK));
    // No file system is kept from being unmounted.
    let _ = rustix::process::chdir("/");
    match begin(&handover, &parent) {
        Ok(watch) => Ok(watch.run(&parent)),
        Err(causes) => {
            // From here on it is the server who reads what is wrong.
            let told: Vec<bool> = causes.iter().map(|cause| tell_failure(&parent, cause)).collect();
            match told.into_iter().all(|told| told) {
                true => Ok(ExitCode::FAILURE),
                // It was stopped while it started, which is no failure.
                false if parent.has_ended() => Ok(ExitCode::FAILURE),
                false => Err(Problem::new(causes.join("; "))),
            }
        }
    }
}

/// Starts the supervisor, and tells the server what came of it.
fn begin(handover: &Handover, parent: &Parent) -> Result<Watch, Vec<String>> {
    let one = |cause: String| vec![cause];
    let plan = parent::plan(handover).map_err(one)?;
    let (logs, log) = open_log(&plan).map_err(one)?;
    let failed = |error| one(format!("the keeper of the daemon process groups cannot work: {error}"));
    let signals = Signals::catch().map_err(failed)?;
    let drain = parent.drain.try_clone().map_err(failed)?;
    // By the name that this was started by: the server gives the path.
    let program =
        PathBuf::from(std::env::args_os().next().unwrap_or_else(|| OsString::from(Handover::PROGRAM)));
    let started = Generation::start_for_server(&program, plan, handover.lifeline, drain, PATIENCE);
    let (generation, failures) = started.map_err(|error| match error {
        LaunchError::Failed(causes) => causes,
        error => one(error.to_string()),
    })?;
    for (place, descriptors) in generation.handed_over() {
        let index = u32::try_from(place).unwrap_or(u32::MAX);
        parent.tell(&FromSupervisor::Group(index), &descriptors);
    }
    for failure in failures {
        tell_failure(parent, &failure);
    }
    // A server that hears no more has ended, or has given up waiting: the pipes will tell.
    parent.tell(&FromSupervisor::Ready, &[]);
    Ok(Watch::new(generation, signals, logs, log))
}

fn open_log(plan: &Plan) -> Result<(Logs, Log), String> {
    let mut logs = Logs::default();
    let log = logs.open(&plan.log)?;
    Ok((logs, log))
}

/// The names of groups are in the text already; whether the server was told.
fn tell_failure(parent: &Parent, cause: &str) -> bool {
    parent.tell(&FromSupervisor::Failed(ALL_GROUPS, cause.to_owned()), &[])
}
