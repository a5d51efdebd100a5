//! The counters that all processes of a daemon group share: which of its processes have threads to spare, and how far
//! the request on each connection is.
//!
//! Workers, the supervisor and the server's processes map one board each group. A site can write what it likes to its
//! own; so nothing in here is an address or a length, every number is checked where it is used, and the worst that a
//! wrong one does is to keep that site's own requests waiting.
//!
//! *Tickets.* `idle` counts the threads of a process that are free and not yet promised to anybody. Whoever takes a ticket
//! may send a request to that process and is sure of a thread; a thread that is free again gives one. A worker takes one of its own
//! before it accepts a connection from the group's queue. So requests wait in that queue and nowhere else.
//!
//! *[Marks](Mark).* The word of a connection says which request the application has been called for. It is written before
//! the call and outlives the process, so a client whose connection broke knows whether it may give the request to
//! another process.

#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::event::PollFlags;

pub use super::mark::Mark;
use crate::os::{SharedWords, ready};

/// Connections of one process that have a mark; no process keeps more open.
pub const CONNECTIONS: u32 = 512;

const MAGIC: u32 = 0x6f78_7703;
const HEADER: usize = 16;
const PROCESS_HEADER: usize = 16;
const PROCESS: usize = PROCESS_HEADER + CONNECTIONS as usize;
/// More than anybody configures; keeps the arithmetic on a foreign header small.
const MOST_PROCESSES: u32 = 65_536;

// Words of the header.
const MAGIC_WORD: usize = 0;
const PROCESSES_WORD: usize = 1;
const THREADS_WORD: usize = 2;
const EPOCH_WORD: usize = 3;
const LAST_EPOCH_WORD: usize = 4;

// Words of a process.
const PID: usize = 0;
const STATE: usize = 1;
const IDLE: usize = 2;
const STATUS: usize = 3;
const SERVED: usize = 4;

/// The board of one group.
#[derive(Debug)]
pub struct Board {
    memory: SharedWords,
    processes: u32,
    threads: u32,
    /// Ends with the last process that could send a request.
    drain: Option<OwnedFd>,
}

/// What a process slot is in.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody's.
    Free = 0,
    /// Python is being started.
    Starting = 1,
    /// Requests are taken.
    Ready = 2,
    /// No new requests are taken.
    Ending = 3,
    /// The process has ended, and the wait status is there.
    Dead = 4,
}

impl Board {
    /// A new board, and the descriptor to give to other processes. `processes` counts those that end as well.
    pub fn create(processes: u32, threads: u32) -> io::Result<(Self, OwnedFd)> {
        let processes = processes.min(MOST_PROCESSES);
        let (memory, descriptor) = SharedWords::create(HEADER + PROCESS * processes as usize)?;
        let board = Self { memory, processes, threads, drain: None };
        board.restore();
        Ok((board, descriptor))
    }

    /// The board behind a descriptor.
    pub fn open(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        let memory = SharedWords::open(descriptor)?;
        let words = memory.words();
        let word = |index: usize| words.get(index).map_or(0, |word| word.load(Ordering::Acquire));
        let processes = word(PROCESSES_WORD);
        let fits = processes <= MOST_PROCESSES && words.len() == HEADER + PROCESS * processes as usize;
        if word(MAGIC_WORD) != MAGIC || !fits {
            return Err(io::Error::other("not a board of this version"));
        }
        let threads = word(THREADS_WORD);
        Ok(Self { memory, processes, threads, drain: None })
    }

    /// For a worker: the read end of the pipe of its generation, which ends with the last process that could send a request.
    pub fn draining_with(self, drain: OwnedFd) -> Self {
        Self { drain: Some(drain), ..self }
    }

    /// For the supervisor, before it starts a process: what says that this is a board of this shape. The site may have
    /// written over it.
    pub fn restore(&self) {
        let words = self.memory.words();
        words[PROCESSES_WORD].store(self.processes, Ordering::Relaxed);
        words[THREADS_WORD].store(self.threads, Ordering::Relaxed);
        words[MAGIC_WORD].store(MAGIC, Ordering::Release);
    }

    /// How many process slots there are.
    pub const fn processes(&self) -> u32 {
        self.processes
    }

    /// Threads of each process.
    pub const fn threads(&self) -> u32 {
        self.threads
    }

    /// For a supervisor that starts: its epoch, newer than those of all before it, also of one that died before its workers
    /// were ready. Its workers get the number when they start, so that they outlive [`begin_epoch`](Self::begin_epoch).
    pub fn next_epoch(&self) -> u32 {
        self.memory.words()[LAST_EPOCH_WORD].fetch_add(1, Ordering::SeqCst).wrapping_add(1)
    }

    /// For a supervisor that has workers of its own: those of the ones before it end.
    pub fn begin_epoch(&self, epoch: u32) {
        self.memory.words()[EPOCH_WORD].store(epoch, Ordering::Release);
    }

    /// For a worker whose supervisor is gone: whether a later supervisor than the one that started it has workers of its own, or
    /// no request can come any more.
    pub fn is_past(&self, epoch: u32) -> bool {
        let now = self.memory.words()[EPOCH_WORD].load(Ordering::Acquire);
        now.wrapping_sub(epoch).cast_signed() > 0 || self.drain.as_ref().is_some_and(has_ended)
    }

