//! One of the threads that serve requests, each from its first byte to the last of the reply.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use oxwsgi_core::os::packet::Wait;
use oxwsgi_core::os::withheld::Connected;
use oxwsgi_core::report::Level;
use oxwsgi_core::request::{BodyLength, RequestView};
use oxwsgi_core::wire::{DecodedRequest, HEADER, Hello, Inline, RequestHead, WireError, encode_hello};
use oxwsgi_core::worker::Seat;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::process::{Resource, getrlimit};

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
    #[error("there are more connections than the process can have")]
    Full,
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
                // Somebody may be in the queue since this thread had something to do.
                continue;
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
                    let welcomed = self.welcome(socket).unwrap_or_else(|broken| {
                        self.report(&broken);
                        None
                    });
                    match welcomed {
                        Some((number, connection)) => self.attend(number, connection),
                        None => self.place.process().give_ticket(),
                    }
                }
                Next::Nobody => {
                    self.pause = FIRST_PAUSE;
                    return;
                }
                Next::NotNow => {
                    // A ticket may be lost; the main thread finds that out.
                    self.place.tally.rouse();
                    return;
                }
                Next::Stuck(error) => {
                    let limit = getrlimit(Resource::Nofile).current;
                    let limit = limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
                    let text = format!(
                        "WSGI1026: Daemon process '{}' cannot take requests out of its queue: {}. It may have {limit} files \
                         open (RLIMIT_NOFILE): raise that where the server is started (ulimit -n, LimitNOFILE=), or find \
                         out what the application leaves open (/proc/{}/fd). It goes on as soon as it can.",
                        self.place.group,
                        io::Error::from(error),
                        std::process::id()
                    );
                    self.place.control.log(Level::Error, text.as_bytes(), Wait::Socket);
                    return;
                }
            }
        }
    }

    /// Takes in a new connection, and greets it before anything is read. None when it is not wanted, or has gone.
    fn welcome(&self, socket: Connected) -> Result<Option<(u32, &'static Connection)>, Broken> {
        let place = self.place;
        let peer = socket_peercred(&socket)?.uid.as_raw();
        if !place.peers.contains(&peer) {
            if !STRANGER_REPORTED.swap(true, Ordering::Relaxed) {
                let text = format!(
                    "WSGI1021: User {peer} has tried to connect to daemon process '{}'; only the server may.",
                    place.group
                );
                place.control.log(Level::Warning, text.as_bytes(), Wait::Socket);
            }
            return Ok(None);
        }
        for direction in [Timeout::Recv, Timeout::Send] {
            if let Some(limit) = place.limits.socket {
                set_socket_timeout(&socket, direction, Some(limit))?;
            }
        }
        let number = place.connections.take_place().or_else(|| {
            place.connections.close_unused(Instant::now(), &place.process());
            place.connections.take_place()
        });
        let number = number.ok_or(Broken::Full)?;
        // The number is one that the table has given.
        let Some((connection, mark)) = place.connections.get(number).zip(place.process().mark(number)) else {
            return Ok(None);
        };
        let base = mark.begin();
        let mut hello = Vec::with_capacity(32);
        let greeting = Hello { pid: std::process::id(), slot: place.slot, connection: number, base };
        encode_hello(&mut hello, greeting);
        // There is room for it in a new connection.
        if let Err(error) = send(&socket, &hello, SendFlags::NOSIGNAL) {
            place.connections.give_place_back(number);
            let has_left = matches!(error, Errno::PIPE | Errno::CONNRESET);
            return if has_left { Ok(None) } else { Err(error.into()) };
        }
        place.connections.note_use(number, Instant::now());
        *connection.link() =
            Some(Link { socket, base, sequence: 0, is_promised: true, watch: LinkWatch::Unknown });
        Ok(Some((number, connection)))
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
                self.place.connections.close(number, &self.place.process());
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

    fn report(&self, broken: &Broken) {
        let text = format!(
            "WSGI1022: A connection from the server to daemon process '{}' is given up: {broken}. Its request was not taken, \
             and the server gives it to another process or sends it again. If this goes on, see that module and runtime \
             are of one version: restart the server after an update.",
            self.place.group
        );
        self.place.control.log(Level::Warning, text.as_bytes(), Wait::Socket);
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
            Ok(_) | Err(_) => return Look::Closed,
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
            self.report(&broken);
            After::Drop
        });
        self.watch.end();
        self.place.tally.finish(self.admitted.take());
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
            files_as_data: view.files_as_data,
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
