//! A connection to a worker as a socket: a blocking stream with a bound to each wait, and descriptors beside the bytes.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use oxwsgi_core::os::ready;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendFlags, SocketAddrUnix, send};

use crate::connecting::{ConnectError, connect_to, open};
use crate::received::{Received, receive};

/// A connected socket.
#[derive(Debug)]
pub struct Socket(OwnedFd);

/// Whether a read waits for something to come, at most as long as the socket's own bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It does.
    Bounded,
    /// It does not.
    Never,
}

impl Socket {
    /// Connects at once or not at all. Reads will wait for `bound` at most, and then answer `WouldBlock`.
    pub fn connect(address: &SocketAddrUnix, bound: Duration) -> Result<Self, ConnectError> {
        let socket = open()?;
        connect_to(socket.as_fd(), address)?;
        let prepare =
            || ioctl_fionbio(&socket, false).and(set_socket_timeout(&socket, Timeout::Recv, Some(bound)));
        prepare().map_err(|error| ConnectError::Socket(error.into()))?;
        Ok(Self(socket))
    }

    /// Sends as much of `bytes` as there is room for, without waiting; none is `WouldBlock`.
    #[inline]
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match send(&self.0, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    /// Reads into `buffer`.
    #[inline]
    pub fn receive(&self, buffer: &mut [u8], wait: Wait) -> io::Result<Received> {
        let flags = if wait == Wait::Never { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
        Ok(receive(self.0.as_fd(), &mut [IoSliceMut::new(buffer)], flags)?)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What to wait for on a worker's socket, and on that of the server's client.
#[derive(Clone, Copy, Debug)]
pub struct Awaited<'a> {
    /// The worker's.
    pub worker: &'a Socket,
    /// Whether bytes from the worker end the wait.
    pub reply: bool,
    /// Whether room for bytes to the worker ends the wait.
    pub room: bool,
    /// Readable when more of the request's body may have come; `None` does not end the wait.
    pub body: Option<BorrowedFd<'a>>,
}

/// What a wait has ended with; nothing when its time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The worker has sent something, or has gone.
    pub reply: bool,
    /// There is room for bytes to the worker.
    pub room: bool,
    /// More of the body may have come.
    pub body: bool,
}

/// Waits for at most `limit`.
pub fn wait(awaited: Awaited<'_>, limit: Duration) -> io::Result<Ready> {
    let mut events = PollFlags::empty();
    events.set(PollFlags::IN, awaited.reply);
    events.set(PollFlags::OUT, awaited.room);
    let worker = PollFd::new(awaited.worker, events);
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    let waited = |entries: &mut [PollFd<'_>]| loop {
        match poll(entries, Some(&limit)) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error)),
        }
    };
    let has_come = |entry: &PollFd<'_>| {
        entry.revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
    };
    let has_room = |entry: &PollFd<'_>| entry.revents().contains(PollFlags::OUT);
    match awaited.body {
        None => {
            let mut entries = [worker];
            waited(&mut entries)?;
            Ok(Ready { reply: has_come(&entries[0]), room: has_room(&entries[0]), body: false })
        }
        Some(body) => {
            let mut entries = [worker, PollFd::from_borrowed_fd(body, PollFlags::IN)];
            waited(&mut entries)?;
            Ok(Ready {
                reply: has_come(&entries[0]),
                room: has_room(&entries[0]),
                body: has_come(&entries[1]),
            })
        }
    }
}

/// Waits for at most `limit` for room on the connection of the server's client, which it also says when that has broken;
/// and for bytes from it where `is_read`.
pub fn wait_for_client(connection: BorrowedFd<'_>, is_read: bool, limit: Duration) -> io::Result<Ready> {
    let mut events = PollFlags::OUT;
    events.set(PollFlags::IN, is_read);
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    let mut entries = [PollFd::from_borrowed_fd(connection, events)];
    match poll(&mut entries, Some(&limit)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let found = entries[0].revents();
    let room = found.intersects(PollFlags::OUT | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
    Ok(Ready { reply: false, room, body: found.contains(PollFlags::IN) })
}

/// Whether nobody is at the other end of a connection any more, in either direction. A client that has only said all it
/// has to say still waits for its reply.
pub fn is_broken(connection: BorrowedFd<'_>) -> bool {
    ready(connection, PollFlags::empty()).intersects(PollFlags::HUP | PollFlags::ERR)
}