    /// A process slot.
    #[inline]
    pub fn process(&self, slot: u32) -> Option<Process<'_>> {
        if slot >= self.processes {
            return None;
        }
        let start = HEADER + PROCESS * slot as usize;
        Some(Process { words: &self.memory.words()[start..start + PROCESS], threads: self.threads })
    }

    /// All process slots, with their numbers.
    pub fn all(&self) -> impl Iterator<Item = (u32, Process<'_>)> {
        (0..self.processes).filter_map(|slot| Some((slot, self.process(slot)?)))
    }
}

/// Whether nobody holds the write end of a pipe any more. One that a site has closed, with all that it found, has not ended.
fn has_ended(pipe: &OwnedFd) -> bool {
    ready(pipe, PollFlags::IN).contains(PollFlags::HUP)
}

/// One process slot.
#[derive(Clone, Copy, Debug)]
pub struct Process<'a> {
    words: &'a [AtomicU32],
    threads: u32,
}

impl<'a> Process<'a> {
    /// For the supervisor: gives the slot to a process to be started.
    pub fn assign(&self) {
        // First, and what follows is a release: whoever sees another word changed, and looks at this one afterwards, sees
        // this one changed.
        self.words[PID].store(0, Ordering::SeqCst);
        for word in self.words {
            word.store(0, Ordering::Release);
        }
        self.set_state(State::Starting);
    }

    /// For the supervisor: the number of the process.
    pub fn set_pid(&self, pid: u32) {
        self.words[PID].store(pid, Ordering::SeqCst);
    }

    /// For the supervisor: the process has ended with this wait status.
    pub fn bury(&self, status: i32) {
        self.words[STATUS].store(status.cast_unsigned(), Ordering::Release);
        self.withdraw(State::Dead);
    }

    /// The number of the process.
    pub fn pid(&self) -> u32 {
        self.words[PID].load(Ordering::SeqCst)
    }

    /// What the slot is in; a number that means nothing counts as ending.
    pub fn state(&self) -> State {
        match self.words[STATE].load(Ordering::Acquire) {
            0 => State::Free,
            1 => State::Starting,
            2 => State::Ready,
            4 => State::Dead,
            _ => State::Ending,
        }
    }

    /// How the process has ended, once it is [`Dead`](State::Dead).
    pub fn wait_status(&self) -> i32 {
        self.words[STATUS].load(Ordering::Acquire).cast_signed()
    }

    /// For the worker: all its threads are free.
    pub fn open(&self) {
        self.words[IDLE].store(self.threads, Ordering::Release);
        self.set_state(State::Ready);
    }

    /// For the worker or the supervisor: no further tickets are given.
    pub fn withdraw(&self, state: State) {
        self.set_state(state);
    }

    fn set_state(&self, state: State) {
        self.words[STATE].store(state as u32, Ordering::SeqCst);
    }

    /// Threads that are free and promised to nobody.
    #[inline]
    pub fn idle(&self) -> u32 {
        self.words[IDLE].load(Ordering::Acquire).min(self.threads)
    }

