//! Waits for many descriptors at once (`epoll(7)`); each is known by a number of the caller's choice.

#![forbid(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll;

/// Events of one [`wait`](Poller::wait).
const MOST_EVENTS: usize = 128;

/// The descriptors that are waited for.
#[derive(Debug)]
pub struct Poller(OwnedFd);

impl Poller {
    /// Waits for nothing yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// Waits for `descriptor` to be readable or at its end, as long as it is. It must be [removed](Self::remove) before it is
    /// closed: a copy in another process would keep it there.
    pub fn add(&self, descriptor: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.0, descriptor, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?)
    }

    /// Waits for it no longer.
    pub fn remove(&self, descriptor: impl AsFd) {
        // It was added, so there is nothing that could be done about a failure.
        let _ = epoll::delete(&self.0, descriptor);
    }

    /// The numbers of those that are readable; none when a signal came, or after `timeout`, rounded up to milliseconds.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<u64>> {
        let timeout = timeout.map(|timeout| {
            let milliseconds = timeout.as_micros().div_ceil(1000).min(i32::MAX as u128) as i64;
            Timespec { tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000 }
        });
        let mut events = [const { MaybeUninit::uninit() }; MOST_EVENTS];
        match epoll::wait(&self.0, &mut events, timeout.as_ref()) {
            Ok((events, _)) => Ok(events.iter().map(|event| event.data.u64()).collect()),
            Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_readable_is_told_until_removed() {
        let poller = Poller::new().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        poller.add(&reader, 7).unwrap();
        assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap(), []);
        writer.write_all(b"x").unwrap();
        assert_eq!(poller.wait(None).unwrap(), [7]);
        drop(writer);
        assert_eq!(poller.wait(None).unwrap(), [7]);
        poller.remove(&reader);
        assert_eq!(poller.wait(Some(Duration::from_micros(1))).unwrap(), []);
    }
}
