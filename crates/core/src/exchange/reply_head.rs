//! Status and headers of a reply as the application gave them, checked (PEP 3333, "The start_response() Callable").

use std::fmt;
use std::ops::Range;

use crate::borrowed::{Bytes, Slice};
use crate::exchange::Head;
use crate::request::Field;

/// A checked head, copied out of Python's objects into one buffer that is used again for the next request.
#[derive(Debug, Default)]
pub struct ReplyHead {
    status: u16,
    text: Vec<u8>,
    status_line: Range<usize>,
    fields: Vec<(Range<usize>, Range<usize>)>,
    content_length: Option<u64>,
}

/// What is wrong with a status or a header; becomes a `ValueError`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// `status` does not begin with three digits.
    #[error("status code must be a 3 digit integer: {0}")]
    Code(Repr),
    /// 1xx: those are the server's.
    #[error("status code must be 200 or above, informational responses are sent by the server: {0}")]
    Informational(Repr),
    /// The fourth character is not a blank.
    #[error("no space following status code: {0}")]
    NoSpace(Repr),
    /// CR, LF, NUL or the like in the reason.
    #[error("control character in status reason phrase: {0}")]
    Reason(Repr),
    /// A header without a name.
    #[error("header name is empty")]
    NoName,
    /// A control character in a name.
    #[error("control character in header name: {0}")]
    NameControl(Repr),
    /// A blank in a name.
    #[error("space character in header name: {0}")]
    NameSpace(Repr),
    /// A character that no header name may have (RFC 9110 section 5.1).
    #[error("invalid character in header name: {0}")]
    NameCharacter(Repr),
    /// CR or LF in a value: it would begin another header.
    #[error("carriage return/line feed character in header value: {0}")]
    ValueLine(Repr),
    /// NUL in a value: servers would cut the value there.
    #[error("null character in header value: {0}")]
    ValueNul(Repr),
    /// Not a number.
    #[error("invalid Content-Length header value: {0}")]
    ContentLength(Repr),
    /// Two that differ.
    #[error("conflicting Content-Length header values: {0} and {1}")]
    TwoLengths(u64, u64),
}

/// Bytes as Python would show them: `b'...'`.
#[derive(Debug, PartialEq, Eq)]
pub struct Repr(Vec<u8>);

impl fmt::Display for Repr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b'{}'", self.0.escape_ascii())
    }
}

fn repr(bytes: &[u8]) -> Repr {
    Repr(bytes.to_vec())
}

impl ReplyHead {
    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.status = 0;
        self.text.clear();
        self.fields.clear();
        self.content_length = None;
    }

    /// Sets the status line.
    pub fn set_status(&mut self, line: &[u8]) -> Result<(), HeadError> {
        self.status = check_status(line)?;
        self.status_line = self.keep(line);
        Ok(())
    }

    /// Adds a header.
    pub fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        if let Some(length) = check_field(name, value)? {
            if let Some(other) = self.content_length.filter(|other| *other != length) {
                return Err(HeadError::TwoLengths(other, length));
            }
            self.content_length = Some(length);
        }
        let field = (self.keep(name), self.keep(value));
        self.fields.push(field);
        Ok(())
    }

    /// The status code; 0 before there is one.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The application's own Content-Length, in bytes.
    pub const fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Whether a reply of this status has a body at all (RFC 9110 section 6.4.1).
    pub const fn allows_body(&self) -> bool {
        !matches!(self.status, 204 | 304)
    }

    /// Gives the head to `send`; `known_length` is the body's length where the application has not said it.
    pub fn with<R>(&self, known_length: Option<u64>, send: impl FnOnce(&Head<'_>) -> R) -> R {
        let fields: Vec<Field<'_>> = self
            .fields
            .iter()
            .map(|(name, value)| Field::new(&self.text[name.clone()], &self.text[value.clone()]))
            .collect();
        let length = self.content_length.or(known_length);
        send(&Head {
            status: self.status,
            status_line: Bytes::new(&self.text[self.status_line.clone()]),
            headers: Slice::new(&fields),
            content_length: length.map_or(-1, |length| i64::try_from(length).unwrap_or(i64::MAX)),
        })
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        start..self.text.len()
    }
}

/// The code of a status line.
pub(crate) fn check_status(line: &[u8]) -> Result<u16, HeadError> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let Some(code) = line.get(..3).filter(|_| digits == 3) else {
        return Err(HeadError::Code(repr(line)));
    };
    let code = code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    if code < 200 {
        return Err(HeadError::Informational(repr(line)));
    }
    if line.get(3).is_some_and(|byte| *byte != b' ') {
        return Err(HeadError::NoSpace(repr(line)));
    }
    if line.iter().any(u8::is_ascii_control) {
        return Err(HeadError::Reason(repr(line)));
    }
    Ok(code)
}

