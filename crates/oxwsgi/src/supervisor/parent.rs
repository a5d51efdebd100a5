//! The server's parent process, as far as its supervisor is tied to it: it is told how the groups start, and its end is ours.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use oxwsgi_core::daemon::board::Board;
use oxwsgi_core::daemon::{FromSupervisor, Handover, Plan, ToSupervisor, decode, encode};
use oxwsgi_core::os::packet::{self, Wait};
use oxwsgi_core::os::{inherited, is_running, ready, watch};
use rustix::event::PollFlags;

/// More than any plan has, in bytes.
const LONGEST_PLAN: u64 = 256 << 20;

/// The descriptors that tie this process to the server.
#[derive(Debug)]
pub struct Parent {
    control: Option<OwnedFd>,
    /// Ends with the server.
    pub lifeline: OwnedFd,
    /// Ends with the last process of this generation that could send a request.
    pub drain: OwnedFd,
    /// Readable when the parent process has ended, where the system can tell.
    pub watch: Option<OwnedFd>,
}

/// Listening socket and board of a group of a supervisor before this one.
pub type Adopted = (OwnedFd, OwnedFd);

impl Parent {
    /// Takes over what was handed over, but the plan.
    ///
    /// # Errors
    /// Names the descriptor that is not what it should be.
    pub fn take(handover: &Handover) -> Result<Self, String> {
        Ok(Self {
            control: Some(taken("control", handover.control)?),
            lifeline: taken("lifeline", handover.lifeline)?,
            drain: taken("drain", handover.drain)?,
            watch: None,
        })
    }

    /// Sends a message. A parent that is gone, or does not want to hear, is told nothing; whether it was.
    pub fn tell(&self, message: &FromSupervisor, descriptors: &[BorrowedFd<'_>]) -> bool {
        let control = self.control.as_ref();
        control
            .is_some_and(|control| packet::send(control, &encode(message), descriptors, Wait::Socket).is_ok())
    }

    /// Whether the server has ended: nothing is left to be done for it.
    pub fn has_ended(&self) -> bool {
        ready(&self.lifeline, PollFlags::IN).intersects(PollFlags::HUP | PollFlags::IN)
    }

    /// Reads what the parent says. It has one thing to say, and its silence means the same: wait for the drain pipe's end.
    /// Gives the socket back when nothing more can come from it.
    pub fn hear(&mut self) -> Option<OwnedFd> {
        let control = self.control.take()?;
        let mut buffer = [0; 64];
        loop {
            match packet::receive(&control, &mut buffer, 0, Wait::Never) {
                Ok(packet) if packet.length > 0 => match decode(&buffer[..packet.length]) {
                    Some(ToSupervisor::Drain) => return Some(control),
                    None => {}
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.control = Some(control);
                    return None;
                }
                _ => return Some(control),
            }
        }
    }

    /// The control socket, while something may come from it.
    pub fn control(&self) -> Option<BorrowedFd<'_>> {
        self.control.as_ref().map(AsFd::as_fd)
    }

    /// Notices the end of process `pid` too. When it has ended already, that is an error.
    ///
    /// # Errors
    /// The process is gone.
    pub fn watch(&mut self, pid: u32) -> io::Result<()> {
        if !is_running(pid) {
            return Err(io::ErrorKind::NotFound.into());
        }
        // An old kernel cannot tell; the lifeline can.
        self.watch = watch(pid).ok();
        Ok(())
    }
}

/// The plan that was handed over.
///
/// # Errors
/// It cannot be read, or is of another version.
pub fn plan(handover: &Handover) -> Result<Plan, String> {
    let file = File::from(taken("plan", handover.plan)?);
    let failed = |error: io::Error| format!("the plan of the daemon process groups cannot be read: {error}");
    let length = file.metadata().map_err(failed)?.len();
    if length > LONGEST_PLAN {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0).map_err(failed)?;
    Plan::read(&bytes)
}

/// What was handed over of the groups of an earlier supervisor, one for each of `groups`: none for one that it could not make.
/// None when there was no earlier one.
///
/// # Errors
/// Names the descriptor that is not what it should be.
pub fn adopted(handover: &Handover, groups: usize) -> Result<Option<Vec<Option<Adopted>>>, String> {
    let given = &handover.adopted;
    if given.is_empty() {
        return Ok(None);
    }
    if given.len() != groups {
        return Err(format!(
            "the plan has {groups} daemon process groups, and {} were handed over",
            given.len()
        ));
    }
    let take = |(listener, board)| Ok((taken("socket", listener)?, taken("board", board)?));
    given.iter().map(|pair| pair.map(take).transpose()).collect::<Result<_, _>>().map(Some)
}

/// The board that was handed over, if it is one for this many processes and threads.
pub fn board(descriptor: &OwnedFd, processes: u32, threads: u32) -> io::Result<Board> {
    let board = Board::open(descriptor.as_fd())?;
    if (board.processes(), board.threads()) != (processes, threads) {
        return Err(io::Error::other("a board of another group"));
    }
    Ok(board)
}

fn taken(what: &str, number: i32) -> Result<OwnedFd, String> {
    inherited(number).map_err(|error| format!("descriptor {number} ({what}) was not handed over: {error}"))
}
