//! What a read from a worker brings: bytes, and descriptors beside them.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};

/// Descriptors that can come with one read. More than one is an offence already.
const MOST_DESCRIPTORS: usize = 2;

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

/// Reads into `room`, one part after the other. A read ends behind bytes that a descriptor has come with, though there may be
/// more.
#[inline]
pub fn receive(
    socket: BorrowedFd<'_>,
    room: &mut [IoSliceMut<'_>],
    flags: RecvFlags,
) -> Result<Received, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(socket, room, &mut ancillary, flags | RecvFlags::CMSG_CLOEXEC) {
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
