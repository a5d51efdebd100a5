//! The body of a request on its way from the server's exchange to the worker: read ahead when it is short, else only once
//! the application asks for it, and then beside the reply, for neither direction may wait for the other.

use std::io::ErrorKind;

use oxwsgi_core::request::{BodyLength, RequestView};
use oxwsgi_core::wire::{HEADER, Inline, encode_body_end, encode_body_failed, encode_body_header};

use crate::buffers::{FRAMED_PIECE, PIECE};
use crate::exchange::ServerExchange;
use crate::socket::Socket;

/// A body up to this length goes with its request, in bytes, so that it is still there when the request has to be sent
/// again.
const SHORT: u64 = 16 * 1024;

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
        let state = match view.body {
            BodyLength::None => State::Inline,
            BodyLength::Bytes(length) if length <= SHORT && !expects_continue(view) => {
                read_ahead(exchange, ahead)
            }
            _ => State::Flowing,
        };
        Self { ahead, taken: 0, piece, sent: 0, state, flowed: 0, gone: 0 }
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
            encode_body_failed(self.piece, &exchange.error_text());
            self.state = State::Ended;
        }
        !self.piece.is_empty()
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
