//! A connection to a worker as a socket: a blocking stream with a bound to each wait, and descriptors beside the bytes.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags,
    SocketAddrUnix, SocketFlags, SocketType, connect, recvmsg, send, socket_with,
};

/// Descriptors that can come with one read. More than one is an offence already.
const MOST_DESCRIPTORS: usize = 2;

/// A connected socket.
#[derive(Debug)]
pub struct Socket(OwnedFd);

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

/// What a read brought.
#[derive(Debug)]
pub struct Received {
    /// Bytes at the start of the buffer; 0 is the end.
    pub count: usize,
    /// The descriptor that came with them.
    pub enclosed: Enclosed,
}

/// The descriptors that came with the bytes of a read.
#[derive(Debug)]
pub enum Enclosed {
    /// None.
    Nothing,
    /// One.
    Descriptor(OwnedFd),
    /// More than one, which are closed.
    TooMany,
    /// One, which this process could not be given: it has as many as it may have.
    Lost,
}

impl Enclosed {
    /// Of those that could be had, when the kernel says that these were not all.
    fn of(mut descriptors: impl Iterator<Item = OwnedFd>, is_cut: bool) -> Self {
        let first = descriptors.next();
        let count = usize::from(first.is_some()) + descriptors.count();
        match first {
            // There was room for more: it is not for their number that some are missing.
            _ if is_cut && count < MOST_DESCRIPTORS => Self::Lost,
            _ if is_cut || count > 1 => Self::TooMany,
            Some(descriptor) => Self::Descriptor(descriptor),
            None => Self::Nothing,
        }
    }
}

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
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(|error| ConnectError::Socket(error.into()))?;
        // unix(7): a full queue is `EAGAIN` where a blocking socket would wait.
        loop {
            match connect(&socket, address) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(ConnectError::QueueFull),
                Err(Errno::CONNREFUSED) => return Err(ConnectError::Refused),
                Err(error) => return Err(ConnectError::Other(error.into())),
            }
        }
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
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC
            | if wait == Wait::Never { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
        let received = loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(buffer)], &mut ancillary, flags) {
                Err(Errno::INTR) => {}
                result => break result?,
            }
        };
        let descriptors = ancillary
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(rights) => Some(rights),
                _ => None,
            })
            .flatten();
        let enclosed = Enclosed::of(descriptors, received.flags.contains(ReturnFlags::CTRUNC));
        Ok(Received { count: received.bytes, enclosed })
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
    let mut entries = [PollFd::from_borrowed_fd(connection, PollFlags::empty())];
    let polled = poll(&mut entries, Some(&Timespec::default()));
    polled.is_ok() && entries[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_one_or_a_problem() {
        let enclosed = |count, is_cut| {
            let descriptors = (0..count).map(|_| std::io::pipe().unwrap().0.into());
            Enclosed::of(descriptors, is_cut)
        };
        assert!(matches!(enclosed(0, false), Enclosed::Nothing));
        assert!(matches!(enclosed(1, false), Enclosed::Descriptor(_)));
        assert!(matches!(enclosed(2, false), Enclosed::TooMany));
        assert!(matches!(enclosed(2, true), Enclosed::TooMany));
        assert!(matches!(enclosed(0, true), Enclosed::Lost));
        assert!(matches!(enclosed(1, true), Enclosed::Lost));
    }
}
