//! What holds for any bytes that a decoder of oxwsgi is given: one function for each decoder. Each is a target for
//! `cargo fuzz`, and an ordinary test over bytes that are nearly right.
//!
//! None panics, none takes more bytes than there are, and what a decoder lets through comes out of its encoder again.
//! `make fuzz` runs them all, from the [`seeds`] on.

#![forbid(unsafe_code)]

pub mod seeds;

use std::io::{self, Read};

use oxwsgi_core::daemon::{FromSupervisor, FromWorker, Plan, ToSupervisor, ToWorker, decode, encode};
use oxwsgi_core::exchange::ReplyHead;
use oxwsgi_core::wire::{
    BodyError, BodyFlow, BodyFrame, DecodedRequest, FrameHeader, HEADER, Kind, LONGEST_REQUEST, ReplyFrame,
    RequestHead, announce_file, encode_data_header, encode_end, encode_file, encode_head, encode_hello,
    encode_log, encode_read, encode_request, encode_retry,
};

/// A request, as a worker reads it from a server.
pub fn request(bytes: &[u8]) {
    let Ok(Some(header)) = RequestHead::frame(bytes) else { return };
    assert!(header.length <= LONGEST_REQUEST);
    let Some(payload) = bytes.get(HEADER..HEADER + header.length) else { return };
    let Ok(request) = DecodedRequest::decode(payload) else { return };
    let view = request.view();
    // Whatever is in there lies inside the frame, so it cannot be more.
    let texts = view.headers.iter().map(|field| field.name.len() + field.value.len());
    assert!(texts.sum::<usize>() <= payload.len());
    let mut once = Vec::new();
    encode_request(&mut once, &view, request.head.sequence, request.head.inline);
    // What means the same may be written in more than one way, but only one of them comes out.
    let again = DecodedRequest::decode(&once[HEADER..]).expect("our own frame");
    let mut twice = Vec::new();
    encode_request(&mut twice, &again.view(), again.head.sequence, again.head.inline);
    assert_eq!(once, twice);
}

/// The pieces of a body, as a worker reads them from a server.
pub fn body(bytes: &[u8]) {
    let expected = body_in(bytes);
    // However the frames come in, and however much is asked for: some of it goes past the buffer.
    for (portion, room) in [(3, 5), (usize::MAX, 100), (4096, 1 << 15)] {
        assert_eq!(body_out(bytes, portion, room), expected, "portions of {portion}, room for {room}");
    }
}

/// The body that these frames hold, and how it ends.
fn body_in(bytes: &[u8]) -> (Vec<u8>, String) {
    let (mut body, mut rest) = (Vec::new(), bytes);
    let end = loop {
        let frame = match BodyFrame::decode(rest) {
            Ok(Some(frame)) => frame,
            Ok(None) => break Err(BodyError::Gone),
            Err(error) => break Err(error.into()),
        };
        rest = &rest[HEADER..];
        match frame {
            BodyFrame::Piece(length) => {
                assert!(length <= 1 << 20);
                let (piece, after) = rest.split_at(length.min(rest.len()));
                body.extend_from_slice(piece);
                if piece.len() < length {
                    break Err(BodyError::Gone);
                }
                rest = after;
            }
            BodyFrame::End => break Ok(()),
            BodyFrame::Failed(length) => {
                assert!(length <= 1 << 10);
                let text = rest.get(..length).map(|text| String::from_utf8_lossy(text).into_owned());
                break Err(text.map_or(BodyError::Gone, BodyError::Failed));
            }
        }
    };
    (body, format!("{end:?}"))
}

/// The body that comes out of the worker's end of the connection, and how it ends.
fn body_out(bytes: &[u8], portion: usize, room: usize) -> (Vec<u8>, String) {
    let (mut flow, mut source) = (BodyFlow::default(), Portions(bytes, portion));
    let (mut body, mut room) = (Vec::new(), vec![0; room]);
    let end = loop {
        match flow.read(&mut room, &mut source) {
            Ok(0) => break Ok(()),
            Ok(count) => body.extend_from_slice(&room[..count]),
            Err(error) => break Err(error),
        }
    };
    (body, format!("{end:?}"))
}

