//! A daemon group: its socket and board, how its processes are started, and how that goes.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use oxwsgi_core::daemon::board::{Board, Process};
use oxwsgi_core::daemon::{self, Plan, Server, ToWorker, encode};
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::os::packet::{self, Wait};
use oxwsgi_core::os::{Account, Launched, Limit};

use super::log::Log;
use super::pace::Pace;
use super::parent::{self, Adopted};
use super::recipe::{Recipe, lossy};
use super::slots::Slots;
use super::socket::Socket;
use super::stream::Stream;
use super::worker::{Life, Worker};

/// What a socket takes in one packet with the system's usual buffers, in bytes; a group may have many scripts to load.
const LONGEST_START: usize = 128 * 1024;
/// A group that is not ready after this time holds up the server's start no longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A group that has a socket.
#[derive(Debug)]
pub struct Group {
    /// Its index in the plan.
    pub index: u32,
    /// Its processes, by the crew's numbers.
    pub members: Vec<u32>,
    /// As planned.
    pub plan: daemon::Group,
    /// Its log outside of requests.
    pub log: Log,
    /// How its processes are started.
    pub recipe: Recipe,
    /// How fast.
    pub pace: Pace,
    /// Whether its start is over, and how that went.
    pub verdict: Verdict,
    /// Whether it was said already what the notes of its processes say each time.
    pub has_noted: bool,
    /// Whether it lacks a process for which there is no slot.
    pub is_full: bool,
    server: Server,
    peers: Vec<u32>,
    socket: Socket,
    board: Board,
    board_descriptor: OwnedFd,
    slots: Slots,
    epoch: Epoch,
    since: Instant,
}

/// How the start of a group went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No process of it is ready yet.
    Pending,
    /// A process of it was ready.
    Ready,
    /// It takes long, and nobody waits any more.
    Late,
    /// Its first process could not be started.
    Failed,
}

/// The number of this supervisor on a board, and whether the processes of those before it know.
///
/// Its processes are started with the number, and end when a later one begins. It begins only when they serve: until then
/// the processes of a supervisor that was killed go on, and a supervisor that does not get that far ends nobody.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    number: u32,
    has_begun: bool,
}

impl Group {
    /// Makes the group's socket and board, or takes over those of an earlier supervisor.
    ///
    /// # Errors
    /// What cannot be done, and what to do about it.
    pub fn new(
        whole: &Plan,
        index: usize,
        log: Log,
        adopted: Option<Adopted>,
        server: impl IntoIterator<Item = (OsString, OsString)>,
        descriptors: Option<Limit>,
    ) -> Result<Self, String> {
        let mut plan = whole.groups[index].clone();
        settle_account(&mut plan)?;
        let dialect = whole.server.dialect;
        let recipe = Recipe::new(&plan, server, descriptors, dialect)?;
        let now = Instant::now();
        // All may be replaced at once, and two may end late.
        let slots = plan.processes.saturating_mul(2).saturating_add(2);
        let is_adopted = adopted.is_some();
        let (socket, board, board_descriptor) = match adopted {
            Some((listener, descriptor)) => {
                let board = parent::board(&descriptor, slots, plan.threads)
                    .map_err(|error| format!("its board cannot be taken over: {error}"))?;
                (Socket::adopt(listener, &plan.socket), board, descriptor)
            }
            None => {
                let (board, descriptor) = Board::create(slots, plan.threads)
                    .map_err(|error| format!("its shared memory cannot be made: {error}"))?;
                (Socket::create(&plan, dialect)?, board, descriptor)
            }
        };
        let mut peers = vec![plan.socket_user, whole.server_user];
        peers.dedup();
        let epoch = Epoch { number: board.next_epoch(), has_begun: false };
        let mut group = Self {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            members: Vec::new(),
            slots: Slots::of(&board, now),
            log,
            recipe,
            pace: Pace::new(),
            verdict: Verdict::Pending,
            has_noted: false,
            is_full: false,
            server: whole.server.clone(),
            peers,
            socket,
            board,
            board_descriptor,
            epoch,
            since: now,
            plan,
        };
        if !is_adopted {
            group.begin_epoch();
        }
        match group.message(0).len() {
            length if length > LONGEST_START => {
                group.remove_socket();
                Err(format!("its options are {length} bytes long, and may be {LONGEST_START}"))
            }
            _ => Ok(group),
        }
    }

