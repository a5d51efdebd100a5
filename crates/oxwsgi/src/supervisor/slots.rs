//! Which process slots of a group's board are taken. What the board itself says is a site's word, believed only of processes
//! that an earlier supervisor started, and only so far that their slots are left alone while such a process is there.

#![forbid(unsafe_code)]

use std::time::Instant;

use oxwsgi_core::daemon::board::{Board, State};
use oxwsgi_core::os::{WaitStatus, is_running};

/// The slots of one board, in its order.
#[derive(Debug)]
pub struct Slots(Vec<Slot>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Free,
    /// A process of ours.
    Own,
    /// A process of an earlier supervisor.
    Orphan(u32),
    /// Its process has ended; how is still to be read from the board.
    Dead(Instant),
}

impl Slots {
    /// The slots of a board, new or of an earlier supervisor.
    pub fn of(board: &Board, now: Instant) -> Self {
        let slot = |process: oxwsgi_core::daemon::board::Process<'_>| match process.state() {
            State::Free => Slot::Free,
            State::Dead => Slot::Dead(now),
            // Without a number it was never told what to be.
            State::Starting | State::Ready | State::Ending => match process.pid() {
                0 => Slot::Free,
                pid => Slot::Orphan(pid),
            },
        };
        let mut slots = Self(board.all().map(|(_, process)| slot(process)).collect());
        slots.bury_orphans(board, now);
        slots
    }

    /// Takes a slot for a process: one that was never used, or else the one whose process has been dead for longest.
    pub fn take(&mut self) -> Option<u32> {
        let age = |slot: &Slot| match slot {
            Slot::Free => Some(None),
            Slot::Dead(since) => Some(Some(*since)),
            Slot::Own | Slot::Orphan(_) => None,
        };
        let (index, _) = self
            .0
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| Some((index, age(slot)?)))
            .min_by_key(|(_, age)| *age)?;
        self.0[index] = Slot::Own;
        u32::try_from(index).ok()
    }

    /// The process of a slot that was taken has ended.
    pub fn bury(&mut self, slot: u32, now: Instant) {
        self.0[slot as usize] = Slot::Dead(now);
    }

    /// Whether there are processes of an earlier supervisor.
    pub fn has_orphans(&self) -> bool {
        self.0.iter().any(|slot| matches!(slot, Slot::Orphan(_)))
    }

    /// Looks for processes of an earlier supervisor that are gone, and says so on the board. Nobody could wait for them. Gives
    /// their numbers.
    pub fn bury_orphans(&mut self, board: &Board, now: Instant) -> Vec<u32> {
        let mut gone = Vec::new();
        for (slot, (_, process)) in self.0.iter_mut().zip(board.all()) {
            match *slot {
                Slot::Orphan(pid) if !is_running(pid) => {
                    process.bury(WaitStatus::UNKNOWN.0);
                    *slot = Slot::Dead(now);
                    gone.push(pid);
                }
                _ => {}
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn unused_slots_come_first_then_the_longest_dead() {
        let (board, _descriptor) = Board::create(3, 1).unwrap();
        let now = Instant::now();
        let mut slots = Slots::of(&board, now);
        assert_eq!([(); 4].map(|()| slots.take()), [Some(0), Some(1), Some(2), None]);
        slots.bury(2, now);
        slots.bury(0, now + Duration::from_secs(1));
        assert_eq!([(); 3].map(|()| slots.take()), [Some(2), Some(0), None]);
    }

    #[test]
    fn slots_of_living_orphans_are_left_alone() {
        let (board, _descriptor) = Board::create(4, 1).unwrap();
        for (slot, pid) in [(0, std::process::id()), (1, 0x7fff_fff0), (2, 0)] {
            board.process(slot).unwrap().assign();
            board.process(slot).unwrap().set_pid(pid);
        }
        let mut slots = Slots::of(&board, Instant::now());
        assert!(slots.has_orphans());
        assert_eq!(board.process(0).unwrap().state(), State::Starting);
        let gone = board.process(1).unwrap();
        assert_eq!((gone.state(), gone.wait_status()), (State::Dead, WaitStatus::UNKNOWN.0));
        assert_eq!([(); 4].map(|()| slots.take()), [Some(2), Some(3), Some(1), None]);
    }
}
