//! The way of a reply's bytes to its exchange, shared by the thread that produces them and by the [flusher](super::flusher).
//!
//! PEP 3333 ("Buffering and Streaming") wants each block on its way before the next is asked for, or its transmission
//! to go on meanwhile. A block that comes hard on the heels of another is therefore kept for a moment, so that many
//! small ones go out at once; when the application then takes its time, the flusher sends what was kept.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crate::borrowed::Bytes;
use crate::exchange::{Exchange, FlowError, Lease, RemoteExchange, ReplyHead, Revoked, Send, flusher};

/// How long a block may be kept. Blocks further apart than this are sent as they come.
pub const PATIENCE: Duration = Duration::from_millis(1);

/// The most that is kept, in bytes: enough that a system call for it is cheap beside the bytes.
const ROOM: usize = 64 * 1024;

/// The outgoing side of one request after another.
#[derive(Debug, Default)]
pub struct Outflow {
    lease: Lease,
    kept: Mutex<Kept>,
    /// Somebody is sending, for as long as the client makes them wait, and will have nothing kept afterwards.
    sending: AtomicBool,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    /// When the oldest of `bytes` came.
    since: Option<Instant>,
    /// When the last block came.
    last: Option<Instant>,
    /// What the flusher met; whoever sends next learns of it.
    failure: Option<SendError>,
    watched: bool,
}

/// Why the reply cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The client has gone.
    ClientGone,
    /// The server could not write; why, in its words.
    Failed(String),
    /// The request is over.
    Revoked,
}

impl From<Revoked> for SendError {
    fn from(_: Revoked) -> Self {
        Self::Revoked
    }
}

impl SendError {
    /// Adds the server's words to a failure.
    pub fn explain(exchange: &mut impl Exchange, error: FlowError) -> Self {
        match error {
            FlowError::ClientGone => Self::ClientGone,
            FlowError::Failed => Self::Failed(exchange.error_text()),
        }
    }
}

