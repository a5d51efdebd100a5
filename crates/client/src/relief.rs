//! The way of a reply to a client that may still be sending the body of its request, which the application has not asked
//! for. Such a client may not read before it has sent everything, so nothing is written to it that it may not take:
//! while it takes nothing, what it sends is taken off its connection. Used by the attempt, on the request's thread.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::exchange::{Exchange, FlowError, Head, Send};
use oxwsgi_core::report::Level;
use rustix::io::{Errno, pread};

use crate::body::{Body, TakenOff};
use crate::exchange::ServerExchange;
use crate::patience::LOOK;
use crate::socket::wait_for_client;

/// So much of a reply fits between a server and a client that does not read, in the buffers of both, in bytes.
const START: u64 = 64 * 1024;

/// So much is written once there is room on the client's connection, in bytes. TCP says that there is when about a third
/// of its buffer is free, and that is more than this on any network.
const PIECE: usize = 8 * 1024;

/// When what has come to the connection is no part of the body yet (a part of a TLS record), it is not looked at for so
/// long.
const PAUSE: Duration = Duration::from_millis(32);

/// The exchange of a request whose body is in the way.
#[derive(Debug)]
pub struct Relief<'a, 'b, E> {
    exchange: &'a mut E,
    body: &'a mut Body<'b>,
    /// Bytes of the reply so far.
    sent: &'a mut u64,
}

impl<'a, 'b, E: ServerExchange> Relief<'a, 'b, E> {
    /// For some more of a reply of which `sent` bytes have gone out.
    pub const fn new(exchange: &'a mut E, body: &'a mut Body<'b>, sent: &'a mut u64) -> Self {
        Self { exchange, body, sent }
    }

    /// How many bytes of `length` can be written now: waits until there is room for some. All when there is no reason to
    /// wait any more.
    fn room(&mut self, length: u64) -> Result<u64, FlowError> {
        let start = START.saturating_sub(*self.sent);
        if length <= start {
            return Ok(length);
        }
        if start > 0 {
            return Ok(start);
        }
        let limit = self.exchange.client_timeout();
        let mut since = Instant::now();
        let mut is_read = true;
        while self.body.is_in_the_way() {
            let Some(client) = self.exchange.body_descriptor() else { break };
            let look = if is_read { LOOK.min(limit) } else { PAUSE };
            // What is wrong with the connection is for the server to find when it writes.
            let Ok(ready) = wait_for_client(client, is_read, look) else { break };
            if ready.room {
                return Ok(length.min(PIECE as u64));
            }
            is_read = true;
            if ready.body {
                match self.body.take_off(self.exchange) {
                    TakenOff::Some => since = Instant::now(),
                    TakenOff::Nothing => is_read = false,
                    TakenOff::End => {}
                }
            }
            if since.elapsed() >= limit {
                return Err(FlowError::ClientGone);
            }
        }
        Ok(length)
    }
}

impl<E: ServerExchange> Exchange for Relief<'_, '_, E> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, FlowError> {
        self.exchange.read(buffer)
    }

    fn send_head(&mut self, head: &Head<'_>) -> Result<(), FlowError> {
        self.exchange.send_head(head)
    }

    fn send(&mut self, blocks: &[Bytes<'_>], flags: Send) -> Result<(), FlowError> {
        let mut left: u64 = blocks.iter().map(|block| block.len() as u64).sum();
        if left == 0 || *self.sent + left <= START {
            *self.sent += left;
            return self.exchange.send(blocks, flags);
        }
        for block in blocks {
            let mut rest: &[u8] = block;
            while !rest.is_empty() {
                let room = self.room(rest.len() as u64)?;
                let (piece, after) = rest.split_at(usize::try_from(room).unwrap_or(rest.len()));
                rest = after;
                left -= room;
                *self.sent += room;
                let flags = if left == 0 { flags } else { Send::MORE };
                self.exchange.send(&[Bytes::new(piece)], flags)?;
            }
        }
        Ok(())
    }

    fn send_file(&mut self, descriptor: i32, offset: u64, length: u64, flags: Send) -> Result<(), FlowError> {
        self.exchange.send_file(descriptor, offset, length, flags)
    }

    fn log(&mut self, level: Level, line: &[u8]) {
        self.exchange.log(level, line);
    }

    fn error_text(&mut self) -> String {
        self.exchange.error_text()
    }
}

impl<E: ServerExchange> ServerExchange for Relief<'_, '_, E> {
    fn send_received_file(
        &mut self,
        file: BorrowedFd<'_>,
        mut offset: u64,
        mut length: u64,
        flags: Send,
    ) -> Result<(), FlowError> {
        let mut buffer = [0; PIECE];
        loop {
            let room = self.room(length)?;
            let most = usize::try_from(room).unwrap_or(PIECE).min(PIECE);
            let read = if room == length { Ok(0) } else { pread(file, &mut buffer[..most], offset) };
            let count = match read {
                Err(Errno::INTR) => continue,
                // The rest in one piece; and a file that cannot be read, or not so far, is for the server to find so.
                Ok(0) | Err(_) => {
                    *self.sent += length;
                    return self.exchange.send_received_file(file, offset, length, flags);
                }
                Ok(count) => count,
            };
            self.exchange.send(&[Bytes::new(&buffer[..count])], Send::MORE)?;
            *self.sent += count as u64;
            offset += count as u64;
            length -= count as u64;
        }
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, FlowError> {
        self.exchange.try_read(buffer)
    }

    fn body_descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.exchange.body_descriptor()
    }

    fn client_timeout(&self) -> Duration {
        self.exchange.client_timeout()
    }

    fn wants(&self, level: Level) -> bool {
        self.exchange.wants(level)
    }

    fn wants_more(&self) -> bool {
        self.exchange.wants_more()
    }

    fn set_retry_after(&mut self, delay: Duration) {
        self.exchange.set_retry_after(delay);
    }

    fn set_send_timeout(&mut self, limit: Duration) {
        self.exchange.set_send_timeout(limit);
    }
}
