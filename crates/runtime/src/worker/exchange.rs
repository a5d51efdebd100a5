//! The byte flows of a request over its connection to the server. Blocks, so callers are detached; reads and writes take at most
//! `socket-timeout`, which the socket was told when it was accepted.

use std::io::{self, IoSlice, Read};
use std::os::fd::{AsFd, BorrowedFd};

use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::daemon::board::{Mark, Process};
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::exchange::{Exchange, FlowError, Head, Outcome, RetryReason, Send};
use oxwsgi_core::os::file;
use oxwsgi_core::os::packet::Wait;
use oxwsgi_core::os::withheld;
use oxwsgi_core::report::Level;
use oxwsgi_core::wire::{
    BodyError, BodyFlow, LAST_SEQUENCE, LONGEST_HEAD, MOST_DATA, MOST_HEAD_FIELDS, announce_file,
    encode_data_header, encode_end, encode_file, encode_head, encode_log, encode_read,
};
use rustix::net::{RecvFlags, SendFlags, recv};

use crate::worker::control::Control;
use crate::worker::tally::Tally;
use crate::worker::transmission::transmit;

/// A block up to this size is copied behind the head: cheaper than to hand both to the kernel one by one, in bytes.
const SMALL: usize = 8 * 1024;

/// Blocks of one frame, at most: the kernel takes 1024 parts at once (`IOV_MAX`).
const MOST_BLOCKS: usize = 500;

/// What an exchange needs of its process and its connection.
pub struct Surroundings<'a> {
    /// The connection's socket.
    pub socket: BorrowedFd<'a>,
    /// The process's slot of the board.
    pub process: Process<'a>,
    /// The connection's mark.
    pub mark: Mark<'a>,
    /// The process's counts.
    pub tally: &'a Tally,
    /// Whether the request keeps the process from being idle (`WSGIIgnoreActivity` says that it does not).
    pub is_activity: bool,
    /// Whether files go as `DATA`.
    pub files_as_data: bool,
    /// The process's log.
    pub control: &'static Control,
    /// Whose words messages use.
    pub dialect: Dialect,
    /// Stops events on the connection: what comes from now on is the request's body.
    pub mute: &'a (dyn Fn() + Sync),
}

