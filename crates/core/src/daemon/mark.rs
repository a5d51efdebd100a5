//! The mark of a connection: a word of a group's [board](super::board) that says how far the requests on it are. Written
//! by the worker's thread that has the connection, read by its client in another process.
//!
//! Requests are numbered on through all connections that have a mark one after another, and a number is left out between
//! two of them: whoever looks at the mark of a connection that is gone never takes the word of its successor for an
//! answer. What cannot be known counts as a call of the application, for a request must not be run twice.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU32, Ordering};

use crate::wire::LAST_SEQUENCE;

/// The worker has closed the connection. The other bits go on saying how far it had come: `2 * n` before request number
/// `n`, one more once the application is about to be called for it.
const CLOSED: u32 = 1 << 31;

// The word before the request after the last one has no such bit.
const _: () = assert!(before(LAST_SEQUENCE + 1) < CLOSED);

const fn before(number: u32) -> u32 {
    2 * number
}

/// The mark of one connection. Numbers are from 1 up to [`LAST_SEQUENCE`].
#[derive(Clone, Copy, Debug)]
pub struct Mark<'a>(pub(super) &'a AtomicU32);

impl Mark<'_> {
    /// For the worker: a new connection has this mark. Its first request has the number after the answer.
    pub fn begin(&self) -> u32 {
        // The predecessor's client may have sent the request that the mark waits for.
        let next = (self.0.load(Ordering::SeqCst) & !CLOSED) / 2 + 1;
        let base = if next < LAST_SEQUENCE { next } else { 0 };
        self.finish(base);
        base
    }

    /// For the worker: the application is about to be called for this request.
    #[inline]
    pub fn accept(&self, number: u32) {
        self.0.store(before(number) + 1, Ordering::SeqCst);
    }

    /// For the worker: nothing is done for this request any more; the next one may come.
    #[inline]
    pub fn finish(&self, number: u32) {
        self.0.store(before(number + 1), Ordering::SeqCst);
    }

    /// For the worker: it is about to close the connection, with no request under way on it.
    pub fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::SeqCst);
    }

    /// For the client: whether the application was not called for this request, which has been sent. No more is to be
    /// asked of a mark whose process may have been replaced: see [`Process::was_accepted`](super::board::Process::was_accepted).
    pub(super) fn is_before(&self, number: u32) -> bool {
        self.0.load(Ordering::SeqCst) & !CLOSED == before(number)
    }

    /// For the client: whether the worker has closed the connection without having called the application for this
    /// request, which has been sent.
    pub fn is_closed_before(&self, number: u32) -> bool {
        self.0.load(Ordering::SeqCst) == before(number) | CLOSED
    }

    /// For the client: whether the connection is waiting for the request after this one.
    #[inline]
    pub fn is_waiting_after(&self, number: u32) -> bool {
        self.0.load(Ordering::SeqCst) == before(number + 1)
    }

    /// For the client, of the connection whose last request is this one: whether the worker has closed it. It has, too,
    /// where another connection has the mark.
    pub fn is_over(&self, number: u32) -> bool {
        !(before(number)..=before(number + 1)).contains(&self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a client gives the request to another process when the connection breaks now.
    fn may_go_on(mark: Mark<'_>, number: u32) -> bool {
        mark.is_before(number)
    }

    #[test]
    fn a_mark_tells_how_far_a_request_is() {
        let word = AtomicU32::new(0);
        let mark = Mark(&word);
        let base = mark.begin();
        let [first, second] = [base + 1, base + 2];
        assert!(mark.is_waiting_after(base) && may_go_on(mark, first) && !mark.is_over(first));
        mark.accept(first);
        assert!(!may_go_on(mark, first) && !mark.is_waiting_after(first) && !mark.is_over(first));
        mark.finish(first);
        assert!(!may_go_on(mark, first) && mark.is_waiting_after(first) && !mark.is_over(first));
        assert!(may_go_on(mark, second) && !mark.is_over(second) && !mark.is_closed_before(second));
        mark.close();
        assert!(mark.is_over(first) && mark.is_over(second) && mark.is_closed_before(second));
        assert!(may_go_on(mark, second) && !may_go_on(mark, first) && !mark.is_waiting_after(first));
    }

    #[test]
    fn a_successor_says_nothing_of_its_predecessor() {
        type Fate = fn(Mark<'_>);
        // What became of request 2, and which number the predecessor's client may still ask for.
        let fates: [(Fate, u32); 6] = [
            (|_| (), 2),
            (|mark| mark.close(), 2),
            (|mark| mark.accept(2), 2),
            (|mark| mark.finish(2), 3),
            (
                |mark| {
                    mark.finish(2);
                    mark.close();
                },
                3,
            ),
            (|mark| mark.accept(3), 3),
        ];
        for (fate, asked) in fates {
            let word = AtomicU32::new(0);
            let mark = Mark(&word);
            mark.finish(1);
            fate(mark);
            let base = mark.begin();
            assert!(base >= asked && may_go_on(mark, base + 1) && mark.is_waiting_after(base));
            let steps: [Fate; 3] = [|_| (), |mark| mark.accept(mark.begin() + 1), |mark| mark.close()];
            for step in steps {
                step(mark);
                for number in [asked - 1, asked] {
                    assert!(mark.is_over(number), "{number} after {base}");
                    assert!(!mark.is_waiting_after(number) && !mark.is_closed_before(number));
                }
                assert!(!may_go_on(mark, asked), "{asked} after {base}");
            }
        }
    }

    #[test]
    fn numbers_begin_again_where_they_end() {
        let word = AtomicU32::new(0);
        let mark = Mark(&word);
        mark.finish(LAST_SEQUENCE - 3);
        assert_eq!(mark.begin(), LAST_SEQUENCE - 1);
        mark.accept(LAST_SEQUENCE);
        assert!(!may_go_on(mark, LAST_SEQUENCE));
        mark.finish(LAST_SEQUENCE);
        mark.close();
        assert!(may_go_on(mark, LAST_SEQUENCE + 1));
        assert_eq!(mark.begin(), 0);
        assert!(!may_go_on(mark, LAST_SEQUENCE) && may_go_on(mark, 1));
        // Whatever a site writes there.
        word.store(u32::MAX, Ordering::Relaxed);
        assert_eq!(mark.begin(), 0);
    }
}
