//! A generation of a server: its plan, its supervisor, and what its groups share with the server's processes.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};
use std::{fs, io};

use oxwsgi_core::daemon::{
    ALL_GROUPS, FromSupervisor, Handover, LONGEST_MESSAGE, Plan, Role, ToSupervisor, decode, encode,
};
use oxwsgi_core::os::WaitStatus;
use oxwsgi_core::os::packet::{self, Wait};
use oxwsgi_core::os::withheld;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::LaunchError;
use crate::lifeline::Lifeline;
use crate::program::{part_from, sealed, spawn};

/// The parent's side of a generation's supervisor, or of the keeper in its place.
#[derive(Debug)]
pub struct Generation {
    program: PathBuf,
    role: Role,
    plan: Plan,
    /// What supervisors and workers watch.
    lifeline: RawFd,
    drain: Drain,
    /// None in a child.
    supervisor: Option<Supervisor>,
    groups: Vec<Option<Shared>>,
}

/// What ends with the generation.
#[derive(Debug)]
struct Drain {
    /// For supervisors; none in a child.
    read: Option<OwnedFd>,
    /// The children's as well, and only held open: its end is what others wait for. None in a keeper.
    write: Option<OwnedFd>,
}

#[derive(Debug)]
struct Supervisor {
    /// None for a keeper, which is no child of ours.
    pid: Option<u32>,
    /// None when nobody waits for what it has to say: the drain pipe tells it enough.
    control: Option<OwnedFd>,
}

/// What outlives the supervisor that made it.
#[derive(Debug)]
struct Shared {
    /// None in a child.
    listener: Option<OwnedFd>,
    board: OwnedFd,
}

/// Files of the sockets of a generation. Its supervisor removes them at its end, unless somebody else has ended it.
#[derive(Debug)]
pub struct Leftovers(Vec<PathBuf>);

