//! What the threads of a daemon process are serving, for whoever watches them from another thread and may break in.
//!
//! A watch is made by its thread, before it serves. What a thread is inside of changes only while it is attached, so that
//! whoever is attached to the same interpreter sees a thread that stays where it is.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::python::{Attached, Obj, ThreadId};

/// A thread that serves requests.
#[derive(Debug)]
pub struct Watch {
    thread: ThreadId,
    start: Instant,
    /// Nanoseconds since `start` at which the request began; 0 between requests.
    since: AtomicU64,
    /// How many requests have begun.
    turn: AtomicU64,
    /// Address of the interpreter whose Python code the request runs; 0 for none.
    inside: AtomicUsize,
    interrupted: AtomicBool,
}

thread_local! {
    static OWN: Cell<Option<&'static Watch>> = const { Cell::new(None) };
}

impl Watch {
    /// For the calling thread, for its life.
    pub fn of_this_thread() -> &'static Self {
        let watch = Box::leak(Box::new(Self {
            thread: ThreadId::current(),
            start: Instant::now(),
            since: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            inside: AtomicUsize::new(0),
            interrupted: AtomicBool::new(false),
        }));
        OWN.set(Some(watch));
        watch
    }

    /// The thread has taken a request.
    #[inline]
    pub fn begin(&self, now: Instant) {
        let since = now.saturating_duration_since(self.start).as_nanos();
        // Only this thread writes. After the end of the request before, and before this one begins.
        self.turn.store(self.turn.load(Ordering::Relaxed) + 1, Ordering::Release);
        self.since.store(u64::try_from(since).unwrap_or(u64::MAX).max(1), Ordering::Release);
    }

    /// The thread is done with it.
    #[inline]
    pub fn end(&self) {
        self.since.store(0, Ordering::Release);
    }

    /// The request that the thread serves: its number and when it began.
    pub fn request(&self) -> Option<(u64, Instant)> {
        loop {
            let turn = self.turn.load(Ordering::Acquire);
            let since = self.since.load(Ordering::Acquire);
            // Otherwise the next one has begun meanwhile, and the time may be that one's.
            if self.turn.load(Ordering::Relaxed) == turn {
                return (since != 0).then(|| (turn, self.start + Duration::from_nanos(since)));
            }
        }
    }

    /// The thread.
    pub const fn thread(&self) -> ThreadId {
        self.thread
    }

    /// Address of the interpreter that the thread serves this request in.
    pub fn inside(&self, turn: u64) -> Option<usize> {
        let inside = self.inside.load(Ordering::Relaxed);
        let is_same = self.request().is_some_and(|(current, _)| current == turn);
        (is_same && inside != 0).then_some(inside)
    }

    /// Raises an exception of `class` in request number `turn`, if the thread still serves it inside of the interpreter at this
    /// address, to which the calling thread is attached.
    pub fn interrupt<'py>(&self, py: Attached<'py>, inside: usize, turn: u64, class: &Obj<'py>) -> bool {
        let raised = self.inside(turn) == Some(inside) && py.raise_in(self.thread, class);
        if raised {
            self.interrupted.store(true, Ordering::Relaxed);
        }
        raised
    }
}

/// The calling thread serves its request inside of the interpreter at this address, to which it is attached.
#[inline]
pub fn enter(_py: Attached<'_>, interpreter: usize) {
    if let Some(own) = OWN.get() {
        own.inside.store(interpreter, Ordering::Relaxed);
    }
}

/// It does not any more. An exception that came too late must not hit the next request.
#[inline]
pub fn leave(py: Attached<'_>) {
    if let Some(own) = OWN.get() {
        own.inside.store(0, Ordering::Relaxed);
        if own.interrupted.swap(false, Ordering::Relaxed) {
            py.take_back_raise(own.thread);
        }
    }
}
