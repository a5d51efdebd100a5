//! The body of a request on its way to the worker, after the worker has asked for it.

use super::frame::{FrameHeader, HEADER, Kind, WireError, framed};

/// The most bytes of one piece.
const MOST_BODY: usize = 1 << 20;
/// The longest text of a failure, in bytes.
const LONGEST_TEXT: usize = 1024;

/// What the worker reads while a body comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFrame {
    /// As many bytes follow.
    Piece(usize),
    /// The body is complete.
    End,
    /// As many bytes of text follow, which say why the body cannot be read.
    Failed(usize),
}

impl BodyFrame {
    /// Reads the header at the start of `bytes`; none when they are too few.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, WireError> {
        let Some(header) = FrameHeader::decode(bytes)? else { return Ok(None) };
        Ok(Some(match header.kind {
            Kind::Body => Self::Piece(header.at_most(MOST_BODY)?.length),
            Kind::BodyEnd => {
                header.at_most(0)?;
                Self::End
            }
            Kind::BodyFailed => Self::Failed(header.at_most(LONGEST_TEXT)?.length),
            kind => return Err(WireError::Place(kind)),
        }))
    }
}

/// The header before a piece of `length` bytes, at most 1 MiB.
pub const fn encode_body_header(length: usize) -> [u8; HEADER] {
    debug_assert!(length <= MOST_BODY);
    FrameHeader { kind: Kind::Body, flags: 0, length }.encode()
}

/// After the last piece.
pub const fn encode_body_end() -> [u8; HEADER] {
    FrameHeader { kind: Kind::BodyEnd, flags: 0, length: 0 }.encode()
}

/// Instead of the rest of the body: why it cannot be read.
pub fn encode_body_failed(out: &mut Vec<u8>, text: &str) {
    framed(out, Kind::BodyFailed, 0, |out| {
        out.extend_from_slice(&text.as_bytes()[..text.floor_char_boundary(LONGEST_TEXT)]);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_ends_and_failures_come_back() {
        assert_eq!(BodyFrame::decode(&encode_body_header(70_000)), Ok(Some(BodyFrame::Piece(70_000))));
        assert_eq!(BodyFrame::decode(&encode_body_end()), Ok(Some(BodyFrame::End)));
        let mut out = Vec::new();
        encode_body_failed(&mut out, &"é".repeat(1000));
        assert_eq!(BodyFrame::decode(&out), Ok(Some(BodyFrame::Failed(LONGEST_TEXT))));
        assert_eq!(BodyFrame::decode(&out[..3]), Ok(None));
    }

    #[test]
    fn other_frames_have_no_place_here() {
        let header = FrameHeader { kind: Kind::Data, flags: 0, length: 0 };
        assert_eq!(BodyFrame::decode(&header.encode()), Err(WireError::Place(Kind::Data)));
    }
}
