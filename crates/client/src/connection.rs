//! A connection to a worker, and whether it can take another request.

use oxwsgi_core::daemon::board::{Board, Mark, Process, State};
use oxwsgi_core::wire::{Hello, LAST_SEQUENCE};

use crate::ending::Ending;

/// A connection that has been made; whose it is says the first thing that comes on it. What `S` is depends on how its
/// server waits.
#[derive(Debug)]
pub struct Connection<S> {
    /// Its socket.
    pub socket: S,
    /// Who has taken it.
    pub hello: Option<Hello>,
    /// The number of the last request on it; 0 is none yet.
    pub sequence: u32,
}

/// Whether a connection can take a request.
#[derive(Clone, Copy, Debug)]
pub enum Readiness<'a> {
    /// It can, if this process has a thread to spare.
    Waiting(Process<'a>),
    /// The worker is not quite done with the last one.
    NotYet,
    /// It never will.
    Gone,
}

impl<S> Connection<S> {
    /// A new one.
    pub const fn new(socket: S) -> Self {
        Self { socket, hello: None, sequence: 0 }
    }

    /// Slot and number of the process that has it.
    pub fn owner(&self) -> Option<(u32, u32)> {
        self.hello.map(|hello| (hello.slot, hello.pid))
    }

    /// The process that has it, if that is still there.
    #[inline]
    pub fn process<'a>(&self, board: &'a Board) -> Option<Process<'a>> {
        let hello = self.hello?;
        board.process(hello.slot).filter(|process| process.pid() == hello.pid)
    }

    /// The number that its mark has for the last request, once it is known whose mark that is.
    fn number(&self) -> Option<u32> {
        self.hello.map(|hello| hello.base + self.sequence)
    }

    /// Whether it can take a request after the last one.
    #[inline]
    pub fn readiness<'a>(&self, board: &'a Board) -> Readiness<'a> {
        let Some((number, process)) = self.number().zip(self.process(board)) else { return Readiness::Gone };
        match self.mark(&process) {
            Some(mark) if process.state() == State::Ready && number < LAST_SEQUENCE => {
                if mark.is_waiting_after(number) {
                    Readiness::Waiting(process)
                } else if mark.is_over(number) {
                    Readiness::Gone
                } else {
                    Readiness::NotYet
                }
            }
            _ => Readiness::Gone,
        }
    }

    fn mark<'a>(&self, process: &Process<'a>) -> Option<Mark<'a>> {
        process.mark(self.hello?.connection)
    }

    /// Whether the worker is seen to have ended, or to have closed the connection, though somebody may hold its end of it
    /// open: a child that the application has left behind.
    pub fn has_ended(&self, board: &Board) -> bool {
        let Some((hello, number)) = self.hello.zip(self.number()) else { return false };
        let is_over = |process: Process<'_>| self.mark(&process).is_some_and(|mark| mark.is_over(number));
        Ending::has_come(board, hello) || board.process(hello.slot).is_some_and(is_over)
    }

    /// Whether the application was called for the last request, now that the connection is broken.
    pub fn was_accepted(&self, board: Option<&Board>) -> bool {
        // A worker says who it is before it reads anything.
        let Some((hello, number)) = self.hello.zip(self.number()) else { return false };
        let process = board.and_then(|board| board.process(hello.slot));
        process.is_none_or(|process| process.was_accepted(hello.pid, hello.connection, number))
    }

    /// Gives back the ticket of a request that the worker has got nothing of.
    pub fn return_unused_ticket(&self, board: &Board) {
        if let Some(process) = self.process(board).filter(|process| process.state() == State::Ready) {
            process.give_ticket();
        }
    }

    /// After the worker has closed the connection without having looked at the last request: gives back the ticket that
    /// was taken for it. No thread will.
    pub fn return_ticket(&self, board: &Board) {
        if let Some((process, number)) = self.process(board).zip(self.number())
            && process.state() != State::Dead
            && self.mark(&process).is_some_and(|mark| mark.is_closed_before(number))
        {
            process.give_ticket();
        }
    }
}
