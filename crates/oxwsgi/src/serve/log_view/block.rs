//! Lines of the error log that belong together, and the order of both logs. Threads of a server write at the same time;
//! the lines of one traceback are shown without another's in between.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::serve::log_view::line::{AccessLine, ErrorLine};

/// How long after its last line a traceback counts as complete. It is logged at once; what comes later is new.
const QUIET: Duration = Duration::from_millis(40);

/// How long a traceback is kept back at most, when its thread goes on printing, or its exception does not come.
const PATIENCE: Duration = Duration::from_secs(1);

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
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &str> {
        std::iter::once(self.first.message.as_str()).chain(self.more.iter().map(String::as_str))
    }

    /// The exception at the end of a traceback: `ValueError: no`.
    pub fn exception(&self) -> Option<&str> {
        let mut inside = false;
        let mut exception = None;
        for message in self.messages() {
            let was_inside = inside;
            inside = is_inside_traceback(inside, message);
            if inside {
                exception = None;
            } else if was_inside {
                exception = Some(message);
            }
        }
        exception
    }

    /// Whether the exception at its end is missing: more is to come, or its process was ended.
    pub fn is_cut_off(&self) -> bool {
        let last = self.messages().rfind(|message| !is_below_traceback(message));
        last.is_some_and(|message| message.starts_with(TRACEBACK))
    }

    /// The same text, in parts that do not depend on when which line came: each traceback up to its exception, and each
    /// other line.
    pub fn parts(&self) -> Vec<String> {
        let mut parts: Vec<String> = Vec::new();
        let mut inside = false;
        for message in self.messages() {
            match parts.last_mut().filter(|_| inside && !message.starts_with(TRACEBACK)) {
                Some(part) => {
                    part.push('\n');
                    part.push_str(message);
                }
                None => parts.push(message.to_owned()),
            }
            inside = is_inside_traceback(inside, message);
        }
        parts
    }

    /// Whether a traceback may follow or go on. Other output is never kept back.
    fn is_open(&self) -> bool {
        self.first.module == "wsgi" && (!self.first.is_output() || self.first.message.starts_with(TRACEBACK))
    }

    fn continues_with(&self, line: &ErrorLine) -> bool {
        self.is_open() && line.is_output() && self.first.client == line.client
    }
}

/// Whether the exception at the end of a traceback is still to come after `message`; `inside` says that before it.
fn is_inside_traceback(inside: bool, message: &str) -> bool {
    message.starts_with(TRACEBACK) || inside && is_below_traceback(message)
}

/// Whether `message` may stand between the first line of a traceback and its exception.
fn is_below_traceback(message: &str) -> bool {
    message.is_empty() || message.starts_with([' ', '\t'])
}

/// Something to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Of the error log.
    Block(Block),
    /// Of the access log.
    Request(AccessLine),
}

/// Keeps both logs in order, and collects the lines of the error log into blocks.
#[derive(Debug, Default)]
pub struct Blocks {
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    piece: Piece,
    since: Instant,
    last: Instant,
}

impl Waiting {
    fn due(&self) -> Instant {
        match &self.piece {
            Piece::Block(block) if block.is_open() => {
                let patience = self.since + PATIENCE;
                if block.is_cut_off() { patience } else { patience.min(self.last + QUIET) }
            }
            _ => self.since,
        }
    }
}

impl Blocks {
    /// Adds a line that came at `now`.
    pub fn add(&mut self, line: ErrorLine, now: Instant) {
        // The last block of that writer: an earlier one of it is complete.
        let current = self.waiting.iter_mut().rev().find(|waiting| {
            matches!(&waiting.piece, Piece::Block(block)
                if block.first.pid == line.pid && block.first.thread == line.thread)
        });
        if let Some(waiting) = current
            && now < waiting.due()
            && let Piece::Block(block) = &mut waiting.piece
            && block.continues_with(&line)
        {
            waiting.last = now;
            block.more.push(line.message);
            return;
        }
        self.push(Piece::Block(Block { first: line, more: Vec::new() }), now);
    }

    /// Adds a request that was logged at `now`. Its traceback came before it, and is shown before it.
    pub fn add_request(&mut self, line: AccessLine, now: Instant) {
        self.push(Piece::Request(line), now);
    }

    fn push(&mut self, piece: Piece, now: Instant) {
        self.waiting.push_back(Waiting { piece, since: now, last: now });
    }

