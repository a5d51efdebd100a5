//! A reply on its way from the worker's frames to the server. Everything that comes is a claim: that the frames
//! are in a sensible order, that the body is as long as its head says, and that a descriptor is a file, is checked here.

use std::os::fd::{AsRawFd, OwnedFd};

use oxwsgi_core::borrowed::Slice;
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::exchange::{FlowError, Head, Outcome, RetryReason, Send};
use oxwsgi_core::os::file::regular_size;
use oxwsgi_core::report::Level;
use oxwsgi_core::wire::{HEADER, Hello, ReplyFrame};

use crate::exchange::ReplySink;
use crate::fields::JoinedFields;
use crate::pieces::Pieces;
use crate::problem::Problem;
use crate::received::Enclosed;
use crate::settings::ClientSettings;

/// How far a reply has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// No head yet.
    Silent,
    /// The head is the server's.
    Head,
    /// So is the end.
    Complete,
}

/// What is known of a file that is the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum File {
    /// There is none.
    No,
    /// It is the next frame.
    Announced,
    /// It has come, and nothing of a body comes after it.
    Come,
}

/// The reply to one request on one connection.
#[derive(Debug)]
pub struct Reply {
    /// Who has taken the connection.
    pub hello: Option<Hello>,
    /// There will be no body, whatever its length is said to be.
    pub is_head_request: bool,
    /// A filter of the server works on the body, and makes what it does depend on the blocks it gets: each goes to it as the
    /// application gave it.
    pub is_filtered: bool,
    /// Header fields of one name become one line before the server gets them.
    pub joins_fields: bool,
    /// The worker does not have all of the request's body.
    pub may_ask: bool,
    /// It has asked for it.
    pub asked: bool,
    /// How far it has come.
    pub stage: Stage,
    /// Rises with whatever brings the reply forward, and with lines for the log.
    pub progress: u64,
    /// The body's length, when its head says so and it must be kept to.
    declared: Option<u64>,
    /// Bytes of the body so far.
    counted: u64,
    /// What is still to come of a `DATA`, and what is to be done then.
    data: Option<(usize, Send)>,
    /// A part of the body is on its way to the client, or at least the head.
    is_under_way: bool,
    /// A descriptor whose frame has not come yet.
    descriptor: Option<OwnedFd>,
    /// Whether the body is a file. The server keeps its descriptor until the reply has gone out, so there is one at most.
    file: File,
    /// The longest line of the head.
    longest_line: usize,
    /// What the setting for that is called in.
    dialect: Dialect,
}

/// How the frames of a connection go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There must be more: as many bytes are done with, and the frame that starts there needs as many.
    More {
        /// Bytes done with.
        taken: usize,
        /// Bytes needed from there.
        needed: usize,
    },
    /// The reply is over, with nothing behind it.
    End(Outcome),
    /// The reply is over, and the worker has sent more than that.
    EndAndMore(Outcome),
    /// The request is given back.
    Retry(RetryReason),
}

/// Why the reply cannot go on.
#[derive(Debug)]
pub enum Fault {
    /// The worker's, or the configuration's.
    Problem(Problem),
    /// The server's, or its client's.
    Flow(FlowError),
}

impl From<FlowError> for Fault {
    fn from(error: FlowError) -> Self {
        Self::Flow(error)
    }
}

impl Reply {
    /// A reply of which nothing has come. `hello` is known where the connection was used before.
    pub const fn new(hello: Option<Hello>, settings: &ClientSettings) -> Self {
        Self {
            hello,
            is_head_request: false,
            is_filtered: false,
            joins_fields: true,
            may_ask: false,
            asked: false,
            stage: Stage::Silent,
            progress: 0,
            declared: None,
            counted: 0,
            data: None,
            is_under_way: false,
            descriptor: None,
            file: File::No,
            longest_line: settings.header_buffer_size,
            dialect: settings.dialect,
        }
    }

    /// The number of the process.
    pub fn pid(&self) -> Option<u32> {
        self.hello.map(|hello| hello.pid)
    }

