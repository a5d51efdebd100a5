//! A reply on its way to the server. What a worker says of it is checked here as far as frames go; that the parts come in a
//! sensible order is the client's to check.

use super::field::{Reader, Write};
use super::frame::{FrameHeader, HEADER, Kind, WireError, framed};
use super::request::LAST_SEQUENCE;
use crate::borrowed::{Bytes, Slice};
use crate::exchange::{Head, Outcome, RetryReason, Send, check_field, check_status};
use crate::report::Level;
use crate::request::Field;

/// The most bytes of one `DATA` frame.
pub const MOST_DATA: usize = 1 << 20;
/// The longest line of a `LOG` frame, in bytes; longer ones are cut.
pub const LONGEST_LOG: usize = 16 * 1024;
/// The longest status and headers, in bytes. The server keeps copies of them in the request's memory.
pub const LONGEST_HEAD: usize = 128 * 1024;
/// The most header fields of a reply.
pub const MOST_HEAD_FIELDS: u32 = 512;

/// Flag of a `HEAD`: a `FILE` is the next frame, and the whole body.
const FILE_FOLLOWS: u8 = 1;
/// Where a frame's header has its flags.
const FLAGS: usize = 5;

/// Whose connection it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The process.
    pub pid: u32,
    /// Its slot of the group's board.
    pub slot: u32,
    /// The connection's mark in that slot.
    pub connection: u32,
    /// The number on that mark after which the connection's requests are numbered, below
    /// [`LAST_SEQUENCE`]; in frames they are numbered from 1.
    pub base: u32,
}

/// A frame of a reply. `DATA` is only announced: its bytes are read as they come.
#[derive(Debug)]
pub enum ReplyFrame<'a> {
    /// The connection is taken.
    Hello(Hello),
    /// The application wants the body.
    Read,
    /// Status and headers.
    Head(DecodedHead<'a>),
    /// As many bytes of the reply follow.
    Data(usize, Send),
    /// A part of a file: offset and length in bytes. Its descriptor comes with the frame's first byte, or with that of frames that
    /// were sent together with it.
    File(u64, u64, Send),
    /// A line for the request's log.
    Log(Level, &'a [u8]),
    /// The reply is over.
    End(Outcome),
    /// The request is given back.
    Retry(RetryReason),
}

/// Status and headers in a frame.
#[derive(Debug)]
pub struct DecodedHead<'a> {
    status: u16,
    status_line: &'a [u8],
    content_length: i64,
    fields: Vec<Field<'a>>,
    announces_file: bool,
}

impl DecodedHead<'_> {
    /// Whether the next frame is a `FILE`, and the whole body. Otherwise there is none in the reply.
    pub const fn announces_file(&self) -> bool {
        self.announces_file
    }

    /// The head.
    pub fn head(&self) -> Head<'_> {
        Head {
            status: self.status,
            status_line: Bytes::new(self.status_line),
            headers: Slice::new(&self.fields),
            content_length: self.content_length,
        }
    }
}

impl<'a> ReplyFrame<'a> {
    /// How many bytes there must be for [`decode`](Self::decode) to find the frame at the start of `bytes`, or its header.
    pub fn needed(bytes: &[u8]) -> usize {
        match FrameHeader::decode(bytes) {
            Ok(Some(header)) if header.kind != Kind::Data => HEADER + header.length,
            _ => HEADER,
        }
    }

    /// Reads the frame at the start of `bytes`, and how many of them it takes; none when they are too few. Of `DATA` that is
    /// the header alone.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, WireError> {
        let Some(header) = FrameHeader::decode(bytes)? else { return Ok(None) };
        let most = match header.kind {
            Kind::Data => {
                let length = header.at_most(MOST_DATA)?.length;
                return Ok(Some((Self::Data(length, Send(header.flags.into())), HEADER)));
            }
            Kind::Hello => 16,
            Kind::Read => 0,
            Kind::Head => LONGEST_HEAD,
            Kind::File => 16,
            Kind::Log => LONGEST_LOG,
            Kind::End => 3,
            Kind::Retry => 1,
            kind => return Err(WireError::Place(kind)),
        };
        let length = header.at_most(most)?.length;
        let Some(payload) = bytes.get(HEADER..HEADER + length) else { return Ok(None) };
        let frame = decode(header, Reader(payload)).ok_or(WireError::Contents(header.kind))?;
        Ok(Some((frame, HEADER + length)))
    }
}