/// A connection that gives its bytes in portions of this size.
struct Portions<'a>(&'a [u8], usize);

impl Read for Portions<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let portion = self.1.min(self.0.len());
        let count = (&self.0[..portion]).read(room)?;
        self.0 = &self.0[count..];
        Ok(count)
    }
}

/// The frames of a reply, as a server reads them from a worker that may be anybody.
pub fn reply(bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        let needed = ReplyFrame::needed(rest);
        let Ok(found) = ReplyFrame::decode(rest) else { return };
        let Some((frame, taken)) = found else {
            assert!(needed > rest.len(), "there is a frame in there, but it does not come out");
            return;
        };
        assert!((HEADER..=rest.len()).contains(&taken) && taken == needed);
        same_frame(&frame, &rest[..taken]);
        // Without its last byte it is not there yet.
        assert!(matches!(ReplyFrame::decode(&rest[..taken - 1]), Ok(None)));
        let skipped = if let ReplyFrame::Data(length, _) = frame { length } else { 0 };
        let Some(after) = rest.get(taken + skipped..) else { return };
        rest = after;
    }
}

/// What comes out of a frame of a reply is what was put into it.
fn same_frame(frame: &ReplyFrame<'_>, bytes: &[u8]) {
    let mut out = Vec::new();
    match frame {
        ReplyFrame::Hello(hello) => encode_hello(&mut out, *hello),
        ReplyFrame::Read => encode_read(&mut out),
        ReplyFrame::Head(decoded) => {
            let head = decoded.head();
            // Nor does a worker get anything past it that the runtime would not take of its application.
            let mut checked = ReplyHead::default();
            checked.set_status(&head.status_line).expect("a status line");
            for field in head.headers.iter() {
                checked.add(&field.name, &field.value).expect("a header field");
            }
            assert_eq!(checked.status(), head.status);
            let length = checked.content_length().map(|length| length.cast_signed());
            assert!(length.is_none_or(|length| length == head.content_length));
            assert!(encode_head(&mut out, &head));
            if decoded.announces_file() {
                announce_file(&mut out);
            }
        }
        ReplyFrame::Data(length, flags) => out.extend_from_slice(&encode_data_header(*length, *flags)),
        ReplyFrame::File(offset, length, flags) => encode_file(&mut out, *offset, *length, *flags),
        ReplyFrame::Log(level, line) => encode_log(&mut out, *level, line),
        ReplyFrame::End(outcome) => encode_end(&mut out, *outcome),
        ReplyFrame::Retry(reason) => encode_retry(&mut out, *reason),
    }
    let (ours, theirs) = (FrameHeader::decode(&out), FrameHeader::decode(bytes));
    let (Ok(Some(ours)), Ok(Some(theirs))) = (ours, theirs) else { unreachable!("both are frames") };
    assert_eq!((ours.kind, ours.length), (theirs.kind, theirs.length));
    assert!(ours.kind != Kind::Head || ours.flags == theirs.flags);
    assert_eq!(&out[HEADER..], &bytes[HEADER..]);
}

/// The messages between server, supervisor and workers, and the plan that the supervisor begins with.
pub fn message(bytes: &[u8]) {
    macro_rules! same {
        ($($message:ty)*) => {$(
            if let Some(message) = decode::<$message>(bytes) {
                let once = encode(&message);
                // Whatever is in there was in the packet, so it cannot be more.
                assert!(once.len() <= bytes.len());
                // Compared as bytes, for a number that is none is not even itself.
                let again = decode::<$message>(&once).expect("our own message");
                assert_eq!(once, encode(&again));
            }
        )*};
    }
    same!(FromSupervisor FromWorker Plan ToSupervisor ToWorker);
}

#[cfg(test)]
mod tests;
