//! The processes that run the application, as the log tells of them: which have imported it, what they said while they
//! did, and which are to go. Sends no signal itself.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::serve::log_view::{Block, Capacity, Echoes};

/// After a reload, old processes may finish requests for this long.
const FINISHING: Duration = Duration::from_secs(5);

/// How long it is remembered that a process was ended.
const MOURNING: Duration = Duration::from_secs(5);

/// The processes of one run.
#[derive(Debug)]
pub struct Workers {
    capacity: Capacity,
    /// Have imported the application, or failed to.
    serving: Vec<u32>,
    retiring: Vec<Retiring>,
    /// From the start of an import until every process is done with it.
    echoes: Option<Echoes>,
    /// The last exception that each process has logged while it imported the application.
    exceptions: HashMap<u32, String>,
}

/// A process that was told to go.
#[derive(Debug)]
struct Retiring {
    pid: u32,
    /// Until then it may.
    due: Instant,
    was_overdue: bool,
}

impl Workers {
    /// None yet, of as many as `capacity` says.
    pub fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            serving: Vec::new(),
            retiring: Vec::new(),
            echoes: Some(Echoes::default()),
            exceptions: HashMap::new(),
        }
    }

    /// How many they are.
    pub const fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Process `pid` is done with its import. Gives the exception that it has logged meanwhile.
    pub fn done(&mut self, pid: u32) -> Option<String> {
        if !self.serving.contains(&pid) {
            self.serving.push(pid);
        }
        self.exceptions.remove(&pid)
    }

    /// Whether every process is done.
    pub fn are_done(&self) -> bool {
        self.serving.len() >= usize::from(self.capacity.processes)
    }

    /// Nothing is expected of any process: what it says now, it says for itself.
    pub fn settle(&mut self) {
        self.echoes = None;
    }

    /// Another import begins, in new processes.
    pub fn renew(&mut self) {
        self.echoes = Some(Echoes::default());
        self.exceptions.clear();
    }

    /// Those that serve have to go now; gives their numbers.
    pub fn retire(&mut self, now: Instant) -> Vec<u32> {
        let gone = std::mem::take(&mut self.serving);
        // Daemon processes are ended by their supervisor then, and should that be gone, by us.
        let time = if self.capacity.is_embedded { FINISHING } else { FINISHING * 2 };
        let due = now + time;
        self.retiring.extend(gone.iter().map(|pid| Retiring { pid: *pid, due, was_overdue: false }));
        gone
    }

    /// Those whose time to finish is up since the last call.
    pub fn overdue(&mut self, now: Instant) -> Vec<u32> {
        self.retiring.retain(|process| process.due + MOURNING > now);
        let overdue = self.retiring.iter_mut().filter(|process| process.due <= now && !process.was_overdue);
        overdue
            .map(|process| {
                process.was_overdue = true;
                process.pid
            })
            .collect()
    }

    /// When there is something for [`overdue`](Self::overdue).
    pub fn due(&self) -> Option<Instant> {
        self.retiring.iter().filter(|process| !process.was_overdue).map(|process| process.due).min()
    }

    /// Whether process `pid` was told to go.
    pub fn is_retiring(&self, pid: u32) -> bool {
        self.retiring.iter().any(|process| process.pid == pid)
    }

    /// Notes what a process has said; false when it need not be shown, because another one has said it too.
    pub fn hear(&mut self, block: &Block) -> bool {
        let pid = block.first.pid;
        if block.first.client.is_some() || self.serving.contains(&pid) || self.is_retiring(pid) {
            return true;
        }
        if let Some(exception) = block.exception() {
            self.exceptions.insert(pid, exception.to_owned());
        }
        let Some(echoes) = &mut self.echoes else { return true };
        let mut parts = block.parts();
        // What was cut off when its process was ended says no more than it did.
        if block.is_cut_off() {
            parts.pop_if(|part| echoes.has_beginning(part));
        }
        // All of it is noted, and one new part is reason enough to show the whole.
        parts.iter().filter(|part| !echoes.is_echo(pid, part)).count() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::httpd;
    use crate::serve::log_view::{Blocks, Piece};

    fn workers() -> Workers {
        Workers::new(Capacity { processes: 2, threads: 8, is_embedded: false })
    }

    fn block(pid: u32, lines: &[&str]) -> Block {
        let mut blocks = Blocks::default();
        for line in lines {
            let line = format!("[Sat Nov 21 11:46:35.123456 2026] [wsgi:error] [pid {pid}:tid {pid}] {line}");
            blocks.add(httpd::log::error(&line).expect("an error line"), Instant::now());
        }
        match blocks.rest().remove(0) {
            Piece::Block(block) => block,
            Piece::Request(_) => panic!("no request was added"),
        }
    }

    #[test]
    fn each_failure_comes_with_the_exception_of_its_process() {
        let mut workers = workers();
        let lines = |exception| ["Traceback (most recent call last):", "  File \"a.py\"", exception];
        assert!(workers.hear(&block(7, &lines("KeyError: 1"))));
        assert!(!workers.hear(&block(8, &lines("KeyError: 1"))));
        assert!(workers.hear(&block(9, &lines("ValueError: no"))));
        assert_eq!(workers.done(9).as_deref(), Some("ValueError: no"));
        assert!(!workers.are_done());
        assert_eq!(workers.done(8).as_deref(), Some("KeyError: 1"));
        assert!(workers.are_done());
        assert!(workers.hear(&block(8, &lines("KeyError: 1"))), "it serves, and speaks for itself");
    }

    #[test]
    fn what_comes_in_pieces_is_an_echo_too() {
        let mut workers = workers();
        let traceback = ["Traceback (most recent call last):", "  File \"a.py\"", "KeyError: 1"];
        assert!(workers.hear(&block(7, &["WSGI0174: no"])));
        assert!(workers.hear(&block(7, &traceback)));
        assert!(!workers.hear(&block(8, &[&["WSGI0174: no"], &traceback[..]].concat())));
        assert!(workers.hear(&block(9, &["WSGI0174: no", traceback[0], traceback[1], "KeyError: 2"])));
        assert!(!workers.hear(&block(10, &["WSGI0174: no", traceback[0]])), "it was ended in the middle");
    }

    #[test]
    fn what_has_to_go_is_ended_when_its_time_is_up() {
        let (mut workers, now) = (workers(), Instant::now());
        workers.done(7);
        assert_eq!(workers.retire(now), [7]);
        assert!(workers.is_retiring(7) && !workers.are_done());
        assert_eq!(workers.overdue(now), [] as [u32; 0]);
        let due = workers.due().expect("a time");
        assert_eq!(workers.overdue(due), [7]);
        assert!(workers.is_retiring(7), "its end was wanted");
        assert_eq!((workers.overdue(due), workers.due()), (Vec::new(), None));
        workers.overdue(due + MOURNING);
        assert!(!workers.is_retiring(7));
    }
}
