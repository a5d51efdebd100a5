//! What the supervisor tells a new worker to be.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use oxwsgi_core::daemon::board::Board;
use oxwsgi_core::daemon::bootstrap::CONTROL;
use oxwsgi_core::daemon::{Group, Server, ToWorker, decode};
use oxwsgi_core::os::{inherited, packet};

/// The longest orders, in bytes: a group may have many scripts to load, and the supervisor is no stranger.
const LONGEST: usize = 1 << 20;

/// The content of [`ToWorker::Start`], and what came with it.
#[derive(Debug)]
pub struct Orders {
    /// The group.
    pub group: Group,
    /// Facts for the application.
    pub server: Server,
    /// The slot of the board that is this process's.
    pub slot: u32,
    /// The epoch of the board in which it was started.
    pub epoch: u32,
    /// The users that may connect.
    pub peers: Vec<u32>,
    /// Where requests queue.
    pub listener: OwnedFd,
    /// The group's counters.
    pub board: Board,
}

/// What comes with the orders and is not part of them.
#[derive(Debug)]
pub struct Lines {
    /// The socket that they came over.
    pub control: OwnedFd,
    /// Ends with the server.
    pub life: OwnedFd,
}

impl Orders {
    /// Waits for the orders.
    pub fn receive() -> Result<(Self, Lines), String> {
        let wrong = |error: io::Error| {
            format!(
                "WSGI1023: A daemon process is started by oxwsgi's supervisor, and not like this: {error}"
            )
        };
        let control = inherited(CONTROL).map_err(wrong)?;
        let mut buffer = vec![0; LONGEST];
        let packet = packet::receive(&control, &mut buffer, 4, packet::Wait::Socket).map_err(wrong)?;
        let message = if packet.truncated { None } else { decode(&buffer[..packet.length]) };
        let descriptors = <[OwnedFd; 4]>::try_from(packet.descriptors);
        let (Some(ToWorker::Start { group, server, slot, epoch, peers }), Ok([listener, board, life, drain])) =
            (message, descriptors)
        else {
            return Err(wrong(io::Error::other("the first message is not what it must be")));
        };
        let board = Board::open(board.as_fd()).map_err(wrong)?.draining_with(drain);
        if board.process(slot).is_none() {
            return Err(wrong(io::Error::other("the board has no such slot")));
        }
        let orders = Self { group: *group, server, slot, epoch, peers, listener, board };
        Ok((orders, Lines { control, life }))
    }
}
