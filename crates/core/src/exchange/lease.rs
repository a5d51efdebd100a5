//! A revocable right to use an exchange.
//!
//! An application may keep `wsgi.input` or `write` after its request, or use them from a second thread during it. The
//! objects it holds own a lease, not the exchange: after [`Lease::revoke`] every use is an error, and two threads
//! never use the exchange at once.

#![allow(unsafe_code, reason = "lends an exchange for longer than the compiler can see")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::exchange::RemoteExchange;

/// The request is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request has completed")]
pub struct Revoked;

/// Holds the exchange of a request while the request lasts.
///
/// Never lock while attached to Python: the holder may be waiting to attach.
#[derive(Debug, Default)]
pub struct Lease {
    exchange: Mutex<Option<RemoteExchange<'static>>>,
}

impl Lease {
    /// A lease on nothing: every use is [`Revoked`].
    pub const fn new() -> Self {
        Self { exchange: Mutex::new(None) }
    }

    /// Lets `exchange` be used until [`revoke`](Self::revoke).
    ///
    /// # Safety
    /// The caller revokes before the exchange ends.
    pub unsafe fn grant(&self, exchange: &mut RemoteExchange<'_>) {
        // SAFETY: used only while the lease lasts, and the caller ends that in time; meanwhile the caller's `&mut` is
        // not used, for all go through the lease.
        *self.lock() = Some(unsafe { exchange.extended() });
    }

    /// Ends the lease; waits for a use on another thread to finish first. When it returns nobody uses the exchange.
    pub fn revoke(&self) {
        *self.lock() = None;
    }

    /// Uses the exchange, alone; waits while another thread does.
    pub fn with<R>(&self, body: impl FnOnce(&mut RemoteExchange<'static>) -> R) -> Result<R, Revoked> {
        self.lock().as_mut().map(body).ok_or(Revoked)
    }

    fn lock(&self) -> MutexGuard<'_, Option<RemoteExchange<'static>>> {
        // A panic inside a use leaves the exchange as it was: the request is abandoned by the same panic.
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
