//! A log that may stand still: a pipe to a program, a socket, a terminal. What it does not take at once is refused, and nobody
//! waits for it.

#![forbid(unsafe_code)]

use std::os::fd::{AsRawFd, OwnedFd};

use oxwsgi_core::os::ready;
use rustix::event::PollFlags;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::SendFlags;

/// A log that may stand still.
#[derive(Debug)]
pub enum Pipe {
    /// Opened anew, so that it can be made one that never waits: what was inherited is the server's too.
    Own(OwnedFd),
    /// A socket, which is told each time.
    Socket(OwnedFd),
    /// Neither can be done, and it is asked before. Others may fill it in between.
    Shared(OwnedFd),
}

impl Pipe {
    /// The pipe, socket or character device behind an inherited descriptor.
    pub fn of(descriptor: OwnedFd, kind: FileType) -> Self {
        if kind == FileType::Socket {
            return Self::Socket(descriptor);
        }
        let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(own) => Self::Own(own),
            Err(_) => Self::Shared(descriptor),
        }
    }

    /// Writes a line, if all of it is taken at once; whether it was.
    pub fn put(&self, line: &[u8]) -> bool {
        let written = match self {
            Self::Own(pipe) => rustix::io::write(pipe, line),
            Self::Socket(socket) => {
                rustix::net::send(socket, line, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
            }
            Self::Shared(pipe) if self.has_room() => rustix::io::write(pipe, line),
            Self::Shared(_) => return false,
        };
        written == Ok(line.len())
    }

    /// Whether it says that it takes something; for a pipe that is `PIPE_BUF` (`pipe(7)`).
    pub fn has_room(&self) -> bool {
        let (Self::Own(descriptor) | Self::Socket(descriptor) | Self::Shared(descriptor)) = self;
        ready(descriptor, PollFlags::OUT).contains(PollFlags::OUT)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_full_one_takes_nothing_and_nobody_waits() {
        let (reader, writer) = std::io::pipe().unwrap();
        let (mut peer, socket) = UnixStream::pair().unwrap();
        let copy = writer.try_clone().unwrap();
        let own = Pipe::of(writer.into(), FileType::Fifo);
        assert!(matches!(own, Pipe::Own(_)), "{own:?}");
        let flags = rustix::fs::fcntl_getfl(&copy).unwrap();
        assert!(!flags.contains(OFlags::NONBLOCK), "the server's own descriptor still waits");
        let socket = Pipe::of(socket.into(), FileType::Socket);
        for pipe in [own, socket, Pipe::Shared(copy.into())] {
            let line = [b'x'; 3000];
            assert!((0..1000).any(|_| !pipe.put(&line)), "{pipe:?}");
        }
        drop(reader);
        assert_eq!(peer.read(&mut [0; 100]).unwrap(), 100);
    }
}
