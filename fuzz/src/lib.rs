//! What holds for any bytes that a decoder of oxwsgi is given: one function for each decoder. Each is a target for
//! `cargo fuzz`, and an ordinary test over bytes that are nearly right.
//!
//! None panics, none takes more bytes than there are, and what a decoder lets through comes out of its encoder again.

#![forbid(unsafe_code)]

use oxwsgi_core::daemon::{FromSupervisor, FromWorker, ToSupervisor, ToWorker, decode, encode};
use oxwsgi_core::exchange::ReplyHead;
use oxwsgi_core::wire::{
    BodyFrame, DecodedRequest, FrameHeader, HEADER, Kind, LONGEST_REQUEST, ReplyFrame, RequestHead,
    announce_file, encode_data_header, encode_end, encode_file, encode_head, encode_hello, encode_log,
    encode_read, encode_request, encode_retry,
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
    let mut rest = bytes;
    while let Ok(Some(frame)) = BodyFrame::decode(rest) {
        let length = match frame {
            BodyFrame::Piece(length) | BodyFrame::Failed(length) => length,
            BodyFrame::End => 0,
        };
        assert!(length <= 1 << 20);
        let Some(after) = rest.get(HEADER + length..) else { return };
        rest = after;
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

/// The messages between server, supervisor and workers.
pub fn message(bytes: &[u8]) {
    macro_rules! same {
        ($($message:ty)*) => {$(
            if let Some(message) = decode::<$message>(bytes) {
                // Compared as bytes, for a number that is none is not even itself.
                let again = decode::<$message>(&encode(&message)).expect("our own message");
                assert_eq!(encode(&message), encode(&again));
            }
        )*};
    }
    same!(FromSupervisor FromWorker ToSupervisor ToWorker);
}

#[cfg(test)]
mod tests;
