//! A revocable right to use an exchange.
//!
//! An application may keep `wsgi.input` or `write` after its request, or use them from a second thread during it. The
//! objects it holds share a lease, not the exchange: once it is revoked every use is an error, and two threads never
//! use the exchange at once.

#![allow(unsafe_code, reason = "lends an exchange for longer than the compiler can see")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::exchange::RemoteExchange;

/// The request is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request has completed")]
pub struct Revoked;

/// Holds the exchange of a request while the request lasts.
#[derive(Debug, Default)]
pub struct Lease {
    exchange: Mutex<Option<RemoteExchange<'static>>>,
}

impl Lease {
    /// A lease on nothing: every use is [`Revoked`].
    pub const fn new() -> Self {
        Self { exchange: Mutex::new(None) }
    }

    /// Lets `exchange` be used while `body` runs.
    pub fn lend<R>(&self, exchange: &mut RemoteExchange<'_>, body: impl FnOnce() -> R) -> R {
        struct Revoke<'a>(&'a Lease);

        impl Drop for Revoke<'_> {
            fn drop(&mut self) {
                self.0.revoke();
            }
        }

        // SAFETY: used only until `Revoke` is dropped, which is before this function gives `exchange` back.
        let lent = unsafe { exchange.extended() };
        let _revoke = Revoke(self);
        *self.lock() = Some(lent);
        body()
    }

    /// Ends the lease; waits for a use on another thread to finish first. When it returns nobody uses the exchange.
    pub fn revoke(&self) {
        *self.lock() = None;
    }

    /// Ends the lease when no other thread is using the exchange; false when one is.
    pub fn try_revoke(&self) -> bool {
        self.exchange.try_lock().map(|mut exchange| *exchange = None).is_ok()
    }

    /// Uses the exchange, alone; waits while another thread does.
    ///
    /// Python code detaches for this, for `body` blocks; the lock is free again before it attaches, so that nobody who
    /// waits here can hold up what this thread waits for.
    pub fn with<R>(&self, body: impl FnOnce(&mut RemoteExchange<'static>) -> R) -> Result<R, Revoked> {
        self.lock().as_mut().map(body).ok_or(Revoked)
    }

    fn lock(&self) -> MutexGuard<'_, Option<RemoteExchange<'static>>> {
        // A panic inside a use leaves the exchange as it was: the request is abandoned by the same panic.
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{Exchange, MemoryExchange};

    #[test]
    fn use_ends_with_the_loan() {
        let mut memory = MemoryExchange::with_body(b"abc");
        let mut remote = RemoteExchange::new(&mut memory);
        let lease = Lease::new();
        let mut buffer = [0; 3];
        lease.lend(&mut remote, || assert_eq!(lease.with(|exchange| exchange.read(&mut buffer)), Ok(Ok(3))));
        assert_eq!(lease.with(|_| ()), Err(Revoked));
    }

    #[test]
    fn a_loan_can_end_early_and_by_a_panic() {
        let mut memory = MemoryExchange::default();
        let mut remote = RemoteExchange::new(&mut memory);
        let lease = Lease::new();
        lease.lend(&mut remote, || {
            assert!(lease.try_revoke());
            assert_eq!(lease.with(|_| ()), Err(Revoked));
        });
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            lease.lend(&mut remote, || panic!("application"));
        }));
        assert!(panicked.is_err());
        assert_eq!(lease.with(|_| ()), Err(Revoked));
    }
}
