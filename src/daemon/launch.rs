//! The supervisor of one generation, seen by the server's parent process: started with a plan, heard until its groups are
//! there, replaced when it is killed, and told when its generation ends. Blocking, on the parent's only thread.
//!
//! Who calls this decides when; what is to outlast a reload of this module is in [`Lifeline`], as plain numbers.

#![allow(unsafe_code, reason = "prepares the supervisor's descriptors between fork and exec")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oxwsgi_core::daemon::{
    ALL_GROUPS, FromSupervisor, Handover, LONGEST_MESSAGE, LogTarget, Plan, ToSupervisor, decode, encode,
};
use oxwsgi_core::os::WaitStatus;
use oxwsgi_core::os::packet::{self, Wait};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::write;

/// A supervisor creates sockets and starts a process for each group; slow homes are on slow disks.
const PATIENCE: Duration = Duration::from_secs(40);
/// A supervisor that failed has nothing left to do.
const PARTING: Duration = Duration::from_secs(2);

/// A pipe that ends with the server's parent process, however that ends: nobody else holds its write end. Made once in the
/// life of a server, and never closed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifeline {
    /// What supervisors and workers watch.
    pub read: RawFd,
    /// What only the parent keeps.
    pub write: RawFd,
}

/// The parent's side of a generation's supervisor.
#[derive(Debug)]
pub struct Generation {
    program: PathBuf,
    plan: Plan,
    lifeline: Lifeline,
    /// What ends with the generation: read by supervisors, none in a child; the write end is the children's as well.
    drain: (Option<OwnedFd>, OwnedFd),
    /// None in a child.
    supervisor: Option<Supervisor>,
    groups: Vec<Option<Shared>>,
}

#[derive(Debug)]
struct Supervisor {
    pid: u32,
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

/// Why there is no supervisor.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The program is not there or cannot be run.
    #[error("the supervisor {} cannot be run: {error}; install oxwsgi again, which puts it beside the server's module", program.display())]
    Program {
        /// The file.
        program: PathBuf,
        /// The operating system's reason.
        error: io::Error,
    },
    /// A descriptor could not be made.
    #[error("the supervisor of the daemon process groups cannot be prepared: {0}")]
    Prepare(io::Error),
    /// It says why it cannot go on.
    #[error("{0}")]
    Failed(String),
    /// It ended without a word.
    #[error("the supervisor {} ended before its daemon process groups were ready: {status}", program.display())]
    Ended {
        /// The file.
        program: PathBuf,
        /// How.
        status: WaitStatus,
    },
    /// It said nothing for too long.
    #[error("the supervisor of the daemon process groups was not ready within {} seconds", PATIENCE.as_secs())]
    Silent,
    /// Its words make no sense.
    #[error(
        "the supervisor {} answers something that is not understood; install it from the same release as the server's \
         module",
        program.display()
    )]
    Garbled {
        /// The file.
        program: PathBuf,
    },
}

impl Lifeline {
    /// A new pipe.
    pub fn new() -> io::Result<Self> {
        let (read, write) = io::pipe()?;
        Ok(Self { read: OwnedFd::from(read).into_raw_fd(), write: OwnedFd::from(write).into_raw_fd() })
    }