    /// Whether none of its threads has anything to do.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.idle() == self.threads && self.state() == State::Ready
    }

    /// Takes a ticket: a thread of the process is there for one request.
    #[inline]
    pub fn take_ticket(&self) -> bool {
        self.state() == State::Ready
            && self.words[IDLE]
                .fetch_update(Ordering::SeqCst, Ordering::Acquire, |idle| {
                    (idle > 0).then(|| idle.min(self.threads) - 1)
                })
                .is_ok()
    }

    /// Gives a ticket: by a thread that is free again, or by who took one in vain.
    #[inline]
    pub fn give_ticket(&self) {
        // Cannot fail: the closure always answers.
        let _ = self.words[IDLE].fetch_update(Ordering::SeqCst, Ordering::Acquire, |idle| {
            Some(idle.min(self.threads.saturating_sub(1)) + u32::from(self.threads > 0))
        });
    }

    /// For the worker, when nothing has moved for a while: what `idle` ought to be. A server's process that was killed
    /// with a ticket in its hand never gives it back.
    pub fn correct(&self, seen: u32, idle: u32) {
        let _ = self.words[IDLE].compare_exchange(seen, idle, Ordering::SeqCst, Ordering::Relaxed);
    }

    /// Requests taken by this process, modulo 2^32.
    pub fn served(&self) -> u32 {
        self.words[SERVED].load(Ordering::Relaxed)
    }

    /// For the worker: counts a request, and says how many that makes.
    #[inline]
    pub fn count_request(&self) -> u32 {
        self.words[SERVED].fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// The mark of a connection.
    #[inline]
    pub fn mark(&self, connection: u32) -> Option<Mark<'a>> {
        if connection >= CONNECTIONS {
            return None;
        }
        Some(Mark(&self.words[PROCESS_HEADER + connection as usize]))
    }

    /// For the client, after its connection to process `pid` broke: whether the application was called for the request of
    /// this number, which has been sent. What cannot be known counts as a call, for a request must not be run twice.
    pub fn was_accepted(&self, pid: u32, connection: u32, number: u32) -> bool {
        let is_before = self.mark(connection).is_some_and(|mark| mark.is_before(number));
        // Looked at after the mark, which an acquiring load has read: of a mark that belongs to the slot's next process
        // already this tells.
        !is_before || self.pid() != pid
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn tickets_are_as_many_as_threads() {
        let (board, descriptor) = Board::create(2, 2).unwrap();
        let process = board.process(1).unwrap();
        process.assign();
        assert!(!process.take_ticket(), "not ready");
        process.open();
        let other = Board::open(descriptor.as_fd()).unwrap();
        assert!(other.process(1).unwrap().is_idle());
        assert!(other.process(1).unwrap().take_ticket() && process.take_ticket() && !process.take_ticket());
        process.give_ticket();
        assert_eq!(process.idle(), 1);
        process.give_ticket();
        process.give_ticket();
        assert_eq!(process.idle(), 2, "more than threads is nonsense");
        process.withdraw(State::Ending);
        assert!(!process.take_ticket());
        assert!(board.process(2).is_none());
    }

    #[test]
    fn every_epoch_is_past_when_no_request_can_come() {
        let (board, descriptor) = Board::create(1, 1).unwrap();
        let (read, write) = io::pipe().unwrap();
        let worker = Board::open(descriptor.as_fd()).unwrap().draining_with(read.into());
        let epoch = board.next_epoch();
        assert!(!worker.is_past(epoch));
        drop(write);
        assert!(worker.is_past(epoch) && !board.is_past(epoch));
    }

    #[test]
    fn foreign_numbers_are_bounded() {
        let (board, _descriptor) = Board::create(1, 2).unwrap();
        let process = board.process(0).unwrap();
        process.assign();
        process.open();
        process.words[IDLE].store(u32::MAX, Ordering::Relaxed);
        assert_eq!(process.idle(), 2);
        assert!(process.take_ticket());
        assert_eq!(process.idle(), 1);
        process.words[STATE].store(77, Ordering::Relaxed);
        assert_eq!(process.state(), State::Ending);
    }

    #[test]
    fn a_request_was_accepted_unless_its_mark_says_no() {
        let (board, _descriptor) = Board::create(1, 1).unwrap();
        let process = board.process(0).unwrap();
        process.assign();
        process.set_pid(7);
        let was_accepted = |number| process.was_accepted(7, 511, number);
        let mark = process.mark(511).unwrap();
        let first = mark.begin() + 1;
        assert!(!was_accepted(first) && was_accepted(first + 1), "only one can have been sent");
        mark.accept(first);
        assert!(was_accepted(first));
        mark.finish(first);
        assert!(was_accepted(first) && !was_accepted(first + 1));
        mark.close();
        assert!(!was_accepted(first + 1));
        assert!(process.mark(512).is_none() && process.was_accepted(7, 512, 1));
    }

    #[test]
    fn a_slot_that_is_given_away_tells_nothing() {
        let (board, _descriptor) = Board::create(1, 1).unwrap();
        let process = board.process(0).unwrap();
        process.assign();
        process.set_pid(7);
        let first = process.mark(3).unwrap().begin() + 1;
        process.assign();
        assert!(process.was_accepted(7, 3, first), "nobody has the mark");
        // The next process's connection of the same number is as far as that of the one before it.
        assert_eq!(process.mark(3).unwrap().begin() + 1, first);
        process.set_pid(8);
        assert!(process.was_accepted(7, 3, first) && !process.was_accepted(8, 3, first));
    }

    #[test]
    fn an_epoch_ends_when_a_later_one_begins() {
        let (board, _descriptor) = Board::create(1, 1).unwrap();
        let [first, second, third] = [(); 3].map(|()| board.next_epoch());
        board.begin_epoch(first);
        assert!(!board.is_past(first) && !board.is_past(second));
        // The second supervisor died before its workers were ready.
        board.begin_epoch(third);
        assert!(board.is_past(first) && board.is_past(second) && !board.is_past(third));
    }

    #[test]
    fn the_status_of_the_dead_is_kept() {
        let (board, _descriptor) = Board::create(1, 1).unwrap();
        let process = board.process(0).unwrap();
        process.assign();
        process.set_pid(7);
        process.bury(9);
        assert_eq!((process.pid(), process.state(), process.wait_status()), (7, State::Dead, 9));
    }

    #[test]
    fn a_board_that_was_written_over_is_restored() {
        let (board, descriptor) = Board::create(2, 3).unwrap();
        board.memory.words().iter().for_each(|word| word.store(u32::MAX, Ordering::Relaxed));
        assert!(Board::open(descriptor.as_fd()).is_err());
        board.restore();
        let other = Board::open(descriptor.as_fd()).unwrap();
        assert_eq!((other.processes(), other.threads()), (2, 3));
    }

    #[test]
    fn a_board_of_another_shape_is_refused() {
        let (_words, descriptor) = SharedWords::create(HEADER + PROCESS).unwrap();
        assert!(Board::open(descriptor.as_fd()).is_err());
    }
}
