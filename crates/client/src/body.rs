//! The body of a request on its way from the server's exchange to the worker: read ahead when it is short, else only once
//! the application asks for it, and then beside the reply, for neither direction may wait for the other. What is in the way
//! of a reply before that is set aside.

use std::io::{self, ErrorKind};

use oxwsgi_core::request::{BodyLength, RequestView};
use oxwsgi_core::wire::{HEADER, Inline, encode_body_end, encode_body_failed, encode_body_header};

use crate::buffers::{FRAMED_PIECE, PIECE};
use crate::exchange::ServerExchange;
use crate::socket::Socket;
use crate::spool::Spool;

/// A body up to this length goes with its request, in bytes, so that it is still there when the request has to be sent
/// again.
pub const SHORT: u64 = 16 * 1024;

/// A body being sent.
#[derive(Debug)]
pub struct Body<'b> {
    /// What was read before the request was sent, of which `taken` bytes are on their way.
    ahead: &'b mut Vec<u8>,
    taken: usize,
    /// What goes to the worker next, of which `sent` bytes have gone.
    piece: &'b mut Vec<u8>,
    sent: usize,
    state: State,
    /// What was read before anybody asked for it, and follows `ahead`.
    aside: Option<Spool>,
    /// Why some of what was read is lost.
    lost: Option<io::Error>,
    /// It may be read before anybody asks for it, and there may be more of it.
    can_be_taken_off: bool,
    /// Bytes read since the request was sent.
    flowed: u64,
    /// Bytes that have gone to the worker since then.
    gone: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// All of it is in `ahead`, and goes with the request.
    Inline,
    /// There is more than `ahead`.
    Flowing,
    /// It cannot be read; the worker is yet to learn of it.
    Failed,
    /// The worker has got its end, or will with `piece`.
    Ended,
    /// The worker takes no more.
    Unwanted,
}

/// What came of reading a body that nobody has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenOff {
    /// There was some, which has been set aside.
    Some,
    /// There is none at the moment.
    Nothing,
    /// There is none any more.
    End,
}

/// What keeps a body from going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Nothing: there is no more to be done.
    Done,
    /// The worker has no room for more.
    Room,
    /// The client has not sent more.
    More,
}

impl<'b> Body<'b> {
    /// The body of a request; reads it ahead when it is short and its client does not wait to be asked for it.
    pub fn new<E: ServerExchange>(
        view: &RequestView<'_>,
        exchange: &mut E,
        ahead: &'b mut Vec<u8>,
        piece: &'b mut Vec<u8>,
    ) -> Self {
        ahead.clear();
        piece.clear();
        let comes_unasked = view.body == BodyLength::None || !expects_continue(view);
        let state = match view.body {
            BodyLength::None => State::Inline,
            BodyLength::Bytes(length) if length <= SHORT && comes_unasked => read_ahead(exchange, ahead),
            _ => State::Flowing,
        };
        Self {
            ahead,
            taken: 0,
            piece,
            sent: 0,
            state,
            aside: None,
            lost: None,
            can_be_taken_off: comes_unasked,
            flowed: 0,
            gone: 0,
        }
    }

