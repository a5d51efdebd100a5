//! A connection to a worker, and whether it can take another request.

use oxwsgi_core::daemon::board::{Board, Process, State};
use oxwsgi_core::wire::{Hello, LAST_SEQUENCE};

use crate::socket::Socket;

/// A connection that has been made; whose it is says the first thing that comes on it.
#[derive(Debug)]
pub struct Connection {
    /// Its socket.
    pub socket: Socket,
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

impl Connection {
    /// A new one.
    pub const fn new(socket: Socket) -> Self {
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

    /// Whether it can take a request after the last one.
    #[inline]
    pub fn readiness<'a>(&self, board: &'a Board) -> Readiness<'a> {
        let Some((hello, process)) = self.hello.zip(self.process(board)) else { return Readiness::Gone };
        match process.mark(hello.connection) {
            Some(mark) if process.state() == State::Ready && self.sequence < LAST_SEQUENCE => {
                if mark.is_waiting_after(self.sequence) {
                    Readiness::Waiting(process)
                } else if mark.is_closed() {
                    Readiness::Gone
                } else {
                    Readiness::NotYet
                }
            }
            _ => Readiness::Gone,
        }
    }

    /// Whether the application was called for the last request, now that the connection is broken.
    pub fn was_accepted(&self, board: Option<&Board>) -> bool {
        // A worker says who it is before it reads anything.
        let Some(hello) = self.hello else { return false };
        let process = board.and_then(|board| board.process(hello.slot));
        process.is_none_or(|process| process.was_accepted(hello.pid, hello.connection, self.sequence))
    }

    /// After the worker has closed the connection without having looked at the last request: gives back the ticket that
    /// was taken for it. No thread will.
    pub fn return_ticket(&self, board: &Board) {
        if let Some((process, hello)) = self.process(board).zip(self.hello)
            && process.state() != State::Dead
            && process.mark(hello.connection).is_some_and(|mark| mark.is_closed())
        {
            process.give_ticket();
        }
    }
}
