//! The group's queue: its listening socket, shared with the other processes. A thread takes a connection out of it only with a
//! ticket of its own process, so that requests wait in the queue as long as no thread of the group is free.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use oxwsgi_core::daemon::board::Process;
use oxwsgi_core::os::withheld::{self, Connected};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

/// The queue.
#[derive(Debug)]
pub struct Queue {
    listener: OwnedFd,
    /// How often somebody has joined it, as far as that was told.
    joined: AtomicU64,
    /// What that was when there was nobody in it.
    empty: AtomicU64,
    /// Nobody can be taken out of it at present, and that was told.
    is_stuck: AtomicBool,
}

/// Who came out of the queue.
#[derive(Debug)]
pub enum Next {
    /// A connection, and a ticket for its first request.
    Connection(Connected),
    /// Nobody is in it by now.
    Nobody,
    /// Perhaps somebody; a ticket cannot be had now.
    NotNow,
    /// The system takes nobody out of it. Told once, until it does again; in between it is [`NotNow`](Self::NotNow).
    Stuck(Errno),
}

impl Queue {
    /// The queue behind a listening socket.
    pub fn new(listener: OwnedFd) -> io::Result<Self> {
        // All processes of the group are told of a connection, and one gets it.
        rustix::io::ioctl_fionbio(&listener, true)?;
        withheld::withhold(listener.as_raw_fd())?;
        Ok(Self {
            listener,
            joined: AtomicU64::new(0),
            empty: AtomicU64::new(0),
            is_stuck: AtomicBool::new(false),
        })
    }

    /// Somebody has joined it.
    pub fn note(&self) {
        self.joined.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether somebody may be in it.
    #[inline]
    pub fn is_waited_in(&self) -> bool {
        self.joined.load(Ordering::SeqCst) > self.empty.load(Ordering::SeqCst)
    }

    /// Takes the first out.
    pub fn next(&self, process: &Process<'_>) -> Next {
        // Before the look: who joins after it is told of.
        let joined = self.joined.load(Ordering::SeqCst);
        let nobody = || {
            self.empty.fetch_max(joined, Ordering::SeqCst);
            Next::Nobody
        };
        let mut polled = [PollFd::new(&self.listener, PollFlags::IN)];
        // A look that takes no ticket: nobody is to find one missing for nothing.
        if poll(&mut polled, Some(&Timespec::default())) == Ok(0) {
            return nobody();
        }
        if !process.take_ticket() {
            return Next::NotNow;
        }
        match accept_with(&self.listener, SocketFlags::CLOEXEC) {
            Ok(socket) => {
                self.is_stuck.store(false, Ordering::Relaxed);
                Next::Connection(Connected::new(socket))
            }
            Err(error) => {
                process.give_ticket();
                match error {
                    // Another process was faster.
                    Errno::AGAIN => nobody(),
                    // Somebody has left again.
                    Errno::CONNABORTED | Errno::INTR => Next::NotNow,
                    _ if self.is_stuck.swap(true, Ordering::Relaxed) => Next::NotNow,
                    error => Next::Stuck(error),
                }
            }
        }
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}
