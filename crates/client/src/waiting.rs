//! Connections that wait for a request, and which of them to take. Used by one thread at a time.

use std::time::{Duration, Instant};

use oxwsgi_core::daemon::board::Board;

use crate::connection::{Connection, Readiness};

/// The most that are kept.
const MOST: usize = 64;

/// The least time between two new connections that are made although an old one would do. Which process takes a new
/// connection is the kernel's choice, so not each comes to the process it was meant for.
const EXPLORE: Duration = Duration::from_millis(10);

/// Connections that wait.
#[derive(Debug)]
pub struct Waiting<S> {
    /// The most recently used last, with the time since when it waits.
    connections: Vec<(Connection<S>, Instant)>,
    explored: Option<Instant>,
}

impl<S> Default for Waiting<S> {
    fn default() -> Self {
        Self { connections: Vec::new(), explored: None }
    }
}

impl<S> Waiting<S> {
    /// A connection whose process has a thread for one request, which is promised to the caller: its ticket is taken. None
    /// when a new connection is the better choice.
    ///
    /// That is, in this order: one to a process that has nothing else to do; none when there is such a process, but no
    /// connection to it; one to the process with most threads to spare.
    pub fn take(&mut self, board: &Board) -> Option<Connection<S>> {
        let mut best = None;
        let mut index = self.connections.len();
        while index > 0 {
            index -= 1;
            match self.connections[index].0.readiness(board) {
                Readiness::Gone => {
                    self.connections.remove(index);
                    best = best.map(|(other, idle)| (other - 1, idle));
                }
                Readiness::NotYet => {}
                Readiness::Waiting(process) => {
                    let idle = process.idle();
                    if idle == board.threads() && process.take_ticket() {
                        return Some(self.connections.remove(index).0);
                    }
                    if idle > 0 && best.is_none_or(|(_, most)| idle > most) {
                        best = Some((index, idle));
                    }
                }
            }
        }
        let (index, _) = best?;
        if self.explores(board) {
            return None;
        }
        let process = self.connections[index].0.process(board)?;
        process.take_ticket().then(|| self.connections.remove(index).0)
    }

    /// Keeps a connection that is used since `now`. Of those to one process no more than `most` are kept. The answer is one to
    /// be closed.
    pub fn put(&mut self, connection: Connection<S>, most: usize, now: Instant) -> Option<Connection<S>> {
        let same = self.connections.iter().filter(|(other, _)| other.owner() == connection.owner());
        if same.count() >= most {
            return Some(connection);
        }
        let is_full = self.connections.len() >= MOST;
        let oldest = is_full.then(|| self.connections.remove(0).0);
        self.connections.push((connection, now));
        oldest
    }

    /// Takes out the connection with this socket.
    pub fn remove(&mut self, is_it: impl Fn(&S) -> bool) -> Option<Connection<S>> {
        let index = self.connections.iter().position(|(one, _)| is_it(&one.socket))?;
        Some(self.connections.remove(index).0)
    }

    /// Takes out those that have waited for longer than `patience`.
    pub fn prune(&mut self, patience: Duration, now: Instant) -> Vec<Connection<S>> {
        let is_old = |since: Instant| now.saturating_duration_since(since) > patience;
        let count = self.connections.iter().take_while(|(_, since)| is_old(*since)).count();
        self.connections.drain(..count).map(|(connection, _)| connection).collect()
    }

    /// Whether there is a process without anything to do that no connection leads to, and a new one may find it.
    fn explores(&mut self, board: &Board) -> bool {
        let leads_to = |slot, pid| self.connections.iter().any(|(one, _)| one.owner() == Some((slot, pid)));
        if !board.all().any(|(slot, process)| process.is_idle() && !leads_to(slot, process.pid())) {
            return false;
        }
        let now = Instant::now();
        let may = self.explored.is_none_or(|last| now.saturating_duration_since(last) >= EXPLORE);
        if may {
            self.explored = Some(now);
        }
        may
    }
}
