//! The supervisor's process: executed with the descriptors that it needs and no others.

#![allow(unsafe_code, reason = "prepares descriptors between fork and exec")]

use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oxwsgi_core::daemon::{Handover, LogTarget, Plan};
use oxwsgi_core::os::WaitStatus;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::write;

/// A supervisor that failed has nothing left to do.
const PARTING: Duration = Duration::from_secs(2);

/// Waits for the end of a supervisor that has no more to do, and brings it about when it does not come.
pub fn part_from(child: &mut Child) -> WaitStatus {
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
pub fn sealed(bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = memfd_create(c"oxwsgi-plan", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        rest = &rest[write(&file, rest)?..];
    }
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
    Ok(file)
}

/// Executes the supervisor with the descriptors that the handover and the plan name, under their own numbers, and no others.
pub fn spawn(program: &Path, handover: &Handover, plan: &Plan) -> io::Result<Child> {
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
