//! One of the threads that serve requests, each from its first byte to the last of the reply.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use oxwsgi_core::os::packet::Wait;
use oxwsgi_core::os::withheld;
use oxwsgi_core::report::Level;
use oxwsgi_core::request::{BodyLength, RequestView};
use oxwsgi_core::wire::{DecodedRequest, HEADER, Hello, Inline, RequestHead, WireError, encode_hello};
use oxwsgi_core::worker::Seat;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::worker::connections::{Connection, Link, LinkWatch};
use crate::worker::exchange::{After, SocketExchange, Surroundings};
use crate::worker::poller::Event;
use crate::worker::queue::Next;
use crate::worker::workplace::Workplace;
use crate::wsgi::Watch;

/// Memory for requests and replies that is kept from one to the next, in bytes each.
const KEPT: usize = 64 * 1024;

/// How long the queue is left alone when nobody can be taken out of it; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

// A stranger at the door is worth one line, and not one for each knock.
static STRANGER_REPORTED: AtomicBool = AtomicBool::new(false);

/// A thread that serves.
#[derive(Debug)]
pub struct Attendant {
    place: &'static Workplace,
    seat: Arc<Seat>,
    watch: &'static Watch,
    /// The request.
    input: Vec<u8>,
    /// Of the reply, what is to be sent at once.
    output: Vec<u8>,
    leads: bool,
    pause: Duration,
    /// The request is one of those that this process serves; whether it is the last.
    admitted: Option<bool>,
}

/// What came of a look at a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// There is nothing to read.
    Quiet,
    /// A request was served; the connection may have another one.
    Served,
    /// The connection is closed.
    Closed,
}

/// Why a connection is given up.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("it was closed in the middle of a request")]
    Gone,
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("request {0} came after request {1}")]
    Order(u32, u32),
    #[error(transparent)]
    Io(#[from] Errno),
}

impl Attendant {
    /// The calling thread.
    pub fn new(place: &'static Workplace) -> Self {
        Self {
            place,
            seat: Seat::new(),
            watch: Watch::of_this_thread(),
            input: Vec::with_capacity(KEPT),
            output: Vec::new(),
            leads: false,
            pause: FIRST_PAUSE,
            admitted: None,
        }
    }

