//! Facts about a file descriptor that somebody else owns.

#![allow(unsafe_code, reason = "system calls on a descriptor number")]

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// Size in bytes of the regular file behind `descriptor`; none when it is not a regular file (a pipe, a socket).
pub fn regular_size(descriptor: i32) -> io::Result<Option<u64>> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel checks the number and writes one `stat`.
    if unsafe { libc::fstat(descriptor, status.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: written by the call above, which succeeded.
    let status = unsafe { status.assume_init() };
    Ok((status.st_mode & libc::S_IFMT == libc::S_IFREG).then_some(status.st_size.unsigned_abs()))
}

/// The file position, in bytes.
pub fn position(descriptor: i32) -> io::Result<i64> {
    seek(descriptor, 0, libc::SEEK_CUR)
}

/// Sets the file position, in bytes from the start.
pub fn set_position(descriptor: i32, position: i64) -> io::Result<()> {
    seek(descriptor, position, libc::SEEK_SET).map(drop)
}

fn seek(descriptor: i32, offset: i64, from: i32) -> io::Result<i64> {
    // SAFETY: plain numbers, which the kernel checks.
    let position = unsafe { libc::lseek(descriptor, offset, from) };
    if position < 0 { Err(io::Error::last_os_error()) } else { Ok(position) }
}

/// Reads bytes from this place of a file, whatever its position is; 0 is the end.
pub fn read_at(descriptor: i32, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let offset = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    loop {
        // SAFETY: the kernel checks the numbers, and writes no more than the buffer's length into it.
        let count = unsafe { libc::pread(descriptor, buffer.as_mut_ptr().cast(), buffer.len(), offset) };
        match usize::try_from(count) {
            Ok(count) => return Ok(count),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Sends bytes over a unix socket, and a descriptor with the first of them; says how many bytes were sent.
pub fn pass(socket: impl AsFd, bytes: &[u8], descriptor: i32) -> io::Result<usize> {
    if descriptor < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: a number that is not negative, which the kernel checks; used for the call below only.
    let descriptors = [unsafe { BorrowedFd::borrow_raw(descriptor) }];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    loop {
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        // There is room for one.
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        match sendmsg(&socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            sent => return Ok(sent?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn tells_a_file_from_a_pipe() {
        let file = File::open("/proc/self/exe").expect("every process has an executable");
        assert_eq!(regular_size(file.as_raw_fd()).unwrap(), Some(file.metadata().unwrap().len()));
        let (reader, _writer) = io::pipe().expect("a pipe");
        assert_eq!(regular_size(reader.as_raw_fd()).unwrap(), None);
        assert!(regular_size(-1).is_err());
    }

    #[test]
    fn a_descriptor_is_passed() {
        let (one, two) = crate::os::packet::pair().unwrap();
        let file = File::open("/proc/self/exe").expect("every process has an executable");
        assert_eq!(pass(&one, b"abc", file.as_raw_fd()).unwrap(), 3);
        let packet =
            crate::os::packet::receive(&two, &mut [0; 8], 1, crate::os::packet::Wait::Never).unwrap();
        let size = regular_size(packet.descriptors[0].as_raw_fd()).unwrap();
        assert_eq!((packet.length, size), (3, Some(file.metadata().unwrap().len())));
        assert!(pass(&one, b"x", -1).is_err() && pass(&one, b"x", 9999).is_err());
    }

    #[test]
    fn any_place_of_a_file_can_be_read() {
        let file = File::open("/proc/self/exe").expect("every process has an executable");
        let mut buffer = [0; 3];
        assert_eq!(read_at(file.as_raw_fd(), &mut buffer, 1).unwrap(), 3);
        assert_eq!(&buffer, b"ELF");
        assert_eq!(read_at(file.as_raw_fd(), &mut buffer, 1 << 40).unwrap(), 0);
        assert_eq!(position(file.as_raw_fd()).unwrap(), 0);
        assert!(
            read_at(-1, &mut buffer, 0).is_err() && read_at(file.as_raw_fd(), &mut buffer, u64::MAX).is_err()
        );
    }

    #[test]
    fn the_position_can_be_put_back() {
        let file = File::open("/proc/self/exe").expect("every process has an executable");
        set_position(file.as_raw_fd(), 7).unwrap();
        assert_eq!(position(file.as_raw_fd()).unwrap(), 7);
    }
}