fn decode<'a>(header: FrameHeader, mut reader: Reader<'a>) -> Option<ReplyFrame<'a>> {
    let flags = Send(header.flags.into());
    let frame = match header.kind {
        Kind::Hello => ReplyFrame::Hello(Hello {
            pid: reader.u32()?,
            slot: reader.u32()?,
            connection: reader.u32()?,
            base: reader.u32().filter(|base| *base < LAST_SEQUENCE)?,
        }),
        Kind::Read => ReplyFrame::Read,
        Kind::Head => {
            let announces_file = match header.flags {
                0 => false,
                FILE_FOLLOWS => true,
                _ => return None,
            };
            ReplyFrame::Head(DecodedHead { announces_file, ..head(&mut reader)? })
        }
        Kind::File => {
            let (offset, length) = (reader.u64()?, reader.u64()?);
            offset.checked_add(length).filter(|end| *end <= i64::MAX as u64)?;
            ReplyFrame::File(offset, length, flags)
        }
        Kind::Log => return Some(ReplyFrame::Log(Level::of(header.flags)?, reader.0)),
        Kind::End => ReplyFrame::End(match (reader.u8()?, reader.u16()?) {
            (0, 0) => Outcome::Sent,
            (1, status @ 400..=599) => Outcome::Refused(status),
            (2, 0) => Outcome::Broken,
            (3, 0) => Outcome::ClientGone,
            _ => return None,
        }),
        Kind::Retry => ReplyFrame::Retry(match reader.u8()? {
            1 => RetryReason::Reload,
            2 => RetryReason::Stopping,
            3 => RetryReason::TooOld,
            _ => return None,
        }),
        _ => return None,
    };
    reader.0.is_empty().then_some(frame)
}

/// As strict as the runtime is with its application: a worker may be of another mind.
fn head<'a>(reader: &mut Reader<'a>) -> Option<DecodedHead<'a>> {
    let status = reader.u16()?;
    let content_length = reader.i64().filter(|length| *length >= -1)?;
    let status_line = reader.bytes()?;
    check_status(status_line).ok().filter(|code| *code == status)?;
    let count =
        reader.u32().filter(|count| *count <= MOST_HEAD_FIELDS && *count as usize <= reader.0.len() / 8)?;
    let mut fields = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let (name, value) = (reader.bytes()?, reader.bytes()?);
        // A server may frame the body by the field, while its bytes are counted by the number.
        let length = check_field(name, value).ok()?;
        if length.is_some_and(|length| i64::try_from(length) != Ok(content_length)) {
            return None;
        }
        fields.push(Field::new(name, value));
    }
    Some(DecodedHead { status, status_line, content_length, fields, announces_file: false })
}

/// Appends a `HELLO`.
pub fn encode_hello(out: &mut Vec<u8>, hello: Hello) {
    framed(out, Kind::Hello, 0, |out| {
        out.u32(hello.pid);
        out.u32(hello.slot);
        out.u32(hello.connection);
        out.u32(hello.base);
    });
}

/// Appends a `READ`.
pub fn encode_read(out: &mut Vec<u8>) {
    framed(out, Kind::Read, 0, |_| ());
}

/// Appends a `HEAD`. False, and nothing appended, when the other side would not read it: it is longer than
/// [`LONGEST_HEAD`], or has more fields than [`MOST_HEAD_FIELDS`].
#[must_use]
pub fn encode_head(out: &mut Vec<u8>, head: &Head<'_>) -> bool {
    let start = out.len();
    framed(out, Kind::Head, 0, |out| {
        out.u16(head.status);
        out.i64(head.content_length);
        out.bytes(&head.status_line);
        out.u32(head.headers.len() as u32);
        for field in head.headers.iter() {
            out.bytes(&field.name);
            out.bytes(&field.value);
        }
    });
    let fits = out.len() - start - HEADER <= LONGEST_HEAD && head.headers.len() as u32 <= MOST_HEAD_FIELDS;
    if !fits {
        out.truncate(start);
    }
    fits
}

/// Says in the `HEAD` that begins `frames` that a `FILE` is the next frame, and the whole body.
pub fn announce_file(frames: &mut [u8]) {
    debug_assert!(matches!(FrameHeader::decode(frames), Ok(Some(header)) if header.kind == Kind::Head));
    if let Some(flags) = frames.get_mut(FLAGS) {
        *flags |= FILE_FOLLOWS;
    }
}

