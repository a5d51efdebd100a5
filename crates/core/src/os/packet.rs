//! Packets with descriptors beside them, on `SOCK_SEQPACKET` sockets: what server, supervisor and workers talk with.

#![forbid(unsafe_code)]

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// Descriptors beside one packet, at most.
pub const MOST_DESCRIPTORS: usize = 4;

/// Whether a call waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// As the socket is set.
    Socket,
    /// Never: [`WouldBlock`](io::ErrorKind::WouldBlock) instead.
    Never,
}

/// A packet that came.
#[derive(Debug)]
pub struct Packet {
    /// How many bytes of the buffer it fills; 0 is the end of the connection.
    pub length: usize,
    /// What came with it, close-on-exec, in order.
    pub descriptors: Vec<OwnedFd>,
    /// It was longer than the buffer, or brought descriptors that were not asked for; what did not fit is gone.
    pub truncated: bool,
}

/// Two connected sockets, close-on-exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one packet, with at most [`MOST_DESCRIPTORS`] descriptors. A peer that is gone is an error and no signal.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>], wait: Wait) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags =
        SendFlags::NOSIGNAL | if wait == Wait::Never { SendFlags::DONTWAIT } else { SendFlags::empty() };
    loop {
        match sendmsg(&socket, &[IoSlice::new(bytes)], &mut ancillary, flags) {
            // A packet is sent whole or not at all.
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Receives one packet, with at most `descriptors` (up to [`MOST_DESCRIPTORS`]) beside it. With 0 none can come in: the
/// kernel drops what a peer that is not trusted sends along.
pub fn receive(socket: impl AsFd, buffer: &mut [u8], descriptors: usize, wait: Wait) -> io::Result<Packet> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let room = if descriptors == 0 { &mut [][..] } else { &mut space[..] };
    let mut ancillary = RecvAncillaryBuffer::new(room);
    let flags =
        RecvFlags::CMSG_CLOEXEC | if wait == Wait::Never { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
    let received = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, flags) {
            Err(rustix::io::Errno::INTR) => {}
            result => break result?,
        }
    };
    let mut came = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            came.extend(rights);
        }
    }
    let mut truncated = received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    if came.len() > descriptors {
        came.truncate(descriptors);
        truncated = true;
    }
    Ok(Packet { length: received.bytes, descriptors: came, truncated })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::*;

    #[test]
    fn packets_keep_their_bounds_and_bring_descriptors() {
        let (one, two) = pair().unwrap();
        let (pipe, writer) = io::pipe().unwrap();
        send(&one, b"first", &[pipe.as_fd(), one.as_fd()], Wait::Socket).unwrap();
        send(&one, b"second", &[], Wait::Socket).unwrap();
        let mut buffer = [0; 64];
        let mut first = receive(&two, &mut buffer, 2, Wait::Socket).unwrap();
        assert_eq!(
            (&buffer[..first.length], first.descriptors.len(), first.truncated),
            (&b"first"[..], 2, false)
        );
        drop((pipe, writer));
        let mut pipe = File::from(first.descriptors.remove(0));
        assert_eq!(pipe.read(&mut buffer).unwrap(), 0, "the write end is closed");
        let second = receive(&two, &mut buffer, 2, Wait::Socket).unwrap();
        assert_eq!((&buffer[..second.length], second.descriptors.len()), (&b"second"[..], 0));
    }

    #[test]
    fn what_was_not_asked_for_does_not_come_in() {
        let (one, two) = pair().unwrap();
        let mut buffer = [0; 4];
        for asked in [0, 1] {
            send(&one, b"x", &[one.as_fd(), two.as_fd()], Wait::Socket).unwrap();
            let packet = receive(&two, &mut buffer, asked, Wait::Socket).unwrap();
            assert_eq!((packet.length, packet.descriptors.len(), packet.truncated), (1, asked, true));
        }
        send(&one, b"longer", &[], Wait::Socket).unwrap();
        assert!(receive(&two, &mut buffer, 0, Wait::Socket).unwrap().truncated);
    }

    #[test]
    fn an_end_is_no_packet_and_nothing_waits_unasked() {
        let (one, two) = pair().unwrap();
        let mut buffer = [0; 4];
        let empty = receive(&two, &mut buffer, 0, Wait::Never).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        drop(one);
        assert_eq!(receive(&two, &mut buffer, 0, Wait::Never).unwrap().length, 0);
        assert_eq!(send(&two, b"x", &[], Wait::Never).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