    /// How others see what the thread does.
    pub const fn watch(&self) -> &'static Watch {
        self.watch
    }

    /// Serves requests until it is told to stop.
    pub fn work(&mut self) {
        loop {
            self.serve_queue();
            if !self.leads {
                if !self.place.crew.take_lead(&self.seat) {
                    return;
                }
                self.leads = true;
            }
            if !self.wait() {
                return;
            }
        }
    }

    /// Waits for an event, as the thread that leads. False when it is over.
    #[inline]
    fn wait(&mut self) -> bool {
        // Somebody is in the queue, but there was no ticket. Who brings one back may be another process.
        let limit = self.place.queue.is_waited_in().then_some(self.pause);
        match self.place.poller.wait(limit) {
            Event::Connection(number) => {
                if let Some(connection) = self.place.connections.get(number)
                    && connection.claim().take()
                {
                    self.attend(number, connection);
                }
            }
            Event::Queue => self.place.queue.note(),
            Event::Nothing => self.pause = (self.pause * 2).min(LONGEST_PAUSE),
            Event::Wake => return !self.place.crew.is_stopping(),
        }
        true
    }

    /// Serves who is in the queue, as long as there are tickets.
    #[inline]
    fn serve_queue(&mut self) {
        while self.place.queue.is_waited_in() && !self.place.tally.is_closing() {
            match self.place.queue.next(&self.place.process()) {
                Next::Connection(socket) => {
                    self.pause = FIRST_PAUSE;
                    match self.welcome(socket) {
                        Some((number, connection)) => self.attend(number, connection),
                        None => self.place.process().give_ticket(),
                    }
                }
                Next::Nobody => return,
                Next::NotNow => {
                    // A ticket may be lost; the main thread finds that out.
                    self.place.tally.rouse();
                    return;
                }
            }
        }
    }

    /// Takes in a new connection, and greets it before anything is read. None when it is not wanted.
    fn welcome(&self, socket: OwnedFd) -> Option<(u32, &'static Connection)> {
        let place = self.place;
        let peer = socket_peercred(&socket).ok()?.uid.as_raw();
        if !place.peers.contains(&peer) {
            if !STRANGER_REPORTED.swap(true, Ordering::Relaxed) {
                let text = format!(
                    "WSGI1021: User {peer} has tried to connect to daemon process '{}'; only the server may.",
                    place.group
                );
                place.control.log(Level::Warning, text.as_bytes(), Wait::Socket);
            }
            return None;
        }
        for direction in [Timeout::Recv, Timeout::Send] {
            if let Some(limit) = place.limits.socket {
                set_socket_timeout(&socket, direction, Some(limit)).ok()?;
            }
        }
        let number = place.connections.take_place().or_else(|| {
            place.connections.close_unused(Instant::now(), &place.process());
            place.connections.take_place()
        })?;
        let connection = place.connections.get(number)?;
        let base = place.process().mark(number)?.begin();
        let mut hello = Vec::with_capacity(32);
        let greeting = Hello { pid: std::process::id(), slot: place.slot, connection: number, base };
        encode_hello(&mut hello, greeting);
        if send(&socket, &hello, SendFlags::NOSIGNAL) != Ok(hello.len()) {
            place.connections.give_place_back(number);
            return None;
        }
        place.connections.note_use(number, Instant::now());
        // Registered with the first of all: what the process cannot keep from its children it shares with them.
        let _ = withheld::withhold(socket.as_raw_fd());
        *connection.link() =
            Some(Link { socket, base, sequence: 0, is_promised: true, watch: LinkWatch::Unknown });
        Some((number, connection))
    }

    /// Serves what there is on a connection whose claim this thread has taken.
    #[inline]
    fn attend(&mut self, number: u32, connection: &'static Connection) {
        loop {
            let look = {
                let mut link = connection.link();
                let Some(link) = link.as_mut() else { break };
                let look = self.look(number, link);
                if look != Look::Closed && !self.tell_events(number, link) { Look::Closed } else { look }
            };
            if look == Look::Closed {
                self.place.connections.close(number);
                return;
            }
            if connection.claim().release() {
                break;
            }
        }
        // Whoever closes what nobody uses may have come just before this one let go.
        if self.place.tally.is_closing() {
            self.place.connections.close_free(&self.place.process());
        }
    }

    /// Before a connection is let go of: what comes on it is told, by an event.
    #[inline]
    fn tell_events(&self, number: u32, link: &mut Link) -> bool {
        let told = match link.watch {
            LinkWatch::Told => return true,
            LinkWatch::Unknown => self.place.poller.add(number, &link.socket),
            LinkWatch::Muted => self.place.poller.unmute(number, &link.socket),
        };
        link.watch = LinkWatch::Told;
        told.is_ok()
    }

    #[inline]
    fn look(&mut self, number: u32, link: &mut Link) -> Look {
        self.input.clear();
        match recv(&link.socket, spare_capacity(&mut self.input), RecvFlags::DONTWAIT) {
            Ok((1.., _)) => {}
            Err(Errno::AGAIN) => return Look::Quiet,
            Ok(_) | Err(_) => {
                if link.is_promised {
                    self.place.process().give_ticket();
                }
                return Look::Closed;
            }
        }
        let now = Instant::now();
        if std::mem::take(&mut self.leads) {
            self.place.crew.leave_lead(now);
        }
        self.watch.begin(now);
        link.is_promised = false;
        self.place.connections.note_use(number, now);
        let after = self.serve(number, link, now).unwrap_or_else(|broken| {
            self.place.process().give_ticket();
            let text = format!("WSGI1022: A connection from the server is given up: {broken}.");
            self.place.control.log(Level::Warning, text.as_bytes(), Wait::Socket);
            After::Drop
        });
        self.watch.end();
        if let Some(is_last) = self.admitted.take() {
            self.place.tally.finish(is_last);
        }
        self.input.shrink_to(KEPT);
        self.output.shrink_to(KEPT);
        match after {
            After::Keep => Look::Served,
            After::Close => {
                if let Some(mark) = self.place.process().mark(number) {
                    mark.close();
                }
                Look::Closed
            }
            After::Drop => Look::Closed,
        }
    }

    /// Serves the request that has begun to come.
    fn serve(&mut self, number: u32, link: &mut Link, now: Instant) -> Result<After, Broken> {
        self.receive_rest(link)?;
        let place = self.place;
        let process = place.process();
        // The number is one that the table has given.
        let Some(mark) = process.mark(number) else { return Ok(After::Drop) };
        let request = DecodedRequest::decode(&self.input[HEADER..])?;
        let RequestHead { sequence, inline } = request.head;
        if sequence != link.sequence + 1 {
            return Err(Broken::Order(sequence, link.sequence));
        }
        link.sequence = sequence;
        let view = RequestView { daemon_start: microseconds_now(), ..request.view() };
        let (inline, has_more) = match inline {
            Inline::All(body) => (body, false),
            Inline::Nothing => (&[][..], view.body != BodyLength::None),
        };
        let number_on_mark = link.base + sequence;
        let Link { socket, watch, .. } = link;
        let is_muted = AtomicBool::new(false);
        let mute = || {
            if *watch == LinkWatch::Told && place.poller.mute(number, &*socket).is_ok() {
                is_muted.store(true, Ordering::Relaxed);
            }
        };
        let around = Surroundings {
            socket: socket.as_fd(),
            process,
            mark,
            tally: &place.tally,
            is_activity: !view.target.ignore_activity,
            control: place.control,
            dialect: place.dialect,
            mute: &mute,
        };
        self.output.clear();
        let mut exchange = SocketExchange::new(around, number_on_mark, inline, has_more, &mut self.output);
        let outcome = place.answer(&view, &mut exchange, now, &mut self.admitted);
        let after = exchange.finish(outcome);
        if is_muted.load(Ordering::Relaxed) {
            *watch = LinkWatch::Muted;
        }
        Ok(after)
    }

    /// Reads on until the request is whole. Most are by now.
    fn receive_rest(&mut self, link: &Link) -> Result<(), Broken> {
        loop {
            let wanted = match RequestHead::frame(&self.input)? {
                Some(header) if self.input.len() == HEADER + header.length => return Ok(()),
                Some(header) if self.input.len() > HEADER + header.length => {
                    // Nothing is to be sent after a request before it is answered.
                    return Err(Broken::Wire(WireError::Place(header.kind)));
                }
                Some(header) => HEADER + header.length - self.input.len(),
                None => HEADER - self.input.len(),
            };
            self.input.reserve(wanted);
            let received = recv(&link.socket, spare_capacity(&mut self.input), RecvFlags::empty());
            match received {
                Ok((0, _)) => return Err(Broken::Gone),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn microseconds_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}