/// The header before `length` bytes of the reply, at most [`MOST_DATA`].
#[inline]
pub const fn encode_data_header(length: usize, flags: Send) -> [u8; HEADER] {
    debug_assert!(length <= MOST_DATA);
    FrameHeader { kind: Kind::Data, flags: flags.0 as u8, length }.encode()
}

/// Appends a `FILE`; its descriptor goes with the first byte of what is sent.
pub fn encode_file(out: &mut Vec<u8>, offset: u64, length: u64, flags: Send) {
    framed(out, Kind::File, flags.0 as u8, |out| {
        out.u64(offset);
        out.u64(length);
    });
}

/// Appends a `LOG`; the line is cut to [`LONGEST_LOG`].
pub fn encode_log(out: &mut Vec<u8>, level: Level, line: &[u8]) {
    framed(out, Kind::Log, level as u8, |out| out.extend_from_slice(&line[..line.len().min(LONGEST_LOG)]));
}

/// Appends an `END`; [`Outcome::Retry`] is a `RETRY`.
pub fn encode_end(out: &mut Vec<u8>, outcome: Outcome) {
    let (number, status) = match outcome {
        Outcome::Sent => (0, 0),
        Outcome::Refused(status) => (1, status),
        Outcome::Broken => (2, 0),
        Outcome::ClientGone => (3, 0),
        Outcome::Retry(reason) => return encode_retry(out, reason),
    };
    framed(out, Kind::End, 0, |out| {
        out.u8(number);
        out.u16(status);
    });
}

