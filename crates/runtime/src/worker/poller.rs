//! The one place where a worker's threads wait for requests: the group's queue, the connections, and the word that it is over.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use oxwsgi_core::os::withheld;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};

const WAKE: u64 = u64::MAX;
const QUEUE: u64 = u64::MAX - 1;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing, for as long as was to be waited.
    Nothing,
    /// [`Poller::wake`] was called.
    Wake,
    /// Somebody has joined the queue.
    Queue,
    /// There is something to read on the connection of this number, or it has ended.
    Connection(u32),
}

/// Waits for events; each is told once, to one thread.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
    wake: OwnedFd,
}

impl Poller {
    /// Watches the group's queue.
    pub fn new(queue: impl AsFd) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        // Every process of the group is told of every connection: were it one alone, it could be one without a free thread.
        epoll::add(&epoll, queue, EventData::new_u64(QUEUE), EventFlags::IN | EventFlags::ET)?;
        withheld::withhold(epoll.as_raw_fd())?;
        Ok(Self { epoll, wake })
    }

    /// Watches a connection as well. What there is to read already counts.
    pub fn add(&self, number: u32, socket: impl AsFd) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(number.into()), flags)?)
    }

    /// Tells of nothing on a connection that is watched, but its end.
    pub fn mute(&self, number: u32, socket: impl AsFd) -> io::Result<()> {
        let flags = EventFlags::ET;
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(number.into()), flags)?)
    }

    /// Undoes [`mute`](Self::mute). What there is to read by now counts.
    pub fn unmute(&self, number: u32, socket: impl AsFd) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::ET;
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(number.into()), flags)?)
    }

    /// The next event. Called by one thread at a time, the one that leads.
    #[inline]
    pub fn wait(&self, limit: Option<Duration>) -> Event {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut events = [MaybeUninit::uninit()];
        loop {
            let event = match epoll::wait(&self.epoll, &mut events, limit.as_ref()) {
                Ok((events, _)) => events.first().map(|event| event.data.u64()),
                // A signal for the main thread.
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => panic!("epoll cannot be waited for: {error}"),
            };
            return match event {
                None => Event::Nothing,
                Some(WAKE) => Event::Wake,
                Some(QUEUE) => Event::Queue,
                // Only numbers of connections are left.
                Some(number) => Event::Connection(number as u32),
            };
        }
    }

    /// Wakes the thread that waits, and each that waits after it.
    pub fn wake(&self) {
        // A counter that is full already says the same.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}