    /// Whether a part of the body is on its way to the client, or at least the head.
    pub const fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// Whether the head has come, and the next frame is a file that is the whole body.
    pub fn announces_file(&self) -> bool {
        self.file == File::Announced
    }

    /// Takes what came with the bytes of a read.
    pub fn add_descriptor(&mut self, enclosed: Enclosed) -> Result<(), Fault> {
        match enclosed {
            Enclosed::Nothing => Ok(()),
            Enclosed::Lost => Err(Fault::Problem(Problem::Descriptor(self.pid()))),
            Enclosed::Descriptor(descriptor) if self.descriptor.is_none() => {
                self.descriptor = Some(descriptor);
                Ok(())
            }
            Enclosed::Descriptor(_) | Enclosed::TooMany => Err(self.file("more descriptors than one")),
        }
    }

    /// Hands frames in `bytes` on up to the head: [`Step::More`] behind it, with the rest of the bytes for
    /// [`take`](Self::take).
    pub fn take_head<S: ReplySink>(&mut self, bytes: &[u8], sink: &mut S) -> Result<Step, Fault> {
        self.take_frames(bytes, Stage::Head, &mut Pieces::default(), sink)
    }

    /// Hands all frames in `bytes` on; the pieces of the body that are in there together, together.
    pub fn take<S: ReplySink>(&mut self, bytes: &[u8], sink: &mut S) -> Result<Step, Fault> {
        let mut pieces = Pieces::default();
        let step = self.take_frames(bytes, Stage::Complete, &mut pieces, sink);
        match step {
            Ok(Step::End(Outcome::Sent) | Step::EndAndMore(Outcome::Sent))
                if self.stage != Stage::Complete =>
            {
                if self.is_short() {
                    pieces.flags |= Send::FLUSH;
                    self.pass(&mut pieces, sink)?;
                    return Err(self.order("less of the response's body than Content-Length says"));
                }
                // Nothing else follows, so there is nothing to hurry with.
                pieces.flags = Send::LAST;
                self.stage = Stage::Complete;
            }
            Ok(Step::End(Outcome::Sent) | Step::EndAndMore(Outcome::Sent))
                if pieces.flags.has(Send::LAST) =>
            {
                pieces.flags = Send::LAST;
            }
            // As far as it goes; a head alone can still be taken back.
            Ok(Step::End(_) | Step::EndAndMore(_)) if !pieces.is_empty() => pieces.flags |= Send::FLUSH,
            // Nobody takes anything more.
            Err(Fault::Flow(_)) => return step,
            _ => {}
        }
        let passed = self.pass(&mut pieces, sink);
        let step = step?;
        passed?;
        Ok(step)
    }