    /// Its name, for texts.
    pub fn name(&self) -> std::borrow::Cow<'_, str> {
        lossy(&self.plan.name)
    }

    /// Listening socket and board.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.socket.as_fd(), self.board_descriptor.as_fd()]
    }

    /// What its options are called.
    pub const fn dialect(&self) -> Dialect {
        self.server.dialect
    }

    /// Whether its processes run import scripts only, and are started again when those end.
    pub fn is_service(&self) -> bool {
        self.plan.threads == 0
    }

    /// Starts a process. None when all slots are taken, by processes that take long to end.
    ///
    /// # Errors
    /// The system is out of something.
    pub fn start(
        &mut self,
        position: usize,
        [lifeline, drain]: [BorrowedFd<'_>; 2],
        now: Instant,
    ) -> io::Result<Option<(Worker, Stream)>> {
        let (control, child_control) = packet::pair()?;
        let (mut stream, output) = Stream::new(position)?;
        let Some(slot) = self.slots.take() else { return Ok(None) };
        let process = self.process(slot);
        self.board.restore();
        process.assign();
        let Launched { process, notes } =
            match self.recipe.launch.start(output.as_fd(), child_control.as_fd()) {
                Ok(launched) => launched,
                Err(error) => {
                    self.slots.bury(slot, now);
                    return Err(error);
                }
            };
        self.process(slot).set_pid(process.pid());
        stream.pid = process.pid();
        // Only now, for until here nobody else may write to the slot. It cannot fail but by the end of the child.
        let [listener, board] = self.descriptors();
        let _ = packet::send(&control, &self.message(slot), &[listener, board, lifeline, drain], Wait::Never);
        let worker = Worker {
            group: position,
            slot,
            process: Some(process),
            control: Some(control),
            notes: Some(notes),
            refusal: None,
            life: Life::begin(now),
        };
        Ok(Some((worker, stream)))
    }

    /// Writes down how a process has ended, for those whose connections to it broke.
    pub fn bury(&mut self, slot: u32, status: i32, now: Instant) {
        self.process(slot).bury(status);
        self.slots.bury(slot, now);
    }

    /// `serving` of its processes are ready: ends those of earlier supervisors when they are enough.
    pub fn relieve(&mut self, serving: usize, now: Instant) {
        let enough = serving >= self.plan.processes as usize || (serving > 0 && self.since + PATIENCE <= now);
        if enough {
            self.dismiss_others();
        }
    }

    /// Whether processes of earlier supervisors are to go on for now.
    pub const fn has_others_to_relieve(&self) -> bool {
        !self.epoch.has_begun
    }

    /// Writes down which processes of earlier supervisors have ended, and gives their numbers.
    pub fn bury_orphans(&mut self, now: Instant) -> Vec<u32> {
        self.slots.bury_orphans(&self.board, now)
    }

    /// Whether there are processes of earlier supervisors.
    pub fn has_orphans(&self) -> bool {
        self.slots.has_orphans()
    }

    /// When nobody waits for its start any more, nor for all of its processes to relieve others; none when that was before.
    pub fn patience_ends(&self, now: Instant) -> Option<Instant> {
        Some(self.since + PATIENCE).filter(|then| *then > now)
    }

    /// Removes the file of its socket.
    pub fn remove_socket(&self) {
        self.socket.remove();
    }

    /// Ends the processes of earlier supervisors.
    pub fn dismiss_others(&mut self) {
        if !self.epoch.has_begun {
            self.begin_epoch();
        }
    }

    fn begin_epoch(&mut self) {
        self.board.begin_epoch(self.epoch.number);
        self.epoch.has_begun = true;
    }

    fn process(&self, slot: u32) -> Process<'_> {
        self.board.process(slot).expect("slots are counted as the board does")
    }

    fn message(&self, slot: u32) -> Vec<u8> {
        encode(&ToWorker::Start {
            group: Box::new(self.plan.clone()),
            server: self.server.clone(),
            slot,
            epoch: self.epoch.number,
            peers: self.peers.clone(),
        })
    }
}

/// Who may not change accounts runs everything as itself; who may runs nothing as root.
fn settle_account(plan: &mut daemon::Group) -> Result<(), String> {
    if !Account::may_change() {
        plan.account = None;
        plan.foreign = false;
    } else if plan.account.as_ref().is_none_or(|account| account.uid == 0) {
        return Err("its processes would run as root, which is refused: set user=".to_owned());
    }
    Ok(())
}
