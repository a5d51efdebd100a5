//! Who may use a connection: one thread at a time, told by an event, and no event is lost while another one has it.

use std::sync::atomic::{AtomicU8, Ordering};

const FREE: u8 = 0;
const TAKEN: u8 = 1;
/// Taken, and something has happened since.
const AGAIN: u8 = 2;

/// The right to use a connection. Made taken.
#[derive(Debug)]
pub struct Claim(AtomicU8);

impl Default for Claim {
    fn default() -> Self {
        Self(AtomicU8::new(TAKEN))
    }
}

impl Claim {
    /// Something has happened on the connection: takes it. When another thread has it, that one will look again before it
    /// lets go.
    #[inline]
    pub fn take(&self) -> bool {
        let mut state = FREE;
        loop {
            let next = if state == FREE { TAKEN } else { AGAIN };
            match self.0.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return state == FREE,
                Err(current) => state = current,
            }
        }
    }

    /// Takes it when nobody has it; leaves no trace otherwise.
    pub fn take_if_free(&self) -> bool {
        self.0.compare_exchange(FREE, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Lets go of it. False when something has happened meanwhile: then it is still taken, and there may be something to read.
    #[inline]
    pub fn release(&self) -> bool {
        let released = self.0.compare_exchange(TAKEN, FREE, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if !released {
            self.0.store(TAKEN, Ordering::Relaxed);
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn what_happens_while_it_is_taken_is_seen_before_it_is_let_go() {
        let claim = Claim::default();
        assert!(!claim.take_if_free());
        assert!(claim.release() && claim.take());
        assert!(!claim.take() && !claim.take(), "another one's");
        assert!(!claim.release(), "look again");
        assert!(claim.release() && claim.take_if_free());
        assert!(claim.release());
    }

    #[test]
    fn no_event_is_lost_and_nobody_has_company() {
        const EVENTS: usize = 20_000;
        let claim = Claim::default();
        assert!(claim.release());
        let (pending, seen, inside) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..EVENTS {
                        pending.fetch_add(1, Ordering::SeqCst);
                        if claim.take() {
                            loop {
                                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                                seen.fetch_add(pending.swap(0, Ordering::SeqCst), Ordering::SeqCst);
                                inside.fetch_sub(1, Ordering::SeqCst);
                                if claim.release() {
                                    break;
                                }
                            }
                        }
                    }
                });
            }
        });
        assert_eq!((pending.into_inner(), seen.into_inner()), (0, 3 * EVENTS));
    }
}