    /// What is complete at `now`, oldest first.
    pub fn complete(&mut self, now: Instant) -> Vec<Piece> {
        let mut done = Vec::new();
        while self.waiting.front().is_some_and(|waiting| waiting.due() <= now) {
            done.extend(self.waiting.pop_front().map(|waiting| waiting.piece));
        }
        done
    }

    /// What process `pid` has written, complete or not, and requests; others may be in the middle of a traceback.
    pub fn of_process(&mut self, pid: u32) -> Vec<Piece> {
        let is_of_another =
            |waiting: &Waiting| matches!(&waiting.piece, Piece::Block(block) if block.first.pid != pid);
        let (kept, taken) = self.waiting.drain(..).partition(is_of_another);
        self.waiting = kept;
        VecDeque::into_iter(taken).map(|waiting| waiting.piece).collect()
    }

    /// All of it: nothing more will come.
    pub fn rest(&mut self) -> Vec<Piece> {
        self.waiting.drain(..).map(|waiting| waiting.piece).collect()
    }

    /// When the oldest block will be complete.
    pub fn due(&self) -> Option<Instant> {
        self.waiting.front().map(Waiting::due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::httpd;

    fn blocks_of(pieces: Vec<Piece>) -> Vec<Block> {
        let block = |piece| match piece {
            Piece::Block(block) => Some(block),
            Piece::Request(_) => None,
        };
        pieces.into_iter().filter_map(block).collect()
    }

    fn line(thread: &str, message: &str) -> ErrorLine {
        let line = format!("oxwsgi-error\t2026-11-21 09:09:20\terror\twsgi\t1\t{thread}\t-\t-\t{message}");
        httpd::log::error(&line).expect("an error line")
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
        let done = blocks_of(blocks.complete(now + PATIENCE));
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
        assert_eq!(blocks_of(blocks.rest())[0].exception(), Some("ImportError: no"));
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
    fn a_request_follows_its_traceback() {
        let (mut blocks, now) = (Blocks::default(), Instant::now());
        let request = "oxwsgi-access\t09:09:22\t::1\t500\t12\t1263\tGET / HTTP/1.1\tcurl";
        blocks.add(line("a", TRACEBACK), now);
        blocks.add_request(httpd::log::access(request).expect("an access line"), now);
        blocks.add(line("a", "ValueError: no"), now);
        assert_eq!(blocks.complete(now), []);
        let done = blocks.complete(now + QUIET);
        assert!(matches!(done.as_slice(), [Piece::Block(block), Piece::Request(_)] if block.more.len() == 1));
    }

    #[test]
    fn another_process_may_be_in_the_middle_of_a_traceback() {
        let (mut blocks, now) = (Blocks::default(), Instant::now());
        let of = |pid: u32, message: &str| ErrorLine { pid, ..line("a", message) };
        for (pid, message) in [(1, TRACEBACK), (2, TRACEBACK), (1, "ValueError: 1")] {
            blocks.add(of(pid, message), now);
        }
        assert_eq!(blocks_of(blocks.of_process(1))[0].exception(), Some("ValueError: 1"));
        blocks.add(of(2, "ValueError: 2"), now);
        assert_eq!(blocks_of(blocks.rest())[0].exception(), Some("ValueError: 2"));
    }

    #[test]
    fn a_traceback_is_waited_for_until_its_exception() {
        let (mut blocks, now) = (Blocks::default(), Instant::now());
        blocks.add(line("a", TRACEBACK), now);
        let late = now + 5 * QUIET;
        assert_eq!(blocks.complete(late), []);
        blocks.add(line("a", "  File \"a.py\""), late);
        let later = late + 5 * QUIET;
        blocks.add(line("a", "KeyError: 1"), later);
        assert_eq!(blocks_of(blocks.complete(later + QUIET))[0].exception(), Some("KeyError: 1"));
    }

    #[test]
    fn parts_are_tracebacks_and_other_lines() {
        let mut blocks = Blocks::default();
        for message in [
            "WSGI0174: KeyError",
            TRACEBACK,
            "  File \"a.py\"",
            "KeyError: 1",
            "",
            "more",
            TRACEBACK,
            TRACEBACK,
            " x",
        ] {
            blocks.add(line("a", message), Instant::now());
        }
        let traceback = format!("{TRACEBACK}\n  File \"a.py\"\nKeyError: 1");
        let unfinished = format!("{TRACEBACK}\n x");
        let block = &blocks_of(blocks.rest())[0];
        assert_eq!(block.parts(), ["KeyError", &traceback, "", "more", TRACEBACK, &unfinished]);
        assert!(block.is_cut_off());
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
