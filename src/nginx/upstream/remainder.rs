//! What is left of a reply that nobody waits for any more: the client has all of it, or it does not get this one. The worker
//! goes on, and what it still has to say is read, so that its lines are logged and the connection can be used again.

#![allow(unsafe_code, reason = "called by nginx for connections without a request")]

use std::cell::RefCell;
use std::io::IoSliceMut;
use std::os::fd::OwnedFd;
use std::slice;
use std::time::Duration;

use oxwsgi_client::ReplySink;
use oxwsgi_client::received::{self, Received};
use oxwsgi_client::reply::{Fault, Stage, Step};
use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::exchange::{FlowError, Head, Send};
use oxwsgi_core::report::Level;
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown, shutdown};

use super::attempt::Attempt;
use super::exchange::Exchange;
use super::group::Group;
use super::lines::Lines;
use super::link::User;
use crate::nginx::ffi;

/// How much is read of a body that nobody gets, in bytes, and for how long: after that the worker is told that its client has
/// gone.
const MOST: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the application may go on once its reply is complete (`close()`), without a word.
const LAST_PATIENCE: Duration = Duration::from_secs(60);

/// Read at once, in bytes.
const PIECE: usize = 16 * 1024;

thread_local! {
    static PIECE_READ: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE]);
}

/// A connection with the rest of a reply on it. Owned by its connection's event.
#[derive(Debug)]
pub struct Remainder {
    attempt: Attempt,
    group: &'static Group,
    context: Context,
    is_reusable: bool,
    /// Its `END` has come.
    is_over: bool,
    /// Bytes that nobody got.
    unsent: usize,
}

/// What is still known of the request.
#[derive(Debug)]
pub struct Context {
    /// The log of its location, which lives as long as the process.
    lines: Lines<'static>,
    /// Whose request it was.
    text: Box<[u8]>,
}

impl Context {
    /// That of a request.
    pub fn of(exchange: &Exchange) -> Self {
        let request = exchange.request();
        let text = [b", client: ", request.client(), b", request: \"", request.line(), b"\""].concat();
        Self { lines: exchange.lines_to(request.location_log()), text: text.into() }
    }
}

impl Exchange {
    /// Whether the rest of the reply may come, though its client does not get it from here: all is well with both.
    pub fn wants_rest(&self) -> bool {
        let r = self.request().as_raw();
        // SAFETY: the request is alive; read by value.
        let (connection, upstream) = unsafe { (&*(*r).connection, &*(*r).upstream) };
        let is_well = connection.error() == 0 && connection.timedout() == 0;
        let is_answered = match self.finished {
            Some(ffi::NGX_OK | ffi::NGX_AGAIN | ffi::NGX_DECLINED) => true,
            // The server answers with its own page.
            Some(status) => {
                status >= ffi::NGX_HTTP_SPECIAL_RESPONSE
                    && upstream.header_sent() == 0
                    && status != ffi::NGX_HTTP_CLIENT_CLOSED_REQUEST
            }
            None => false,
        };
        is_well && is_answered && self.stage() != Stage::Silent
    }
}

/// Takes what has been read behind the head of a reply whose body no filter has taken.
pub fn take_read_bytes(exchange: &mut Exchange) {
    if exchange.is_body_begun || exchange.stage() == Stage::Silent {
        return;
    }
    exchange.is_body_begun = true;
    let mut sink = Discarded { lines: exchange.lines(), text: &[], unsent: &mut 0 };
    exchange.feed(unread(exchange), &mut sink);
}

/// What nginx has read, and nobody taken yet.
fn unread<'r>(exchange: &Exchange) -> &'r [u8] {
    let upstream = exchange.upstream();
    // SAFETY: the request's upstream, which nginx does not use during the call; both are read by value.
    let (first, last) = unsafe { ((*upstream).buffer.pos, (*upstream).buffer.last) };
    if first.is_null() {
        return &[];
    }
    // SAFETY: both are in the same buffer, into which nginx has read so far, and which lives as long as the request.
    unsafe { slice::from_raw_parts(first, last.offset_from_unsigned(first)) }
}

/// Takes what the worker has sent until now to a client that has gone, for the lines of the log among it. Nothing more is
/// taken from it, which it learns when it writes, and then it logs for itself.
pub fn take_last_lines(exchange: &Exchange, attempt: &mut Attempt) {
    // A worker that has ended need not be told.
    let _ = shutdown(attempt.connection.socket.socket(), Shutdown::Read);
    let mut sink = Discarded { lines: exchange.lines(), text: &[], unsent: &mut 0 };
    // Behind the head it has been taken.
    let rest = if attempt.reply.stage == Stage::Silent { unread(exchange) } else { &[] };
    let mut step = attempt.feed(rest, &mut sink);
    while let Ok(Step::More { .. }) = step {
        let Piece::Step(next) = take_piece(attempt, &mut sink) else { return };
        step = next;
    }
}

/// What a read of a connection has come to.
enum Piece {
    /// There is nothing now.
    Nothing,
    /// Nothing more will come.
    Last,
    /// Frames.
    Step(Result<Step, Fault>),
}