    /// For a child of the parent: the pipe is none of its business.
    ///
    /// # Safety
    /// The process is a copy of the one that made the pipe, and closes it this once.
    pub unsafe fn close(self) {
        for number in [self.read, self.write] {
            // SAFETY: the caller's word: open, and nobody else's.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
}

impl Generation {
    /// Starts `program` with `plan`, and waits until its groups are there. Groups of a plan that is not strict may have
    /// failed; why is beside.
    pub fn start(program: &Path, plan: Plan, lifeline: Lifeline) -> Result<(Self, Vec<String>), LaunchError> {
        let (read, write) = io::pipe().map_err(LaunchError::Prepare)?;
        let groups = plan.groups.iter().map(|_| None).collect();
        let mut generation = Self {
            program: program.to_owned(),
            plan,
            lifeline,
            drain: (Some(read.into()), write.into()),
            supervisor: None,
            groups,
        };
        let (mut child, control) = generation.launch()?;
        match generation.hear(&mut child, &control) {
            Ok(failures) => {
                generation.supervisor = Some(Supervisor { pid: child.id(), control: Some(control) });
                Ok((generation, failures))
            }
            Err(error) => {
                // Without drain pipe and control socket it ends by itself, and its workers with it.
                drop((generation, control));
                part_from(&mut child);
                Err(error)
            }
        }
    }

    /// Starts another supervisor in the place of one that has died, with the sockets and boards of its groups; does not
    /// wait for it. The answer is the number of the process.
    pub fn restart(&mut self) -> Result<u32, LaunchError> {
        // What cannot start now must not take with it what still serves.
        self.plan.strict = false;
        self.supervisor = None;
        let (child, _control) = self.launch()?;
        let pid = child.id();
        self.supervisor = Some(Supervisor { pid, control: None });
        Ok(pid)
    }

    /// The number of the supervisor's process.
    pub fn pid(&self) -> Option<u32> {
        self.supervisor.as_ref().map(|supervisor| supervisor.pid)
    }

    /// The plan.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The board of the group of this place in the plan.
    pub fn board(&self, group: usize) -> Option<BorrowedFd<'_>> {
        Some(self.groups.get(group)?.as_ref()?.board.as_fd())
    }

    /// For a child of the parent: keeps what tells that it lives, and the boards.
    pub fn enter_child(&mut self) {
        self.supervisor = None;
        self.drain.0 = None;
        for shared in self.groups.iter_mut().flatten() {
            shared.listener = None;
        }
    }

    /// The generation ends: its supervisor goes on until the last of its children is gone. The answer is the number of its
    /// process.
    pub fn end(self) -> Option<u32> {
        let Supervisor { pid, control } = self.supervisor?;
        if let Some(control) = control {
            // One that has ended already hears nothing, and need not.
            let _ = packet::send(&control, &encode(&ToSupervisor::Drain), &[], Wait::Never);
        }
        Some(pid)
    }

    /// The program, running, and our end of its control socket.
    fn launch(&self) -> Result<(Child, OwnedFd), LaunchError> {
        let plan = sealed(&encode(&self.plan)).map_err(LaunchError::Prepare)?;
        let (control, theirs) = packet::pair().map_err(LaunchError::Prepare)?;
        let adopted: Vec<_> = self
            .groups
            .iter()
            .map(|shared| {
                let shared = shared.as_ref()?;
                Some((shared.listener.as_ref()?.as_raw_fd(), shared.board.as_raw_fd()))
            })
            .collect();
        let drain = self.drain.0.as_ref().ok_or_else(|| {
            LaunchError::Prepare(io::Error::other("only the server's parent process starts supervisors"))
        })?;
        let handover = Handover {
            plan: plan.as_raw_fd(),
            control: theirs.as_raw_fd(),
            lifeline: self.lifeline.read,
            drain: drain.as_raw_fd(),
            adopted: if adopted.iter().any(Option::is_some) { adopted } else { Vec::new() },
        };
        let child = spawn(&self.program, &handover, &self.plan)
            .map_err(|error| LaunchError::Program { program: self.program.clone(), error })?;
        Ok((child, control))
    }

    /// Takes what the supervisor hands over, until it says that all is there.
    fn hear(&mut self, child: &mut Child, control: &OwnedFd) -> Result<Vec<String>, LaunchError> {
        let deadline = Instant::now() + PATIENCE;
        let mut failures = Vec::new();
        let mut buffer = vec![0; LONGEST_MESSAGE];
        let garbled = || LaunchError::Garbled { program: self.program.clone() };
        loop {
            await_packet(control, deadline)?;
            let packet =
                packet::receive(control, &mut buffer, 2, Wait::Never).map_err(LaunchError::Prepare)?;
            if packet.length == 0 {
                return Err(match failures.into_iter().next() {
                    Some(failure) => LaunchError::Failed(failure),
                    None => LaunchError::Ended { program: self.program.clone(), status: part_from(child) },
                });
            }
            match decode(&buffer[..packet.length]).filter(|_| !packet.truncated).ok_or_else(garbled)? {
                FromSupervisor::Group(index) => {
                    let [listener, board] =
                        <[OwnedFd; 2]>::try_from(packet.descriptors).map_err(|_| garbled())?;
                    let place = usize::try_from(index).ok().and_then(|index| self.groups.get_mut(index));
                    *place.ok_or_else(garbled)? = Some(Shared { listener: Some(listener), board });
                }
                FromSupervisor::Failed(index, reason) => {
                    // The reason names the group.
                    if self.plan.strict || index == ALL_GROUPS {
                        return Err(LaunchError::Failed(reason));
                    }
                    failures.push(reason);
                }
                FromSupervisor::Ready => return Ok(failures),
            }
        }
    }
}

fn await_packet(control: &OwnedFd, deadline: Instant) -> Result<(), LaunchError> {
    loop {
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Err(LaunchError::Silent);
        }
        let limit = Timespec {
            tv_sec: i64::try_from(rest.as_secs()).unwrap_or(0),
            tv_nsec: i64::from(rest.subsec_nanos()),
        };
        match poll(&mut [PollFd::new(control, PollFlags::IN)], Some(&limit)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(LaunchError::Prepare(error.into())),
        }
    }
}