impl Leftovers {
    /// The generation has ended: removes what is still there.
    pub fn remove(self) {
        for path in self.0 {
            if path.symlink_metadata().is_ok_and(|file| file.file_type().is_socket()) {
                // What cannot be removed is in nobody's way: the next generation has names of its own.
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl Generation {
    /// Starts `program` with `plan`, and waits until its groups are there, at most for `patience`. Groups of a plan that is
    /// not strict may have failed; why is beside.
    pub fn start(
        program: &Path,
        plan: Plan,
        lifeline: Lifeline,
        patience: Duration,
    ) -> Result<(Self, Vec<String>), LaunchError> {
        Self::begin(program, Role::Supervisor, plan, lifeline.read, Drain::new()?, patience)
    }

    /// As [`start`](Self::start), with a keeper, which starts the supervisor and others in its place: for a server that hears of
    /// no process that it has not forked itself.
    pub fn start_kept(
        program: &Path,
        plan: Plan,
        lifeline: Lifeline,
        patience: Duration,
    ) -> Result<(Self, Vec<String>), LaunchError> {
        Self::begin(program, Role::Keeper, plan, lifeline.read, Drain::new()?, patience)
    }

    /// For a keeper: as [`start`](Self::start), of a generation that is the server's. `lifeline` stays open.
    pub fn start_for_server(
        program: &Path,
        plan: Plan,
        lifeline: RawFd,
        drain: OwnedFd,
        patience: Duration,
    ) -> Result<(Self, Vec<String>), LaunchError> {
        let drain = Drain { read: Some(drain), write: None };
        Self::begin(program, Role::Supervisor, plan, lifeline, drain, patience)
    }

    fn begin(
        program: &Path,
        role: Role,
        plan: Plan,
        lifeline: RawFd,
        drain: Drain,
        patience: Duration,
    ) -> Result<(Self, Vec<String>), LaunchError> {
        let groups = plan.groups.iter().map(|_| None).collect();
        let mut generation =
            Self { program: program.to_owned(), role, plan, lifeline, drain, supervisor: None, groups };
        let (mut child, control) = generation.launch(Vec::new())?;
        match generation.hear(child.as_mut(), &control, patience) {
            Ok(failures) => {
                let pid = child.map(|child| child.id());
                generation.supervisor = Some(Supervisor { pid, control: Some(control) });
                Ok((generation, failures))
            }
            Err(error) => {
                let leftovers = generation.leftovers();
                // Without drain pipe and control socket it ends by itself, and its workers with it.
                drop((generation, control));
                child.as_mut().map(part_from);
                leftovers.remove();
                Err(error)
            }
        }
    }

    /// The supervisor has died.
    pub fn lose_supervisor(&mut self) {
        self.supervisor = None;
    }

    /// Starts another supervisor in the place of one that has died, with the sockets and boards of its groups; does not
    /// wait for it. The answer is the number of the process.
    pub fn restart(&mut self) -> Result<u32, LaunchError> {
        // What cannot start now must not take with it what still serves.
        self.plan.strict = false;
        self.supervisor = None;
        // Groups that the first could not make are not there in this generation: nobody would find what another one makes.
        let adopted = self.groups.iter().map(|shared| {
            let shared = shared.as_ref()?;
            Some((shared.listener.as_ref()?.as_raw_fd(), shared.board.as_raw_fd()))
        });
        let (child, _control) = self.launch(adopted.collect())?;
        let pid = child.map_or(0, |child| child.id());
        self.supervisor = Some(Supervisor { pid: Some(pid), control: None });
        Ok(pid)
    }

    /// The number of the supervisor's process; none for a keeper, which is no child of ours.
    pub fn pid(&self) -> Option<u32> {
        self.supervisor.as_ref().and_then(|supervisor| supervisor.pid)
    }

    /// The plan.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The board of the group of this place in the plan.
    pub fn board(&self, group: usize) -> Option<BorrowedFd<'_>> {
        Some(self.groups.get(group)?.as_ref()?.board.as_fd())
    }

    /// What is there until the generation has ended.
    pub fn leftovers(&self) -> Leftovers {
        let groups = self.plan.groups.iter().zip(&self.groups);
        let sockets = groups.filter(|(_, shared)| shared.is_some()).map(|(group, _)| &group.socket);
        Leftovers(sockets.map(|socket| PathBuf::from(OsStr::from_bytes(socket))).collect())
    }

    /// Listening socket and board of each group that has started, with its place in the plan. Not in a child.
    pub fn handed_over(&self) -> impl Iterator<Item = (usize, [BorrowedFd<'_>; 2])> {
        self.groups.iter().enumerate().filter_map(|(place, shared)| {
            let shared = shared.as_ref()?;
            Some((place, [shared.listener.as_ref()?.as_fd(), shared.board.as_fd()]))
        })
    }

    /// For a child of the parent: keeps what tells that it lives, and the boards.
    pub fn enter_child(&mut self) {
        self.supervisor = None;
        self.drain.read = None;
        if let Some(write) = &self.drain.write {
            // A process that an application forks here may outlive the generation, which must not wait for it.
            let _ = withheld::withhold(write.as_raw_fd());
        }
        for shared in self.groups.iter_mut().flatten() {
            shared.listener = None;
        }
    }

    /// The generation ends: its supervisor goes on until the last of its children is gone. The answer is the number of its
    /// process.
    pub fn end(mut self) -> Option<u32> {
        let supervisor = self.supervisor.take()?;
        supervisor.drain();
        supervisor.pid
    }

    /// As [`end`](Self::end), when there are no children any more: waits for the supervisor's or keeper's end, at most for
    /// `limit`. Nobody is waited for in a child, or in place of a supervisor that was [restarted](Self::restart).
    pub fn end_within(mut self, limit: Duration) {
        let Some(supervisor) = self.supervisor.take() else { return };
        supervisor.drain();
        let Some(control) = supervisor.control else { return };
        drop(self);
        let deadline = Instant::now() + limit;
        let mut buffer = vec![0; LONGEST_MESSAGE];
        while let Ok(true) = await_packet(&control, deadline)
            && packet::receive(&control, &mut buffer, 0, Wait::Never).is_ok_and(|packet| packet.length > 0)
        {
        }
    }

    /// The program, running, and our end of its control socket.
    fn launch(&self, adopted: Vec<Option<(RawFd, RawFd)>>) -> Result<(Option<Child>, OwnedFd), LaunchError> {
        let plan = sealed(&encode(&self.plan)).map_err(LaunchError::Prepare)?;
        let (control, theirs) = packet::pair().map_err(LaunchError::Prepare)?;
        let drain = self.drain.read.as_ref().ok_or_else(|| {
            LaunchError::Prepare(io::Error::other("only the server's parent process starts supervisors"))
        })?;
        let handover = Handover {
            plan: plan.as_raw_fd(),
            control: theirs.as_raw_fd(),
            lifeline: self.lifeline,
            drain: drain.as_raw_fd(),
            adopted,
        };
        let child = spawn(&self.program, self.role, &handover, &self.plan)
            .map_err(|error| LaunchError::Program { program: self.program.clone(), error })?;
        Ok((child, control))
    }

    /// Takes what the supervisor hands over, until it says that all is there.
    fn hear(
        &mut self,
        child: Option<&mut Child>,
        control: &OwnedFd,
        patience: Duration,
    ) -> Result<Vec<String>, LaunchError> {
        let deadline = Instant::now() + patience;
        let mut failures = Vec::new();
        let mut buffer = vec![0; LONGEST_MESSAGE];
        let garbled = || LaunchError::Garbled { program: self.program.clone() };
        loop {
            if !await_packet(control, deadline)? {
                return Err(LaunchError::Silent(patience));
            }
            let packet =
                packet::receive(control, &mut buffer, 2, Wait::Never).map_err(LaunchError::Prepare)?;
            if packet.length == 0 {
                if failures.is_empty() {
                    let status = child.map_or(WaitStatus::UNKNOWN, part_from);
                    return Err(LaunchError::Ended { program: self.program.clone(), status });
                }
                return Err(LaunchError::Failed(failures));
            }
            if packet.truncated {
                return Err(LaunchError::Descriptors);
            }
            match decode(&buffer[..packet.length]).ok_or_else(garbled)? {
                FromSupervisor::Group(index) => {
                    let [listener, board] =
                        <[OwnedFd; 2]>::try_from(packet.descriptors).map_err(|_| garbled())?;
                    let place = usize::try_from(index).ok().and_then(|index| self.groups.get_mut(index));
                    *place.ok_or_else(garbled)? = Some(Shared { listener: Some(listener), board });
                }
                // One that cannot go on without the group ends, after it has named the others that fail too.
                FromSupervisor::Failed(index, cause) => {
                    let group = usize::try_from(index).ok().and_then(|index| self.plan.groups.get(index));
                    failures.push(match group {
                        Some(group) => {
                            let name = String::from_utf8_lossy(&group.name);
                            let directive = self.plan.server.dialect.daemon_process();
                            format!("{directive} {name} cannot start: {cause}")
                        }
                        None if index == ALL_GROUPS => cause,
                        None => return Err(garbled()),
                    });
                }
                FromSupervisor::Ready => return Ok(failures),
            }
        }
    }
}

impl Drain {
    fn new() -> Result<Self, LaunchError> {
        let (read, write) = io::pipe().map_err(LaunchError::Prepare)?;
        Ok(Self { read: Some(read.into()), write: Some(write.into()) })
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        if let Some(write) = &self.write {
            withheld::release(write.as_raw_fd());
        }
    }
}

impl Supervisor {
    fn drain(&self) {
        if let Some(control) = &self.control {
            // One that has ended already hears nothing, and need not.
            let _ = packet::send(control, &encode(&ToSupervisor::Drain), &[], Wait::Never);
        }
    }
}

/// Whether there is something to be read before time is up.
fn await_packet(control: &OwnedFd, deadline: Instant) -> Result<bool, LaunchError> {
    loop {
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Ok(false);
        }
        let limit =
            Timespec::try_from(rest).map_err(|error| LaunchError::Prepare(io::Error::other(error)))?;
        match poll(&mut [PollFd::new(control, PollFlags::IN)], Some(&limit)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(LaunchError::Prepare(error.into())),
        }
    }
}