    /// What goes with the request.
    pub fn inline(&self) -> Inline<'_> {
        if self.state == State::Inline { Inline::All(self.ahead) } else { Inline::Nothing }
    }

    /// Whether the worker has no reason to ask for it.
    pub fn is_inline(&self) -> bool {
        self.state == State::Inline
    }

    /// Whether something is still to be sent, now that the worker has asked.
    pub fn is_pending(&self) -> bool {
        match self.state {
            State::Flowing | State::Failed => true,
            State::Ended => self.sent < self.piece.len(),
            State::Inline | State::Unwanted => false,
        }
    }

    /// Whether the client may send it before it reads any of the reply.
    pub fn is_in_the_way(&self) -> bool {
        self.can_be_taken_off && self.state == State::Flowing
    }

    /// Reads what has come of it, a piece at most, and sets it aside for whoever asks for it later.
    pub fn take_off<E: ServerExchange>(&mut self, exchange: &mut E) -> TakenOff {
        self.piece.resize(PIECE, 0);
        let read = exchange.try_read(self.piece);
        let taken = match read {
            Ok(Some(count)) if count > 0 => {
                self.flowed += count as u64;
                // Without a place for it the reply goes on all the same; only whoever asks will learn of it.
                if self.lost.is_none() {
                    let aside = self.aside.get_or_insert_with(Spool::new);
                    self.lost = aside.add(&self.piece[..count]).err();
                }
                TakenOff::Some
            }
            Ok(None) => TakenOff::Nothing,
            // A failure is there for the next who reads.
            Ok(Some(_)) | Err(_) => {
                self.can_be_taken_off = false;
                TakenOff::End
            }
        };
        self.piece.clear();
        taken
    }

    /// Bytes that have been read since the request was sent.
    pub const fn flowed(&self) -> u64 {
        self.flowed
    }

    /// Bytes that have gone to the worker, beside those that went with the request.
    pub const fn gone(&self) -> u64 {
        self.gone
    }

    /// Whether nothing of it is half-way.
    pub fn is_settled(&self, asked: bool) -> bool {
        match self.state {
            State::Inline => true,
            State::Ended => self.sent == self.piece.len(),
            State::Flowing | State::Failed => !asked,
            State::Unwanted => false,
        }
    }

    /// Sends what there is, until something would have to be waited for.
    pub fn pump<E: ServerExchange>(&mut self, socket: &Socket, exchange: &mut E) -> Pause {
        loop {
            while self.sent < self.piece.len() {
                match socket.send(&self.piece[self.sent..]) {
                    Ok(count) => {
                        self.sent += count;
                        self.gone += count as u64;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Pause::Room,
                    Err(_) => {
                        // What the worker has to say about it is still to be read.
                        self.state = State::Unwanted;
                        self.piece.clear();
                        self.sent = 0;
                        return Pause::Done;
                    }
                }
            }
            if matches!(self.state, State::Ended | State::Unwanted | State::Inline) {
                return Pause::Done;
            }
            if !self.fill(exchange) {
                return Pause::More;
            }
        }
    }

    /// Makes the next piece. False when there is nothing for one yet.
    fn fill<E: ServerExchange>(&mut self, exchange: &mut E) -> bool {
        self.sent = 0;
        self.piece.resize(FRAMED_PIECE, 0);
        let ahead = &self.ahead[self.taken..];
        let mut length = ahead.len().min(PIECE);
        self.piece[HEADER..HEADER + length].copy_from_slice(&ahead[..length]);
        self.taken += length;
        if self.taken == self.ahead.len() {
            length += self.take_aside(length);
        }
        let mut has_ended = false;
        while self.state == State::Flowing && length < PIECE {
            match exchange.try_read(&mut self.piece[HEADER + length..]) {
                Ok(Some(0)) => {
                    has_ended = true;
                    break;
                }
                Ok(Some(count)) => {
                    length += count.min(PIECE - length);
                    self.flowed += count as u64;
                }
                Ok(None) => break,
                Err(_) => self.state = State::Failed,
            }
        }
        self.piece.truncate(HEADER + length);
        if length == 0 {
            self.piece.clear();
        } else {
            self.piece[..HEADER].copy_from_slice(&encode_body_header(length));
        }
        if has_ended {
            self.piece.extend_from_slice(&encode_body_end());
            self.state = State::Ended;
        } else if matches!(self.state, State::Failed) && self.taken == self.ahead.len() {
            let text = self.lost.as_ref().map_or_else(
                || exchange.error_text(),
                |error| format!("The request body could not be kept in a temporary file: {error}"),
            );
            encode_body_failed(self.piece, &text);
            self.state = State::Ended;
        }
        !self.piece.is_empty()
    }

    /// Adds what was set aside to the next piece, which has `length` bytes; how many.
    fn take_aside(&mut self, length: usize) -> usize {
        let Some(aside) = &mut self.aside else { return 0 };
        let count = aside.take(&mut self.piece[HEADER + length..]).unwrap_or_else(|error| {
            self.lost = Some(error);
            0
        });
        let is_over = aside.is_empty();
        if self.lost.is_some() && (is_over || count == 0) {
            self.state = State::Failed;
        }
        if is_over || count == 0 {
            self.aside = None;
        }
        count
    }
}

/// The client sends its body only when it is asked to (RFC 9110 section 10.1.1), and that is the application's to decide.
fn expects_continue(view: &RequestView<'_>) -> bool {
    view.headers.iter().any(|field| field.name.len() == 6 && field.name.eq_ignore_ascii_case(b"expect"))
}

/// Reads a body that is said to be short. It may not be, for a filter may have made it longer.
fn read_ahead<E: ServerExchange>(exchange: &mut E, ahead: &mut Vec<u8>) -> State {
    let mut count = 0;
    // With room for a byte more than is short, the end shows.
    ahead.resize(SHORT as usize + 1, 0);
    let state = loop {
        if count == ahead.len() {
            break State::Flowing;
        }
        match exchange.read(&mut ahead[count..]) {
            Ok(0) => break State::Inline,
            Ok(more) => count += more,
            // The application is called all the same, and learns of it when it reads.
            Err(_) => break State::Failed,
        }
    };
    ahead.truncate(count);
    state
}