/// Waits for the end of a supervisor that has no more to do, and brings it about when it does not come.
fn part_from(child: &mut Child) -> WaitStatus {
    let deadline = Instant::now() + PARTING;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return WaitStatus(status.into_raw()),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            _ => {
                let _ = child.kill();
                return WaitStatus(child.wait().map_or(0, |status| status.into_raw()));
            }
        }
    }
}

/// The bytes as a file in memory, which nobody can change.
fn sealed(bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = memfd_create(c"oxwsgi-plan", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        rest = &rest[write(&file, rest)?..];
    }
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
    Ok(file)
}

/// Executes the supervisor with the descriptors that the handover and the plan name, under their own numbers, and no others.
fn spawn(program: &Path, handover: &Handover, plan: &Plan) -> io::Result<Child> {
    let Handover { plan: file, control, lifeline, drain, adopted } = handover;
    let logs = plan.groups.iter().map(|group| &group.log).chain([&plan.log]).filter_map(|log| match log {
        LogTarget::Descriptor(number, _) => Some(*number),
        LogTarget::Syslog(..) => None,
    });
    let adopted = adopted.iter().flatten().flat_map(|(listener, board)| [*listener, *board]);
    let inherited: Vec<RawFd> =
        [*file, *control, *lifeline, *drain].into_iter().chain(logs).chain(adopted).collect();

    let mut command = Command::new(program);
    command
        .args(handover.arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?))
        // A terminal's signals are for the server, which passes on what they mean.
        .process_group(0);
    // SAFETY: the closure makes system calls on plain numbers, and reads a list made before the fork.
    unsafe { command.pre_exec(move || keep_only(&inherited)) };
    command.spawn()
}

/// Between fork and exec: of the descriptors above the standard ones only these survive.
fn keep_only(inherited: &[RawFd]) -> io::Result<()> {
    const FIRST: RawFd = libc::STDERR_FILENO + 1;
    let set_flags = |number: RawFd, flags: i32| {
        // SAFETY: plain numbers; those that are not open are refused.
        unsafe { libc::fcntl(number, libc::F_SETFD, flags) }
    };
    // SAFETY: plain numbers (`close_range(2)`; the flag is Linux 5.11's).
    let all = unsafe { libc::syscall(libc::SYS_close_range, FIRST, i32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if all != 0 {
        // SAFETY: a plain number.
        let limit = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
        for number in FIRST..limit.clamp(0, 65_536) as RawFd {
            set_flags(number, libc::FD_CLOEXEC);
        }
    }
    for number in inherited {
        if set_flags(*number, 0) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
