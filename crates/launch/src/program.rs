//! The process of a supervisor or keeper: executed with the descriptors that it needs and no others.

#![allow(unsafe_code, reason = "prepares descriptors between fork and exec")]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oxwsgi_core::daemon::{Handover, Plan, Role};
use oxwsgi_core::os::{WaitStatus, reset_signals};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::write;

/// A supervisor that failed has nothing left to do.
const PARTING: Duration = Duration::from_secs(2);

/// Looks whether there is such a program, before anything is started.
///
/// # Errors
/// Names it, what is wrong and the cure, in words that go on from who needs it.
pub fn look_at(program: &Path) -> Result<(), String> {
    let wrong = match program.metadata() {
        Ok(found) if found.is_file() => return Ok(()),
        Ok(_) => "is not a file".to_owned(),
        Err(error) => format!("cannot be used: {error}"),
    };
    Err(format!(
        "the program {}, which {wrong}; install oxwsgi again, which puts it beside the server's module",
        program.display()
    ))
}

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

/// Executes the program with the descriptors that the handover and the plan name, under their own numbers, and no others.
/// A keeper is nobody's child when this returns, for its server would not know it; so there is none to wait for.
pub fn spawn(program: &Path, role: Role, handover: &Handover, plan: &Plan) -> io::Result<Option<Child>> {
    let Handover { plan: file, control, lifeline, drain, adopted } = handover;
    let logs = plan.groups.iter().map(|group| &group.log).chain([&plan.log]);
    let logs = logs.flat_map(|log| log.descriptors());
    let adopted = adopted.iter().flatten().flat_map(|(listener, board)| [*listener, *board]);
    let inherited: Vec<RawFd> =
        [*file, *control, *lifeline, *drain].into_iter().chain(logs).chain(adopted).collect();

    let (output, errors) = output(role, plan)?;
    let mut command = Command::new(program);
    // A terminal's signals are for the server, which passes on what they mean.
    command
        .args(handover.arguments(role))
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .process_group(0);
    let prepare = move || {
        if role == Role::Keeper {
            leave_server()?;
        }
        reset_signals();
        keep_only(&inherited)
    };
    // SAFETY: the closure makes system calls on plain numbers, and reads a list made before the fork.
    unsafe { command.pre_exec(prepare) };
    let mut child = command.spawn()?;
    match role {
        Role::Supervisor => Ok(Some(child)),
        Role::Keeper => {
            // Only what has forked the keeper, and has ended by now.
            child.wait()?;
            Ok(None)
        }
    }
}

/// What becomes of the standard output and errors.
fn output(role: Role, plan: &Plan) -> io::Result<(Stdio, Stdio)> {
    match role {
        Role::Supervisor => Ok((io::stderr().as_fd().try_clone_to_owned()?.into(), Stdio::inherit())),
        // The server has those of whoever starts it, who may wait for their end, until it goes into the background.
        Role::Keeper => match plan.log.descriptors().next() {
            Some(number) => {
                // SAFETY: the plan names descriptors that are open.
                let log = unsafe { BorrowedFd::borrow_raw(number) };
                let copy = || log.try_clone_to_owned();
                Ok((copy()?.into(), copy()?.into()))
            }
            None => Ok((Stdio::null(), Stdio::null())),
        },
    }
}

/// Between fork and exec: goes on as a process that is neither the child of the one that was forked nor in its session.
fn leave_server() -> io::Result<()> {
    // SAFETY: takes nothing; both processes go on with system calls alone.
    match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {}
        // SAFETY: ends the process at once, without the exit handlers of the one it is a copy of.
        _ => unsafe { libc::_exit(0) },
    }
    // SAFETY: takes nothing.
    unsafe { libc::setsid() };
    Ok(())
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
