//! The connections of a worker, by number. Who has a connection's claim has its socket; the main thread takes those that
//! nobody uses, to close them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oxwsgi_core::daemon::board::{CONNECTIONS, Process};
use oxwsgi_core::os::withheld::Connected;
use oxwsgi_core::worker::{Claim, Numbers};
use rustix::net::{RecvFlags, recv};

/// How long a connection stays without a request.
const IDLE: Duration = Duration::from_secs(10);

/// More connections than this stay open only as long as they are used.
const MOST_IDLE: usize = 128;

/// All connections.
#[derive(Debug)]
pub struct Connections {
    start: Instant,
    all: Box<[Connection]>,
    numbers: Mutex<Numbers>,
}

/// A place for a connection. Its claim is taken while there is none.
#[derive(Debug, Default)]
pub struct Connection {
    claim: Claim,
    /// Locked by who has the claim, so nobody waits for it.
    link: Mutex<Option<Link>>,
    /// Milliseconds since the table was made.
    last_use: AtomicU64,
}

/// A connection that there is.
#[derive(Debug)]
pub struct Link {
    /// The socket.
    pub socket: Connected,
    /// What the mark's numbers of its requests are ahead of those in frames.
    pub base: u32,
    /// Number of the last request that has come over it; 0 before the first.
    pub sequence: u32,
    /// A ticket was taken for a request that has not come yet, when the connection was accepted.
    pub is_promised: bool,
    /// What the poller knows of it.
    pub watch: LinkWatch,
}

/// Whether events on a connection are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkWatch {
    /// Not yet.
    Unknown,
    /// Yes.
    Told,
    /// Not while a request's body is read.
    Muted,
}

impl Connections {
    /// None.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            all: (0..CONNECTIONS).map(|_| Connection::default()).collect(),
            numbers: Mutex::new(Numbers::new(CONNECTIONS)),
        }
    }

    /// The place of this number.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&Connection> {
        self.all.get(number as usize)
    }

    /// A place for a connection, and its number; the caller has its claim. None when all are in use.
    pub fn take_place(&self) -> Option<u32> {
        self.numbers().take()
    }

    /// A place that is not needed after all.
    pub fn give_place_back(&self, number: u32) {
        self.numbers().give_back(number);
    }

    /// Closes a connection whose claim the caller has, and keeps. Gives the ticket back that was taken for a request that has
    /// not come.
    pub fn close(&self, number: u32, process: &Process<'_>) {
        if let Some(connection) = self.get(number) {
            if connection.link().take().is_some_and(|link| link.is_promised) {
                process.give_ticket();
            }
            self.give_place_back(number);
        }
    }

    /// Notes that a connection is used now.
    #[inline]
    pub fn note_use(&self, number: u32, now: Instant) {
        if let Some(connection) = self.get(number) {
            connection.last_use.store(self.milliseconds(now), Ordering::Relaxed);
        }
    }

    /// Closes those that were not used for long, and the least recently used of too many; says when to look again.
    pub fn close_unused(&self, now: Instant, process: &Process<'_>) -> Option<Instant> {
        let idle = IDLE.as_millis() as u64;
        let now = self.milliseconds(now);
        let mut open: Vec<(u64, u32)> = self
            .open()
            .map(|(number, connection)| (connection.last_use.load(Ordering::Relaxed), number))
            .collect();
        open.sort_unstable();
        let too_many = open.len().saturating_sub(MOST_IDLE);
        let mut next = None;
        for (index, (last_use, number)) in open.into_iter().enumerate() {
            if index >= too_many && last_use + idle > now {
                next = Some(self.start + Duration::from_millis(last_use + idle));
                break;
            }
            if !self.close_if_free(number, process) && next.is_none() {
                // In use; it is looked at again when it may have been let go of.
                next = Some(self.start + Duration::from_millis(now + idle));
            }
        }
        next
    }

    /// How many have a ticket whose request no thread has begun to read: it is there, or was promised.
    pub fn waiting(&self) -> u32 {
        let is_waiting = |link: &Link| {
            let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
            link.is_promised || matches!(recv(&link.socket, &mut [0], flags), Ok((1.., _)))
        };
        // Who has the lock serves.
        let waiting = self.all.iter().filter_map(|connection| connection.link.try_lock().ok());
        waiting.map(|link| u32::from(link.as_ref().is_some_and(is_waiting))).sum()
    }

    /// Nothing was promised to anybody who has sent nothing by now.
    pub fn forget_promises(&self) {
        for mut link in self.all.iter().filter_map(|connection| connection.link.try_lock().ok()) {
            if let Some(link) = link.as_mut() {
                link.is_promised = false;
            }
        }
    }

    /// Closes all that nobody uses: no request is taken any more.
    pub fn close_free(&self, process: &Process<'_>) {
        let numbers: Vec<u32> = self.open().map(|(number, _)| number).collect();
        for number in numbers {
            self.close_if_free(number, process);
        }
    }

    fn close_if_free(&self, number: u32, process: &Process<'_>) -> bool {
        let free = self.get(number).is_some_and(|connection| connection.claim.take_if_free());
        if free {
            if let Some(mark) = process.mark(number) {
                // Whoever sends a request all the same sees that it was not taken.
                mark.close();
            }
            self.close(number, process);
        }
        free
    }

    /// Those that seem to be open.
    fn open(&self) -> impl Iterator<Item = (u32, &Connection)> {
        // A place whose lock is held is in use.
        let is_open =
            |connection: &Connection| connection.link.try_lock().map_or(true, |link| link.is_some());
        (0..).zip(&self.all).filter(move |(_, connection)| is_open(connection))
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn milliseconds(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Connection {
    /// The right to use it.
    #[inline]
    pub const fn claim(&self) -> &Claim {
        &self.claim
    }

    /// The connection, for who has the claim.
    #[inline]
    pub fn link(&self) -> MutexGuard<'_, Option<Link>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