/// The flows of one request.
pub struct SocketExchange<'a> {
    around: Surroundings<'a>,
    sequence: u32,
    /// What came with the request and was not read yet.
    inline: &'a [u8],
    /// The rest of the body has to be asked for.
    has_more: bool,
    flow: Option<BodyFlow>,
    /// Frames that are not sent yet.
    output: &'a mut Vec<u8>,
    /// Where the `HEAD` begins in `output`, when it is the last frame there.
    head: Option<usize>,
    has_ticket: bool,
    is_ended: bool,
    is_lost: bool,
    error: String,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It waits for the next request.
    Keep,
    /// It is closed. Its mark is to say so beforehand: no request is under way on it.
    Close,
    /// It is closed, and its mark goes on saying how far the request was.
    Drop,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SocketExchange<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketExchange").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl<'a> SocketExchange<'a> {
    /// For the request that has number `sequence` on its mark, for which a ticket was taken. `inline` came with it; the
    /// rest of its body, when it `has_more`, has to be asked for. `output` is empty memory.
    pub fn new(
        around: Surroundings<'a>,
        sequence: u32,
        inline: &'a [u8],
        has_more: bool,
        output: &'a mut Vec<u8>,
    ) -> Self {
        Self {
            around,
            sequence,
            inline,
            has_more,
            flow: None,
            output,
            head: None,
            has_ticket: true,
            is_ended: false,
            is_lost: false,
            error: String::new(),
        }
    }

    /// Ends the reply, if it has not ended yet.
    pub fn finish(mut self, outcome: Outcome) -> After {
        let is_given_away = matches!(outcome, Outcome::Retry(RetryReason::Reload | RetryReason::Stopping));
        if !self.is_ended && !self.is_lost {
            encode_end(self.output, outcome);
            if is_given_away {
                // Nobody sends another request here; and this one was not taken, whatever becomes of the answer.
                self.around.mark.close();
            } else {
                self.let_next_come();
            }
            // What fails is seen by what is lost.
            let _ = self.flush(true);
        }
        self.give_ticket();
        if self.is_lost {
            After::Drop
        } else if is_given_away || self.around.tally.is_closing() || !self.is_reusable() {
            After::Close
        } else {
            After::Keep
        }
    }

    #[inline]
    fn note_activity(&self) {
        if self.around.is_activity {
            self.around.tally.note_activity();
        }
    }

    /// Whether the connection is where it was before the request: nothing of a body is on its way.
    fn is_reusable(&self) -> bool {
        self.sequence < LAST_SEQUENCE && self.flow.as_ref().is_none_or(BodyFlow::is_over)
    }

    /// Nothing is done for this request any more, but to send what there is: the connection and the thread are free.
    fn let_next_come(&mut self) {
        if withheld::is_in_forked_child() {
            // The request is the parent's, and so are its mark and its ticket.
            return;
        }
        if let Some(flow) = &mut self.flow {
            flow.settle(&mut Incoming(self.around.socket, RecvFlags::DONTWAIT));
        }
        if self.is_reusable() {
            self.around.mark.finish(self.sequence);
        }
        self.give_ticket();
    }

    fn give_ticket(&mut self) {
        if std::mem::take(&mut self.has_ticket) {
            self.around.process.give_ticket();
        }
    }

    /// Sends the frames that are ready. After the last the thread is as good as free already.
    fn flush(&mut self, is_last: bool) -> Result<(), FlowError> {
        let output = std::mem::take(self.output);
        let sent = self.transmit(&mut [IoSlice::new(&output)], is_last);
        *self.output = output;
        self.output.clear();
        sent
    }

    fn transmit(&mut self, mut parts: &mut [IoSlice<'_>], is_last: bool) -> Result<(), FlowError> {
        self.head = None;
        if self.is_lost {
            return Err(FlowError::ClientGone);
        }
        self.note_activity();
        let sent = if is_last {
            self.transmit_last(&mut parts)
        } else {
            transmit(self.around.socket, &mut parts, SendFlags::empty())
        };
        sent.map_err(|error| self.lose(&error))
    }

    /// The ticket was given before, so that the next request may be on its way already. When a slow server makes this thread
    /// wait all the same, it takes the ticket back.
    fn transmit_last(&self, parts: &mut &mut [IoSlice<'_>]) -> io::Result<()> {
        transmit(self.around.socket, parts, SendFlags::DONTWAIT)?;
        if parts.is_empty() {
            return Ok(());
        }
        let is_taken = self.around.process.take_ticket();
        let sent = transmit(self.around.socket, parts, SendFlags::empty());
        if is_taken {
            self.around.process.give_ticket();
        }
        sent
    }

    fn lose(&mut self, error: &io::Error) -> FlowError {
        self.is_lost = true;
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => FlowError::ClientGone,
            _ => self.fail(error),
        }
    }

    fn fail(&mut self, error: &io::Error) -> FlowError {
        self.error = match error.kind() {
            io::ErrorKind::WouldBlock => {
                let option = self.around.dialect.option("socket-timeout");
                format!("the server did not take or send anything for the time of {option}")
            }
            _ => error.to_string(),
        };
        FlowError::Failed
    }

    /// Appends the header of a `DATA` frame, and the blocks.
    fn append(&mut self, blocks: &[Bytes<'_>], length: usize, flags: Send) {
        self.head = None;
        self.output.extend_from_slice(&encode_data_header(length, flags));
        blocks.iter().for_each(|block| self.output.extend_from_slice(block));
    }

    /// Sends one `DATA` frame after what is ready, and an `END` after it when the reply `ends`.
    fn send_frame(&mut self, blocks: &[&[u8]], flags: Send, ends: bool) -> Result<(), FlowError> {
        let length = blocks.iter().map(|block| block.len()).sum();
        let mut output = std::mem::take(self.output);
        output.extend_from_slice(&encode_data_header(length, flags));
        let mut end = Vec::new();
        if ends {
            encode_end(&mut end, Outcome::Sent);
        }
        let parts = [output.as_slice()].into_iter().chain(blocks.iter().copied()).chain([end.as_slice()]);
        let mut parts: Vec<IoSlice<'_>> = parts.map(IoSlice::new).collect();
        let sent = self.transmit(&mut parts, ends);
        output.clear();
        *self.output = output;
        sent
    }

    fn send_large(&mut self, blocks: &[Bytes<'_>], flags: Send, ends: bool) -> Result<(), FlowError> {
        let pieces = blocks.iter().flat_map(|block| block.as_slice().chunks(MOST_DATA));
        let mut frame: Vec<&[u8]> = Vec::new();
        let mut length = 0;
        for piece in pieces {
            if length + piece.len() > MOST_DATA || frame.len() == MOST_BLOCKS {
                self.send_frame(&frame, Send::MORE, false)?;
                frame.clear();
                length = 0;
            }
            length += piece.len();
            frame.push(piece);
        }
        if ends {
            self.end();
        }
        self.send_frame(&frame, flags, ends)
    }

    /// Sends a part of a file as `DATA`, for the server has been told that there would be no file: another thread of the
    /// application has logged something just now, and the head went out with it.
    fn send_copy(
        &mut self,
        descriptor: i32,
        mut offset: u64,
        length: u64,
        flags: Send,
    ) -> Result<(), FlowError> {
        let end = offset.saturating_add(length);
        let mut piece = vec![0; usize::try_from(length).unwrap_or(MOST_DATA).min(MOST_DATA)];
        while offset < end {
            let wanted = usize::try_from(end - offset).unwrap_or(MOST_DATA).min(piece.len());
            let count = match file::read_at(descriptor, &mut piece[..wanted], offset) {
                Ok(0) => Err(self.fail(&io::Error::other("the file has become shorter"))),
                Ok(count) => Ok(count),
                Err(error) => Err(self.fail(&error)),
            }?;
            offset += count as u64;
            let flags = if offset < end { Send::MORE } else { flags };
            self.send(&[Bytes::new(&piece[..count])], flags)?;
        }
        Ok(())
    }

    /// The reply ends with what is sent next.
    fn end(&mut self) {
        self.is_ended = true;
        self.let_next_come();
    }
}

impl Exchange for SocketExchange<'_> {
    fn accepted(&mut self) {
        self.around.mark.accept(self.sequence);
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, FlowError> {
        self.note_activity();
        if !self.inline.is_empty() {
            // Copies; it cannot fail.
            return Ok(self.inline.read(buffer).unwrap_or(0));
        }
        if !self.has_more {
            return Ok(0);
        }
        if self.is_lost {
            return Err(FlowError::ClientGone);
        }
        if self.flow.is_none() {
            (self.around.mute)();
            self.flow = Some(BodyFlow::default());
            encode_read(self.output);
            self.flush(false)?;
        }
        let Some(flow) = &mut self.flow else { return Ok(0) };
        match flow.read(buffer, &mut Incoming(self.around.socket, RecvFlags::empty())) {
            Ok(count) => Ok(count),
            Err(BodyError::Gone) => {
                self.is_lost = true;
                Err(FlowError::ClientGone)
            }
            Err(BodyError::Failed(text)) => {
                self.error = text;
                Err(FlowError::Failed)
            }
            Err(BodyError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Err(self.fail(&error)),
            Err(BodyError::Io(error)) => Err(self.lose(&error)),
            Err(BodyError::Wire(error)) => Err(self.lose(&io::Error::other(error))),
        }
    }

    fn send_head(&mut self, head: &Head<'_>) -> Result<(), FlowError> {
        let start = self.output.len();
        if encode_head(self.output, head) {
            self.head = Some(start);
            return Ok(());
        }
        self.error = format!(
            "the status and headers of the response are too long: {MOST_HEAD_FIELDS} headers and {} KiB are the most that can \
             be sent",
            LONGEST_HEAD / 1024
        );
        Err(FlowError::Failed)
    }

    fn send(&mut self, blocks: &[Bytes<'_>], flags: Send) -> Result<(), FlowError> {
        let length = blocks.iter().map(|block| block.len()).sum();
        let ends = flags.has(Send::LAST | Send::DONE);
        let flags = Send(flags.0 & (Send::FLUSH | Send::LAST).0);
        if length > SMALL {
            return self.send_large(blocks, flags, ends);
        }
        if length > 0 || (flags != Send::MORE && !ends) {
            self.append(blocks, length, flags);
        }
        if ends {
            encode_end(self.output, Outcome::Sent);
            self.end();
        } else if flags == Send::MORE && (length == 0 || self.output.len() < SMALL) {
            return Ok(());
        }
        self.flush(ends)
    }

    fn send_file(&mut self, descriptor: i32, offset: u64, length: u64, flags: Send) -> Result<(), FlowError> {
        if length == 0 {
            return self.send(&[], flags);
        }
        if self.is_lost {
            return Err(FlowError::ClientGone);
        }
        let Some(head) = self.head.take().filter(|_| !self.around.files_as_data) else {
            return self.send_copy(descriptor, offset, length, flags);
        };
        announce_file(&mut self.output[head..]);
        // Whoever sends a file has its `close` to call.
        encode_file(self.output, offset, length, Send(flags.0 & (Send::FLUSH | Send::LAST).0));
        let sent =
            file::pass(self.around.socket, self.output, descriptor).map_err(|error| self.lose(&error))?;
        self.output.drain(..sent);
        self.flush(false)
    }

    fn log(&mut self, level: Level, line: &[u8]) {
        if !self.is_ended && !self.is_lost {
            encode_log(self.output, level, line);
            if self.flush(false).is_ok() {
                return;
            }
        }
        // Nobody is left who would log it on the request.
        self.around.control.log(level, line, Wait::Socket);
    }

    fn error_text(&mut self) -> String {
        std::mem::take(&mut self.error)
    }
}

/// What comes in on a socket.
struct Incoming<'a>(BorrowedFd<'a>, RecvFlags);

impl Read for Incoming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self.0.as_fd(), buffer, self.1)?.1)
    }
}