/// Appends a `RETRY`.
pub fn encode_retry(out: &mut Vec<u8>, reason: RetryReason) {
    framed(out, Kind::Retry, 0, |out| out.u8(reason as u8));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(fill: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        fill(&mut out);
        for length in 0..out.len() {
            let shorter = ReplyFrame::decode(&out[..length]);
            assert!(matches!(shorter, Ok(None)), "{length} bytes: {shorter:?}");
            let needed = ReplyFrame::needed(&out[..length]);
            assert_eq!(needed, if length < HEADER { HEADER } else { out.len() });
        }
        out.extend_from_slice(b"next");
        let (frame, taken) = ReplyFrame::decode(&out).unwrap().unwrap();
        assert_eq!(taken, out.len() - 4);
        format!("{frame:?}")
    }

    #[test]
    fn frames_come_back() {
        let hello = Hello { pid: 1, slot: 2, connection: 3, base: 4 };
        assert_eq!(decoded(|out| encode_hello(out, hello)), format!("Hello({hello:?})"));
        assert_eq!(decoded(encode_read), "Read");
        assert_eq!(decoded(|out| encode_file(out, 5, 6, Send::LAST)), "File(5, 6, Send(2))");
        assert_eq!(decoded(|out| encode_log(out, Level::Info, b"x")), "Log(Info, [120])");
        for outcome in [Outcome::Sent, Outcome::Refused(404), Outcome::Broken, Outcome::ClientGone] {
            assert_eq!(decoded(|out| encode_end(out, outcome)), format!("End({outcome:?})"));
        }
        assert_eq!(decoded(|out| encode_retry(out, RetryReason::Reload)), "Retry(Reload)");
        let data = encode_data_header(7, Send::FLUSH);
        let (frame, taken) = ReplyFrame::decode(&data).unwrap().unwrap();
        assert!(matches!(frame, ReplyFrame::Data(7, Send::FLUSH)) && taken == HEADER);
    }

    fn head_of(status_line: &[u8], name: &[u8], value: &[u8]) -> Result<String, WireError> {
        let fields = [Field::new(name, value)];
        let head = Head {
            status: 200,
            status_line: status_line.into(),
            headers: Slice::new(&fields),
            content_length: -1,
        };
        let mut out = Vec::new();
        assert!(encode_head(&mut out, &head));
        let (frame, _) = ReplyFrame::decode(&out)?.unwrap();
        let ReplyFrame::Head(decoded) = frame else { panic!("{frame:?}") };
        let head = decoded.head();
        assert_eq!((head.status, head.content_length), (200, -1));
        Ok(format!("{} {}={}", head.status_line.escape_ascii(), name.escape_ascii(), value.escape_ascii()))
    }

    #[test]
    fn heads_are_checked() {
        assert_eq!(head_of(b"200 OK", b"A", b"b c").unwrap(), "200 OK A=b c");
        for (line, name, value) in [
            (&b"201 OK"[..], &b"A"[..], &b""[..]),
            (b"200 O\nK", b"A", b""),
            (b"20", b"A", b""),
            (b"200", b"", b""),
            (b"200", b"A B", b""),
            (b"200", b"A:", b""),
            (b"200", b"A", b"a\nb"),
            (b"200", b"A", b"\0"),
            // None of these does the runtime take of its application.
            (b"2000 OK", b"A", b""),
            (b"200OK", b"A", b""),
            (b"200", b"A(", b""),
            (b"200", b"Content-Length", b"+5"),
        ] {
            let seen = head_of(line, name, value);
            assert!(seen.is_err(), "{seen:?}");
        }
    }

    #[test]
    fn a_head_has_one_length() {
        let accepts = |content_length: i64, values: &[&[u8]]| {
            let fields: Vec<_> = values.iter().map(|value| Field::new(b"content-Length", value)).collect();
            let head =
                Head { status: 200, status_line: "200".into(), headers: Slice::new(&fields), content_length };
            let mut out = Vec::new();
            assert!(encode_head(&mut out, &head));
            ReplyFrame::decode(&out).is_ok()
        };
        assert!(accepts(-1, &[]) && accepts(5, &[]) && accepts(5, &[b"5"]) && accepts(5, &[b"5", b" 5"]));
        assert!(!accepts(-1, &[b"5"]) && !accepts(4, &[b"5"]) && !accepts(5, &[b"5", b"6"]));
    }

    #[test]
    fn a_head_announces_a_file_or_nothing() {
        let head = Head { status: 200, status_line: "200".into(), headers: Slice::EMPTY, content_length: -1 };
        let mut out = Vec::new();
        assert!(encode_head(&mut out, &head));
        let announces = |frame: &[u8]| match ReplyFrame::decode(frame)?.unwrap().0 {
            ReplyFrame::Head(head) => Ok(head.announces_file()),
            frame => panic!("{frame:?}"),
        };
        assert_eq!(announces(&out), Ok(false));
        announce_file(&mut out);
        assert_eq!(announces(&out), Ok(true));
        out[FLAGS] = 2;
        assert_eq!(announces(&out), Err(WireError::Contents(Kind::Head)));
    }

    #[test]
    fn a_head_beyond_its_bounds_is_refused() {
        let encoded = |count: usize, value: &[u8]| {
            let fields = vec![Field::new(b"N", value); count];
            let head = Head {
                status: 200,
                status_line: b"200 OK"[..].into(),
                headers: Slice::new(&fields),
                content_length: -1,
            };
            let mut out = vec![b'x'];
            let fits = encode_head(&mut out, &head);
            assert!(fits || out == b"x");
            fits
        };
        assert!(encoded(MOST_HEAD_FIELDS as usize, b"") && !encoded(MOST_HEAD_FIELDS as usize + 1, b""));
        assert!(encoded(1, &[b'v'; LONGEST_HEAD - 64]) && !encoded(1, &[b'v'; LONGEST_HEAD]));
        // Whoever encodes it all the same.
        let head =
            [&200u16.to_le_bytes()[..], &(-1i64).to_le_bytes(), &6u32.to_le_bytes(), b"200 OK"].concat();
        let fields = |count: u32| {
            let fields = [&1u32.to_le_bytes()[..], b"N", &0u32.to_le_bytes()].concat().repeat(count as usize);
            let payload = [&head, &count.to_le_bytes()[..], &fields].concat();
            let header = FrameHeader { kind: Kind::Head, flags: 0, length: payload.len() };
            ReplyFrame::decode(&[&header.encode()[..], &payload].concat()).map(|_| ())
        };
        assert_eq!(fields(MOST_HEAD_FIELDS), Ok(()));
        assert_eq!(fields(MOST_HEAD_FIELDS + 1), Err(WireError::Contents(Kind::Head)));
    }

    #[test]
    fn a_greeting_beyond_all_numbers_is_refused() {
        for (base, is_sound) in [(LAST_SEQUENCE - 1, true), (LAST_SEQUENCE, false), (u32::MAX, false)] {
            let mut out = Vec::new();
            encode_hello(&mut out, Hello { pid: 1, slot: 0, connection: 0, base });
            assert_eq!(ReplyFrame::decode(&out).is_ok(), is_sound, "{base}");
        }
    }

    #[test]
    fn a_file_beyond_all_files_is_refused() {
        let mut out = Vec::new();
        encode_file(&mut out, u64::MAX, 1, Send::MORE);
        assert!(ReplyFrame::decode(&out).is_err());
    }
}
