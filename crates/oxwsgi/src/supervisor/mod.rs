//! `oxwsgi supervise`: starts the workers of a server's daemon groups and looks after them. The server executes it, with what
//! `oxwsgi_core::daemon::Handover` says; nobody else does.
//!
//! [`parent`] is the tie to the server, [`session`] the life of this process, [`crew`] the groups and their processes.
//! A [`group`] has a [`socket`], [`slots`] on its board, a [`recipe`] for its processes, and a [`pace`] at which they are
//! started again. A [`worker`] is one process, its [`stream`] what it writes, its [`obituary`] the end; lines go to
//! a [`log`], some through a [`pipe`]. One thread, which waits for nothing but all of it together: no site can hold up another.
//!
//! No Python, no request, no server in here; and root executes nothing of a site's: what `core::os::Launch` starts has its
//! account first.

mod crew;
mod group;
pub mod log;
mod memory;
mod obituary;
mod pace;
pub mod parent;
mod recipe;
mod session;
pub mod signals;
mod slots;
mod socket;
mod source;
mod stream;
mod worker;

use std::process::ExitCode;

use oxwsgi_core::daemon::{ALL_GROUPS, FromSupervisor, Handover, Role};
use oxwsgi_core::os::{raise_descriptor_limit, syslog};

use crate::problem::Problem;
use crate::supervisor::parent::Parent;
use crate::supervisor::session::Session;

/// Supervises until the server ends.
///
/// # Errors
/// It was not started by a server.
pub fn run(arguments: &[String]) -> Result<ExitCode, Problem> {
    let (handover, mut parent) = handed_over(Role::Supervisor, arguments)?;
    // From here on it is the parent who reads what is wrong.
    supervise(&handover, &mut parent).or_else(|text| {
        match parent.tell(&FromSupervisor::Failed(ALL_GROUPS, text.clone()), &[]) {
            true => Ok(ExitCode::FAILURE),
            false => Err(Problem::new(text)),
        }
    })
}

fn supervise(handover: &Handover, parent: &mut Parent) -> Result<ExitCode, String> {
    let plan = parent::plan(handover)?;
    let adopted = parent::adopted(handover, plan.groups.len())?;
    if let Some(pid) = plan.parent {
        parent.watch(pid).map_err(|_| format!("the server's process {pid} has ended already"))?;
    }
    syslog::open(c"oxwsgi");
    let descriptors = raise_descriptor_limit();
    // Where others are serving, the failure of one group is its own.
    let is_strict = plan.strict && handover.adopted.is_empty();
    let session = Session::new(&plan, parent, is_strict)?;
    Ok(session.run(adopted, descriptors))
}

/// What a server has handed over to this process, which has that role for it.
///
/// # Errors
/// Somebody has started by hand what only a server can start.
pub fn handed_over(role: Role, arguments: &[String]) -> Result<(Handover, Parent), Problem> {
    let handover = Handover::parse(role, arguments.iter().map(String::as_str));
    handover.and_then(|handover| Parent::take(&handover).map(|parent| (handover, parent))).map_err(|text| {
        let command = role.subcommand();
        Problem::new(format!(
            "`oxwsgi {command}` is started by the server's module, with descriptors that only it has"
        ))
        .detail(text)
        .cure("let the server start it: it does so for each configuration with daemon process groups")
    })
}
