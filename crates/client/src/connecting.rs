//! How a connection to a group is made: at once or not at all. For servers that wait and servers that do not.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// No socket can be had.
    Socket(io::Error),
    /// As many connections as the queue takes wait in it.
    QueueFull,
    /// Nobody listens there, at the moment.
    Refused,
    /// Anything else.
    Other(io::Error),
}

/// A socket that is not connected, and does not block.
pub fn open() -> Result<OwnedFd, ConnectError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(|error| ConnectError::Socket(error.into()))
}

/// Connects a socket; after a failure it may be tried again.
pub fn connect_to(socket: BorrowedFd<'_>, address: &SocketAddrUnix) -> Result<(), ConnectError> {
    // unix(7): a full queue is `EAGAIN` where a blocking socket would wait.
    loop {
        match connect(socket, address) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Err(ConnectError::QueueFull),
            Err(Errno::CONNREFUSED) => return Err(ConnectError::Refused),
            Err(error) => return Err(ConnectError::Other(error.into())),
        }
    }
}