    fn take_frames<'b, S: ReplySink>(
        &mut self,
        bytes: &'b [u8],
        until: Stage,
        pieces: &mut Pieces<'b>,
        sink: &mut S,
    ) -> Result<Step, Fault> {
        let mut taken = 0;
        loop {
            let rest = &bytes[taken..];
            if let Some((left, flags)) = self.data {
                let piece = &rest[..left.min(rest.len())];
                taken += piece.len();
                self.add_data(piece, left, flags, pieces, sink)?;
                if self.data.is_some() {
                    return Ok(Step::More { taken, needed: 1 });
                }
                continue;
            }
            let frame = ReplyFrame::decode(rest)
                .map_err(|error| Fault::Problem(Problem::Frame(self.pid(), error)))?;
            let Some((frame, length)) = frame else {
                return Ok(Step::More { taken, needed: ReplyFrame::needed(rest) });
            };
            taken += length;
            let is_all = taken == bytes.len();
            let frame_is_hello = matches!(frame, ReplyFrame::Hello(_));
            if frame_is_hello == self.hello.is_some() {
                let what = if frame_is_hello { "a second HELLO" } else { "a frame before HELLO" };
                return Err(self.order(what));
            }
            if self.announces_file() && !matches!(frame, ReplyFrame::File(..)) {
                return Err(self.order("something else than the FILE that its HEAD has announced"));
            }
            // Of a body only its bytes count.
            self.progress += u64::from(!matches!(frame, ReplyFrame::Data(..)));
            match frame {
                ReplyFrame::Hello(hello) => self.hello = Some(hello),
                ReplyFrame::Read => self.ask()?,
                ReplyFrame::Head(head) => {
                    self.send_head(&head.head(), sink)?;
                    if head.announces_file() {
                        self.file = File::Announced;
                    }
                    if until == Stage::Head {
                        return Ok(Step::More { taken, needed: HEADER });
                    }
                }
                ReplyFrame::Data(length, flags) => self.announce(length, flags)?,
                ReplyFrame::File(offset, length, flags) => {
                    self.send_file(offset, length, flags, pieces, sink)?;
                }
                ReplyFrame::Log(level, line) => {
                    // What is worse than that concerns the whole server, of which no application can speak.
                    let level = level.max(Level::Critical);
                    if sink.wants_line(level) {
                        sink.take_line(level, line);
                    }
                }
                ReplyFrame::End(outcome) => {
                    let outcome = self.end(outcome)?;
                    return Ok(if is_all { Step::End(outcome) } else { Step::EndAndMore(outcome) });
                }
                ReplyFrame::Retry(reason) => {
                    if self.asked || self.stage != Stage::Silent {
                        return Err(self.order("a RETRY after the application was called"));
                    }
                    return Ok(Step::Retry(reason));
                }
            }
        }
    }

    fn ask(&mut self) -> Result<(), Fault> {
        if self.asked || !self.may_ask {
            let what = if self.asked { "a second READ" } else { "a READ for a body that it has" };
            return Err(self.order(what));
        }
        self.asked = true;
        Ok(())
    }

    fn send_head<S: ReplySink>(&mut self, head: &Head<'_>, sink: &mut S) -> Result<(), Fault> {
        if self.stage != Stage::Silent {
            return Err(self.order("a second HEAD"));
        }
        let joined = if self.joins_fields { JoinedFields::new(head.headers.as_slice()) } else { None };
        let fields = joined.as_ref().map(JoinedFields::fields);
        let headers = fields.as_deref().map_or(head.headers, Slice::new);
        let head = &Head { headers, ..*head };
        let is_long = |length: usize| length > self.longest_line;
        if is_long(head.status_line.len())
            || head.headers.iter().any(|field| is_long(field.name.len() + field.value.len() + 2))
        {
            return Err(Fault::Problem(Problem::LongLine(self.longest_line, self.dialect)));
        }
        let allows_body = !self.is_head_request && !matches!(head.status, 204 | 304);
        self.declared = u64::try_from(head.content_length).ok().filter(|_| allows_body);
        self.stage = Stage::Head;
        Ok(sink.take_head(head)?)
    }

    fn announce(&mut self, length: usize, flags: Send) -> Result<(), Fault> {
        if self.file == File::Come {
            return Err(self.order("more of a body that was a file"));
        }
        if length == 0 && !flags.has(Send::FLUSH) && !flags.has(Send::LAST) {
            return Err(self.order("an empty piece of a body for nothing"));
        }
        self.count(length as u64)?;
        self.data = Some((length, flags));
        Ok(())
    }

    /// Counts bytes of the body that are announced.
    fn count(&mut self, length: u64) -> Result<(), Fault> {
        match self.stage {
            Stage::Silent => return Err(self.order("a body before its HEAD")),
            Stage::Complete => return Err(self.order("more of a body that was complete")),
            Stage::Head => {}
        }
        self.counted = self.counted.saturating_add(length);
        if self.declared.is_some_and(|declared| self.counted > declared) {
            return Err(self.order("more of the response's body than Content-Length says"));
        }
        Ok(())
    }

    fn add_data<'b, S: ReplySink>(
        &mut self,
        piece: &'b [u8],
        left: usize,
        flags: Send,
        pieces: &mut Pieces<'b>,
        sink: &mut S,
    ) -> Result<(), Fault> {
        if !piece.is_empty() {
            self.progress += 1;
            if pieces.is_full() {
                let flags = std::mem::take(&mut pieces.flags);
                self.pass(pieces, sink)?;
                pieces.flags = flags;
            }
            pieces.add(piece);
        }
        self.data = (piece.len() < left).then(|| (left - piece.len(), flags));
        if self.data.is_none() {
            self.finish_part(flags, pieces, sink)?;
            if self.is_filtered && pieces.flags.has(Send::FLUSH) {
                self.pass(pieces, sink)?;
            }
        }
        Ok(())
    }

    /// Does what the flags of a part say, now that all of it is there.
    fn finish_part<S: ReplySink>(
        &mut self,
        flags: Send,
        pieces: &mut Pieces<'_>,
        sink: &mut S,
    ) -> Result<(), Fault> {
        if flags.has(Send::FLUSH) {
            pieces.flags |= Send::FLUSH;
        }
        if flags.has(Send::LAST) {
            if self.is_short() {
                pieces.flags |= Send::FLUSH;
                self.pass(pieces, sink)?;
                return Err(self.order("less of the response's body than Content-Length says"));
            }
            pieces.flags |= Send::LAST;
            self.stage = Stage::Complete;
        }
        Ok(())
    }

    /// Sends what has been gathered.
    fn pass<S: ReplySink>(&mut self, pieces: &mut Pieces<'_>, sink: &mut S) -> Result<(), FlowError> {
        let (blocks, flags) = pieces.take();
        if self.stage == Stage::Silent || (blocks.is_empty() && flags == Send::MORE) {
            return Ok(());
        }
        self.is_under_way = true;
        sink.take_blocks(blocks, flags)
    }

    fn is_short(&self) -> bool {
        self.declared.is_some_and(|declared| self.counted < declared)
    }

    fn send_file<S: ReplySink>(
        &mut self,
        offset: u64,
        length: u64,
        flags: Send,
        pieces: &mut Pieces<'_>,
        sink: &mut S,
    ) -> Result<(), Fault> {
        match std::mem::replace(&mut self.file, File::Come) {
            File::Announced => {}
            File::No => return Err(self.file("a file that its HEAD has not announced")),
            File::Come => return Err(self.file("more files than one")),
        }
        self.count(length)?;
        let Some(descriptor) = self.descriptor.take() else { return Err(self.file("no descriptor")) };
        let size = match regular_size(descriptor.as_raw_fd()) {
            Ok(Some(size)) => size,
            Ok(None) => return Err(self.file("a descriptor of what is no regular file")),
            Err(_) => return Err(self.file("a descriptor that cannot be looked at")),
        };
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(self.file("a part of a file that goes beyond its end"));
        }
        // Its head has announced it, so there is nothing before it.
        self.finish_part(flags, pieces, sink)?;
        let flags = std::mem::take(&mut pieces.flags);
        if length == 0 {
            pieces.flags = flags;
            return Ok(());
        }
        self.is_under_way = true;
        Ok(sink.take_file(descriptor, offset, length, flags)?)
    }

    fn end(&self, outcome: Outcome) -> Result<Outcome, Fault> {
        if self.descriptor.is_some() {
            return Err(self.file("a descriptor that belongs to nothing"));
        }
        Ok(match (outcome, self.stage) {
            (Outcome::Sent, Stage::Silent) => return Err(self.order("an END without a HEAD")),
            // The client has the whole of it already.
            (_, Stage::Complete) => Outcome::Sent,
            (outcome, _) => outcome,
        })
    }

    fn order(&self, what: &'static str) -> Fault {
        Fault::Problem(Problem::Order(self.pid(), what))
    }

    fn file(&self, what: &'static str) -> Fault {
        Fault::Problem(Problem::File(self.pid(), what))
    }
}