/// Reads once and takes what it brings.
fn take_piece(attempt: &mut Attempt, sink: &mut Discarded<'_>) -> Piece {
    PIECE_READ.with_borrow_mut(|room| {
        let socket = attempt.connection.socket.socket();
        match received::receive(socket, &mut [IoSliceMut::new(room)], RecvFlags::DONTWAIT) {
            Ok(Received { count: 0, .. }) => Piece::Last,
            Ok(Received { count, enclosed }) => {
                let taken = attempt.reply.add_descriptor(enclosed);
                Piece::Step(taken.and_then(|()| attempt.feed(&room[..count], sink)))
            }
            Err(Errno::AGAIN) => Piece::Nothing,
            Err(_) => Piece::Last,
        }
    })
}

impl Remainder {
    /// Reads on, with nginx's loop. The connection is used again afterwards when it `is_reusable`.
    pub fn start(attempt: Attempt, group: &'static Group, context: Context, is_reusable: bool) {
        // SAFETY: set by signals and read by value, on the same thread.
        let ends = unsafe { ffi::ngx_terminate } != 0;
        if ends || !attempt.connection.socket.watch() {
            return;
        }
        let is_complete = attempt.reply.stage == Stage::Complete;
        let patience = if is_complete { LAST_PATIENCE } else { PATIENCE };
        let mut this = Box::new(Self { attempt, group, context, is_reusable, is_over: false, unsent: 0 });
        if this.attempt.reply.asked && !is_reusable {
            this.refuse_body();
        }
        let raw = Box::into_raw(this);
        // SAFETY: just made.
        let link = unsafe { &(*raw).attempt.connection.socket };
        link.hand_over(User { data: raw.cast(), read: on_read }, patience);
        let event = link.read();
        // SAFETY: the event of a connection that is open; read by value.
        if unsafe { (*event).ready() } != 0 {
            // SAFETY: as above, and handed over.
            unsafe { on_read(event) };
        }
    }

    /// Nobody sends the rest of the request's body: an application that waits for it learns so at once.
    fn refuse_body(&mut self) {
        self.is_reusable = false;
        // When the worker has ended there is nobody to be told.
        let _ = shutdown(self.attempt.connection.socket.socket(), Shutdown::Write);
    }

    /// Reads what there is; whether more may come.
    fn read(&mut self) -> bool {
        loop {
            let asked = self.attempt.reply.asked;
            let Context { lines, text } = &self.context;
            let mut sink = Discarded { lines: *lines, text, unsent: &mut self.unsent };
            let piece = take_piece(&mut self.attempt, &mut sink);
            if self.attempt.reply.asked && !asked {
                self.refuse_body();
            }
            match piece {
                Piece::Nothing => return true,
                Piece::Step(Ok(Step::More { .. })) if self.unsent <= MOST => {}
                Piece::Step(Ok(Step::End(_))) => {
                    self.is_over = true;
                    return false;
                }
                Piece::Step(_) | Piece::Last => return false,
            }
        }
    }
}

unsafe extern "C" fn on_read(event: *mut ffi::ngx_event_t) {
    catch!((), {
        // SAFETY: nginx passes the event of a connection whose data is its remainder.
        let (connection, record) = unsafe { ((*event).data.cast::<ffi::ngx_connection_t>(), &mut *event) };
        // SAFETY: as above; nobody else uses it during the call.
        let raw = unsafe { (*connection).data.cast::<Remainder>() };
        // SAFETY: as above.
        let this = unsafe { &mut *raw };
        // SAFETY: as above; both are read by value. nginx ends, and waits for nobody any more (`worker_shutdown_timeout`).
        let is_closing = unsafe { (*connection).close() | (*connection).error() } != 0;
        if !is_closing && record.timedout() == 0 && this.read() {
            record.set_ready(0);
            if this.attempt.connection.socket.watch() {
                return;
            }
        }
        // SAFETY: made by `start`, and not used by the connection any more.
        let this = *unsafe { Box::from_raw(raw) };
        if this.is_over && this.is_reusable {
            record.set_ready(0);
            this.group.put(this.attempt.connection);
        }
    });
}

/// Drops the body.
struct Discarded<'a> {
    lines: Lines<'a>,
    text: &'a [u8],
    unsent: &'a mut usize,
}

impl ReplySink for Discarded<'_> {
    fn take_head(&mut self, _head: &Head<'_>) -> Result<(), FlowError> {
        Ok(())
    }

    fn take_blocks(&mut self, blocks: &[Bytes<'_>], _flags: Send) -> Result<(), FlowError> {
        *self.unsent += blocks.iter().map(|block| block.len()).sum::<usize>();
        Ok(())
    }

    fn take_file(&mut self, _file: OwnedFd, _: u64, _: u64, _: Send) -> Result<(), FlowError> {
        Ok(())
    }

    fn take_line(&mut self, level: Level, line: &[u8]) {
        self.lines.take(level, &[line, self.text].concat());
    }

    fn wants_line(&self, level: Level) -> bool {
        self.lines.wants(level)
    }
}
