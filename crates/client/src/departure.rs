//! A reply that nobody wants the rest of, for its client has gone. What the application has written to its log up to then
//! lies among bytes that nobody gets any more, and is logged all the same. Used by the attempt, on the request's thread.

use std::os::fd::OwnedFd;

use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::exchange::{FlowError, Head, Send};
use oxwsgi_core::report::Level;

use crate::exchange::ReplySink;

/// The way of a reply to a client that may go. Once it has gone only lines of the log arrive.
#[derive(Debug)]
pub struct Departure<'a, S> {
    sink: &'a mut S,
    has_gone: &'a mut bool,
}

impl<'a, S: ReplySink> Departure<'a, S> {
    /// For some more of a reply whose client is there or `has_gone`.
    pub const fn new(sink: &'a mut S, has_gone: &'a mut bool) -> Self {
        Self { sink, has_gone }
    }

    fn unless_gone(&mut self, take: impl FnOnce(&mut S) -> Result<(), FlowError>) -> Result<(), FlowError> {
        if *self.has_gone {
            return Ok(());
        }
        match take(self.sink) {
            Err(FlowError::ClientGone) => {
                *self.has_gone = true;
                Ok(())
            }
            result => result,
        }
    }
}

impl<S: ReplySink> ReplySink for Departure<'_, S> {
    fn take_head(&mut self, head: &Head<'_>) -> Result<(), FlowError> {
        self.unless_gone(|sink| sink.take_head(head))
    }

    fn take_blocks(&mut self, blocks: &[Bytes<'_>], flags: Send) -> Result<(), FlowError> {
        self.unless_gone(|sink| sink.take_blocks(blocks, flags))
    }

    fn take_file(&mut self, file: OwnedFd, offset: u64, length: u64, flags: Send) -> Result<(), FlowError> {
        self.unless_gone(|sink| sink.take_file(file, offset, length, flags))
    }

    fn take_line(&mut self, level: Level, line: &[u8]) {
        self.sink.take_line(level, line);
    }

    fn wants_line(&self, level: Level) -> bool {
        self.sink.wants_line(level)
    }
}