/// A header by itself; answers the length, in bytes, when it is Content-Length.
pub(crate) fn check_field(name: &[u8], value: &[u8]) -> Result<Option<u64>, HeadError> {
    check_name(name)?;
    if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(if value.contains(&0) {
            HeadError::ValueNul(repr(value))
        } else {
            HeadError::ValueLine(repr(value))
        });
    }
    if !name.eq_ignore_ascii_case(b"content-length") {
        return Ok(None);
    }
    parse_length(value).map(Some).ok_or_else(|| HeadError::ContentLength(repr(value)))
}

fn check_name(name: &[u8]) -> Result<(), HeadError> {
    if name.is_empty() {
        return Err(HeadError::NoName);
    }
    let Some(wrong) = name.iter().find(|byte| !TOKEN[usize::from(**byte)]) else { return Ok(()) };
    Err(match wrong {
        b' ' => HeadError::NameSpace(repr(name)),
        byte if byte.is_ascii_control() => HeadError::NameControl(repr(name)),
        _ => HeadError::NameCharacter(repr(name)),
    })
}

/// Which bytes a header name may have: `token` of RFC 9110 section 5.6.2, and bytes beyond ASCII.
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'(' | b')' | b'<' | b'>' | b'@' | b',' | b';' | b':' | b'\\' | b'"' | b'/' | b'[' | b']'
            | b'?' | b'=' | b'{' | b'}' | b' ' => false,
            byte => !byte.is_ascii_control(),
        };
        byte += 1;
    }
    table
};

fn parse_length(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // What does not fit into the wire's signed number is no length either.
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|length| i64::try_from(*length).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(line: &str) -> Result<u16, String> {
        let mut head = ReplyHead::default();
        head.set_status(line.as_bytes()).map(|()| head.status()).map_err(|error| error.to_string())
    }

    fn header(name: &str, value: &str) -> Result<(), String> {
        ReplyHead::default().add(name.as_bytes(), value.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn statuses() {
        assert_eq!(status("200 OK"), Ok(200));
        assert_eq!(status("299"), Ok(299));
        assert_eq!(status("404 "), Ok(404));
        for (line, text) in [
            ("", "3 digit"),
            ("20", "3 digit"),
            ("2000 OK", "3 digit"),
            ("OK", "3 digit"),
            ("200OK", "no space"),
            ("200 a\nb", "control character in status"),
            ("101 Switching", "informational"),
        ] {
            assert!(status(line).unwrap_err().contains(text), "{line}");
        }
        assert_eq!(status("20").unwrap_err(), "status code must be a 3 digit integer: b'20'");
    }

    #[test]
    fn headers() {
        assert_eq!(header("X-Name", "any value; \u{1}"), Ok(()));
        for (name, value, text) in [
            ("", "v", "header name is empty"),
            ("a b", "v", "space character in header name: b'a b'"),
            ("a\r", "v", "control character in header name"),
            ("a:", "v", "invalid character in header name"),
            ("n", "a\r\nb", "carriage return/line feed character in header value: b'a\\r\\nb'"),
            ("n", "a\0b", "null character in header value"),
            ("Content-Length", "x", "invalid Content-Length header value: b'x'"),
            ("Content-Length", "-1", "invalid Content-Length"),
            ("content-length", "99999999999999999999", "invalid Content-Length"),
        ] {
            assert!(header(name, value).unwrap_err().contains(text), "{name}: {value}");
        }
    }

    #[test]
    fn two_lengths_must_agree() {
        let mut head = ReplyHead::default();
        head.add(b"Content-Length", b"5").unwrap();
        assert_eq!(head.add(b"content-length", b"5"), Ok(()));
        assert_eq!(head.add(b"content-length", b"6"), Err(HeadError::TwoLengths(5, 6)));
    }

    #[test]
    fn the_head_is_given_as_it_came() {
        let mut head = ReplyHead::default();
        head.set_status(b"200 OK").unwrap();
        head.add(b"A", b"1").unwrap();
        head.add(b"A", b"2").unwrap();
        head.with(Some(7), |head| {
            assert_eq!((&*head.status_line, head.status, head.content_length), (&b"200 OK"[..], 200, 7));
            let fields: Vec<_> =
                head.headers.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
            assert_eq!(fields, [(b"A".to_vec(), b"1".to_vec()), (b"A".to_vec(), b"2".to_vec())]);
        });
    }
}
