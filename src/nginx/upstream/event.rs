//! An event of ours in nginx's loop: a timer, or something to be done before the loop waits again.

#![allow(unsafe_code, reason = "hands nginx a record of ours by address")]

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::fmt;
use std::time::Duration;

use crate::nginx::ffi;

/// What nginx calls.
pub type Handler = unsafe extern "C" fn(*mut ffi::ngx_event_t);

/// An event. nginx knows it by its address while it is [set](Event::start_timer) or [posted](Event::post).
pub struct Event(UnsafeCell<Record>);

struct Record {
    event: ffi::ngx_event_t,
    /// The event's data as far as nginx knows: its log at the level `debug` names the descriptor of an event's connection.
    owner: ffi::ngx_connection_t,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").finish_non_exhaustive()
    }
}

impl Event {
    /// An event that nobody handles yet.
    pub fn new() -> Self {
        // SAFETY: plain numbers and pointers, of which zero is a value.
        Self(UnsafeCell::new(unsafe { std::mem::zeroed() }))
    }

    #[inline]
    const fn as_raw(&self) -> *mut ffi::ngx_event_t {
        // SAFETY: a field of our own record, whose address is all that is taken.
        unsafe { &raw mut (*self.0.get()).event }
    }

    /// What the event of a handler was bound to.
    ///
    /// # Safety
    /// nginx passes the event to a handler that [`bind`](Self::bind) has set.
    #[inline]
    pub unsafe fn data<T>(event: *mut ffi::ngx_event_t) -> *mut T {
        // SAFETY: the caller's word: its data is the record beside it; read by value.
        unsafe { (*(*event).data.cast::<ffi::ngx_connection_t>()).data.cast() }
    }

    /// Says what is to be called, and with what as its data.
    ///
    /// # Safety
    /// The event stays where it is until it is dropped, and `handler` may be called with it until then, on the thread of
    /// the event loop. `log` lives as long.
    pub unsafe fn bind(&self, handler: Handler, data: *mut c_void, log: *mut ffi::ngx_log_t) {
        let event = self.as_raw();
        // SAFETY: a field of our own record, whose address is all that is taken.
        let owner = unsafe { &raw mut (*self.0.get()).owner };
        // SAFETY: our own record, which nginx does not use during the call.
        unsafe { (*owner).fd = -1 };
        // SAFETY: as above.
        unsafe { (*owner).data = data };
        // SAFETY: as above.
        unsafe { (*event).handler = Some(handler) };
        // SAFETY: as above.
        unsafe { (*event).data = owner.cast() };
        // SAFETY: as above.
        unsafe { (*event).log = log };
    }

    /// Says that a process may end though the event's timer is set.
    pub fn set_cancelable(&self) {
        // SAFETY: our own record, which nginx does not use during the call.
        unsafe { (*self.as_raw()).set_cancelable(1) };
    }

    /// Whether its timer is set.
    pub fn is_set(&self) -> bool {
        // SAFETY: our own record; read by value.
        unsafe { (*self.as_raw()).timer_set() != 0 }
    }

    /// Has the handler called before the loop waits again.
    pub fn post(&self) {
        // SAFETY: bound, so it stays where it is; the queue is the loop's own.
        unsafe { ffi::shim_post_event(self.as_raw(), &raw mut ffi::ngx_posted_events) };
    }

    /// Has the handler called after `delay`, unless it is set anew before.
    pub fn start_timer(&self, delay: Duration) {
        let milliseconds = ffi::ngx_msec_t::try_from(delay.as_millis()).unwrap_or(ffi::ngx_msec_t::MAX / 4);
        // SAFETY: bound, so it stays where it is.
        unsafe { ffi::shim_add_timer(self.as_raw(), milliseconds.max(1)) };
    }

    /// The handler is not called any more, until it is asked for again.
    pub fn cancel(&self) {
        let event = self.as_raw();
        // SAFETY: our own record; read by value.
        if unsafe { (*event).timer_set() } != 0 {
            // SAFETY: it is in the loop's tree of timers.
            unsafe { ffi::shim_del_timer(event) };
        }
        // SAFETY: our own record; read by value.
        if unsafe { (*event).posted() } != 0 {
            // SAFETY: it is in a queue of the loop's.
            unsafe { ffi::shim_delete_posted_event(event) };
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        self.cancel();
    }
}
