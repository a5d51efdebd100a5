//! Lines of the error log that belong together. Threads of a server write at the same time; the lines of one traceback
//! are shown without another's in between.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::serve::log_view::line::ErrorLine;

/// How long after its last line a traceback counts as complete. It is logged at once; what comes later is new.
const QUIET: Duration = Duration::from_millis(40);

/// How long a traceback is kept back at most, when its thread goes on printing.
const PATIENCE: Duration = Duration::from_millis(400);

const TRACEBACK: &str = "Traceback (most recent call last):";

/// Lines one thread wrote at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The first line, with all that is known about it.
    pub first: ErrorLine,
    /// The messages of the others.
    pub more: Vec<String>,
}

impl Block {
    /// All messages, in order.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.first.message.as_str()).chain(self.more.iter().map(String::as_str))
    }

    /// The exception at the end of a traceback: `ValueError: no`.
    pub fn exception(&self) -> Option<&str> {
        let mut inside = false;
        let mut exception = None;
        for message in self.messages() {
            if message.starts_with(TRACEBACK) {
                (inside, exception) = (true, None);
            } else if inside
                && exception.is_none()
                && !message.starts_with([' ', '\t'])
                && !message.is_empty()
            {
                exception = Some(message);
            }
        }
        exception
    }

    /// Whether a traceback may follow or go on. Other output is never kept back.
    fn is_open(&self) -> bool {
        self.first.module == "wsgi" && (!self.first.is_output() || self.first.message.starts_with(TRACEBACK))
    }

    fn continues_with(&self, line: &ErrorLine) -> bool {
        self.is_open() && line.is_output() && self.first.client == line.client
    }
}

/// Collects lines into blocks.
#[derive(Debug, Default)]
pub struct Blocks {
    open: VecDeque<Open>,
}

#[derive(Debug)]
struct Open {
    block: Block,
    since: Instant,
    last: Instant,
}

impl Open {
    fn due(&self) -> Instant {
        if self.block.is_open() { (self.last + QUIET).min(self.since + PATIENCE) } else { self.since }
    }
}

impl Blocks {
    /// Adds a line that came at `now`.
    pub fn add(&mut self, line: ErrorLine, now: Instant) {
        let same_writer =
            |open: &&mut Open| open.block.first.pid == line.pid && open.block.first.thread == line.thread;
        // The last block of that writer: an earlier one of it is complete.
        match self.open.iter_mut().rev().find(same_writer) {
            Some(open) if open.block.continues_with(&line) && now < open.due() => {
                open.block.more.push(line.message);
                open.last = now;
            }
            _ => self.open.push_back(Open {
                block: Block { first: line, more: Vec::new() },
                since: now,
                last: now,
            }),
        }
    }

    /// The blocks that are complete at `now`, oldest first.
    pub fn complete(&mut self, now: Instant) -> Vec<Block> {
        let mut done = Vec::new();
        while self.open.front().is_some_and(|open| open.due() <= now) {
            done.extend(self.open.pop_front().map(|open| open.block));
        }
        done
    }

    /// All of them: nothing more will come.
    pub fn rest(&mut self) -> Vec<Block> {
        self.open.drain(..).map(|open| open.block).collect()
    }

    /// When the oldest block will be complete.
    pub fn due(&self) -> Option<Instant> {
        self.open.front().map(Open::due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(thread: &str, message: &str) -> ErrorLine {
        let line = format!("oxwsgi-error\t2026-11-21 09:09:20\terror\twsgi\t1\t{thread}\t-\t-\t{message}");
        ErrorLine::parse(&line).expect("an error line")
    }

    #[test]
    fn two_tracebacks_at_once_are_kept_apart() {
        let (mut blocks, now) = (Blocks::default(), Instant::now());
        for (thread, message) in [
            ("a", "WSGI0174: ValueError exception raised"),
            ("b", "WSGI0174: KeyError exception raised"),
            ("a", TRACEBACK),
            ("b", TRACEBACK),
            ("b", "  File \"b.py\", line 1, in application"),
            ("a", "  File \"a.py\", line 1, in application"),
            ("a", "ValueError: first"),
            ("a", "second line"),
            ("b", "KeyError: 'b'"),
        ] {
            blocks.add(line(thread, message), now);
        }
        assert_eq!(blocks.complete(now), []);
        let done = blocks.complete(now + PATIENCE);
        assert_eq!(done.len(), 2);
        assert_eq!(done[0].more.len(), 4);
        assert_eq!(done[0].exception(), Some("ValueError: first"));
        assert_eq!(done[1].exception(), Some("KeyError: 'b'"));
        assert_eq!(done[1].first.number.as_deref(), Some("WSGI0174"));
    }

    #[test]
    fn of_chained_exceptions_the_last_counts() {
        let mut blocks = Blocks::default();
        for message in [
            TRACEBACK,
            "  File \"a.py\"",
            "KeyError: 1",
            "",
            "During handling of the above exception, another exception occurred:",
            "",
            TRACEBACK,
            "  File \"a.py\"",
            "ImportError: no",
        ] {
            blocks.add(line("a", message), Instant::now());
        }
        assert_eq!(blocks.rest()[0].exception(), Some("ImportError: no"));
    }

    #[test]
    fn a_new_message_is_a_new_block() {
        let (mut blocks, now) = (Blocks::default(), Instant::now());
        blocks.add(line("a", "WSGI0174: one"), now);
        blocks.add(line("a", "WSGI0174: two"), now);
        blocks.add(line("a", "much later"), now + 2 * QUIET);
        assert_eq!(blocks.rest().len(), 3);
    }

    #[test]
    fn plain_output_is_never_kept_back() {
        let (mut blocks, now) = (Blocks::default(), Instant::now());
        blocks.add(line("a", "one"), now);
        blocks.add(line("a", "two"), now);
        assert_eq!(blocks.complete(now).len(), 2);
    }

    #[test]
    fn a_thread_that_goes_on_printing_keeps_nothing_back_for_long() {
        let (mut blocks, mut now) = (Blocks::default(), Instant::now());
        let start = now;
        blocks.add(line("a", TRACEBACK), now);
        while now < start + PATIENCE {
            blocks.add(line("a", "  more"), now);
            assert_eq!(blocks.complete(now), []);
            now += QUIET / 2;
        }
        assert_eq!(blocks.complete(now).len(), 1);
    }
}