/// Sends a head, when there is one, and blocks. `known_length` is the body's length where the head does not say it.
pub fn send(
    exchange: &mut RemoteExchange<'_>,
    head: Option<&ReplyHead>,
    known_length: Option<u64>,
    blocks: &[Bytes<'_>],
    flags: Send,
) -> Result<(), SendError> {
    let sent = match head {
        Some(head) => head.with(known_length, |head| exchange.send_head(head)),
        None => Ok(()),
    };
    sent.and_then(|()| exchange.send(blocks, flags)).map_err(|error| SendError::explain(exchange, error))
}

impl Outflow {
    /// The right to use the exchange.
    pub const fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Keeps `block` when it may wait a moment. False when the caller must [`send`](Self::send) it. Never blocks.
    pub fn keep(self: &Arc<Self>, block: &[u8]) -> bool {
        let Ok(mut kept) = self.kept.try_lock() else { return false };
        let now = Instant::now();
        let close = kept.last.replace(now).is_some_and(|last| now - last < PATIENCE);
        if !close || kept.bytes.len() + block.len() > ROOM || kept.failure.is_some() {
            return false;
        }
        // Without a flusher nothing may wait.
        kept.watched = kept.watched || flusher::watch(self);
        if kept.watched {
            kept.bytes.extend_from_slice(block);
            kept.since.get_or_insert(now);
        }
        kept.watched
    }

    /// Sends what was kept, and then these blocks; the head before both. Blocks.
    pub fn send(
        &self,
        head: Option<&ReplyHead>,
        known_length: Option<u64>,
        blocks: &[Bytes<'_>],
        flags: Send,
    ) -> Result<(), SendError> {
        self.send_locked(&mut self.lock(), head, known_length, blocks, flags)
    }

    fn send_locked(
        &self,
        kept: &mut Kept,
        head: Option<&ReplyHead>,
        known_length: Option<u64>,
        blocks: &[Bytes<'_>],
        flags: Send,
    ) -> Result<(), SendError> {
        kept.watched = false;
        self.sending.store(true, Ordering::Release);
        let sent = kept.send(&self.lease, head, known_length, blocks, flags);
        self.sending.store(false, Ordering::Release);
        sent
    }

    /// Sends what was kept, as the flusher would: the application is about to wait for the client, which holds the exchange for as
    /// long as that takes. Blocks.
    pub fn push(&self) {
        self.push_older_than(Duration::ZERO);
    }

    /// Takes what was kept out, or the flusher's failure. Blocks while the flusher is sending.
    pub fn take_kept(&self) -> Result<Vec<u8>, SendError> {
        self.lock().take()
    }

    /// As [`take_kept`](Self::take_kept), or none when that would block.
    pub fn try_take_kept(&self) -> Option<Result<Vec<u8>, SendError>> {
        match self.kept.try_lock() {
            Ok(mut kept) => Some(kept.take()),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner().take()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// For the flusher: how long until something must be sent; none when nothing is kept, which ends the watch.
    pub(super) fn due(&self) -> Option<Duration> {
        let Ok(mut kept) = self.kept.try_lock() else {
            // Whoever is sending ends the watch; whoever is keeping is done in a moment.
            return if self.sending.load(Ordering::Acquire) { None } else { Some(PATIENCE) };
        };
        kept.watched = kept.since.is_some();
        kept.since.map(|since| PATIENCE.saturating_sub(since.elapsed()))
    }

    /// For the flusher: sends what is due.
    pub(super) fn flush(&self) {
        self.push_older_than(PATIENCE);
    }

    fn push_older_than(&self, age: Duration) {
        let mut kept = self.lock();
        if kept.since.is_some_and(|since| since.elapsed() >= age)
            && let Err(error) = self.send_locked(&mut kept, None, None, &[], Send::FLUSH)
        {
            kept.failure = Some(error);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panic inside leaves bytes that were sent or not; the request it belongs to is abandoned by the same panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn send(
        &mut self,
        lease: &Lease,
        head: Option<&ReplyHead>,
        known_length: Option<u64>,
        blocks: &[Bytes<'_>],
        flags: Send,
    ) -> Result<(), SendError> {
        if let Some(failure) = self.failure.clone() {
            return Err(failure);
        }
        self.since = None;
        let sent = if self.bytes.is_empty() {
            lease.with(|exchange| send(exchange, head, known_length, blocks, flags))
        } else {
            let all: Vec<Bytes<'_>> =
                std::iter::once(Bytes::new(&self.bytes)).chain(blocks.iter().copied()).collect();
            lease.with(|exchange| send(exchange, head, known_length, &all, flags))
        };
        self.bytes.clear();
        sent?
    }

    fn take(&mut self) -> Result<Vec<u8>, SendError> {
        self.since = None;
        self.last = None;
        let bytes = std::mem::take(&mut self.bytes);
        self.failure.take().map_or(Ok(bytes), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::MemoryExchange;

    fn with_outflow(body: impl FnOnce(&Arc<Outflow>)) -> MemoryExchange {
        let mut memory = MemoryExchange::default();
        let outflow = Arc::new(Outflow::default());
        outflow.lease().lend(&mut RemoteExchange::new(&mut memory), || body(&outflow));
        memory
    }

    #[test]
    fn what_was_kept_goes_out_before_the_application_waits_for_the_client() {
        let mut memory = MemoryExchange::with_body(b"next");
        let outflow = Arc::new(Outflow::default());
        let mut remote = RemoteExchange::new(&mut memory);
        outflow.lease().lend(&mut remote, || {
            assert!(!outflow.keep(b"a"));
            outflow.send(None, None, &[Bytes::new(b"a")], Send::FLUSH).unwrap();
            // Slower than a moment, it is not kept at all.
            if !outflow.keep(b"b") {
                outflow.send(None, None, &[Bytes::new(b"b")], Send::FLUSH).unwrap();
            }
            outflow.push();
            assert_eq!(outflow.take_kept(), Ok(Vec::new()));
        });
        assert_eq!(memory.sent, b"ab");
    }

    #[test]
    fn the_first_block_goes_out_and_close_ones_wait_for_the_next_send() {
        let memory = with_outflow(|outflow| {
            assert!(!outflow.keep(b"a"));
            outflow.send(None, None, &[Bytes::new(b"a")], Send::FLUSH).unwrap();
            // The flusher may be quicker than this test; the order is the same.
            for block in [b"b", b"c"] {
                if !outflow.keep(block) {
                    outflow.send(None, None, &[Bytes::new(block)], Send::FLUSH).unwrap();
                }
            }
            outflow.send(None, None, &[Bytes::new(b"d")], Send::LAST).unwrap();
            assert_eq!(outflow.take_kept(), Ok(Vec::new()));
        });
        assert_eq!(memory.sent, b"abcd");
        assert!(memory.complete);
    }

    #[test]
    fn what_is_kept_goes_out_by_itself() {
        let memory = with_outflow(|outflow| {
            outflow.keep(b"");
            // Twice in a row within a millisecond: sooner or later, on any machine.
            while !outflow.keep(b"x") {}
            let start = Instant::now();
            while outflow.lock().since.is_some() {
                assert!(start.elapsed() < Duration::from_secs(30), "the flusher did not come");
                std::thread::yield_now();
            }
            outflow.take_kept().unwrap();
        });
        assert_eq!(memory.sent, b"x");
    }

    #[test]
    fn a_full_room_is_sent() {
        with_outflow(|outflow| {
            assert!(!outflow.keep(&vec![0; ROOM + 1]));
            assert!(!outflow.keep(&vec![0; ROOM + 1]), "nothing of this size is kept");
            outflow.take_kept().unwrap();
        });
    }

    #[test]
    fn the_flushers_failure_reaches_the_next_sender() {
        let mut memory = MemoryExchange::default();
        memory.client_is_gone = true;
        let outflow = Arc::new(Outflow::default());
        outflow.lease().lend(&mut RemoteExchange::new(&mut memory), || {
            outflow.keep(b"");
            while !outflow.keep(b"x") {}
            while outflow.lock().failure.is_none() {
                std::thread::yield_now();
            }
            assert!(!outflow.keep(b"y"));
            assert_eq!(outflow.send(None, None, &[], Send::FLUSH), Err(SendError::ClientGone));
            assert_eq!(outflow.take_kept(), Err(SendError::ClientGone));
            assert_eq!(outflow.take_kept(), Ok(Vec::new()));
        });
    }
}
