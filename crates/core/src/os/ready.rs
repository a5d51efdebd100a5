//! What can be done with a descriptor at this moment (`poll(2)`), without waiting.

#![forbid(unsafe_code)]

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Those of `events` that are there now, and its end, which always counts; none when the system does not say.
#[inline]
pub fn ready(descriptor: impl AsFd, events: PollFlags) -> PollFlags {
    let mut polled = [PollFd::new(&descriptor, events)];
    match poll(&mut polled, Some(&Timespec::default())) {
        Ok(_) => polled[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_pipe_has_room_then_bytes_then_an_end() {
        let (read, mut write) = std::io::pipe().unwrap();
        assert_eq!(ready(&write, PollFlags::OUT), PollFlags::OUT);
        assert_eq!(ready(&read, PollFlags::IN), PollFlags::empty());
        write.write_all(b"x").unwrap();
        assert_eq!(ready(&read, PollFlags::IN), PollFlags::IN);
        drop(write);
        assert_eq!(ready(&read, PollFlags::empty()), PollFlags::HUP);
    }
}
