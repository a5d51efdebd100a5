//! Sends bytes from several places over a stream socket.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};

/// Sends `parts`, and leaves of them what is not sent: nothing, but when the call must not wait and would have to, or fails.
pub fn transmit(socket: BorrowedFd<'_>, parts: &mut &mut [IoSlice<'_>], flags: SendFlags) -> io::Result<()> {
    let flags = flags | SendFlags::NOSIGNAL;
    // Leaves out what is empty at the start.
    IoSlice::advance_slices(parts, 0);
    while let Some(first) = parts.first() {
        let sent = if parts.len() == 1 {
            send(socket, first, flags)
        } else {
            sendmsg(socket, parts, &mut SendAncillaryBuffer::default(), flags)
        };
        match sent {
            Ok(sent) => IoSlice::advance_slices(parts, sent),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if flags.contains(SendFlags::DONTWAIT) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
