//! The header of a frame.

/// Size of a frame's header in bytes.
pub const HEADER: usize = 8;

/// What a frame is.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To the worker: a request, and its body when that is short.
    Request = 1,
    /// To the worker: a piece of the body.
    Body = 2,
    /// To the worker: the body is complete.
    BodyEnd = 3,
    /// To the worker: the body cannot be read; text says why.
    BodyFailed = 4,
    /// To the server: the connection is taken, by whom.
    Hello = 16,
    /// To the server: the application wants the body.
    Read = 17,
    /// To the server: status and headers.
    Head = 18,
    /// To the server: a piece of the reply.
    Data = 19,
    /// To the server: a part of a file, whose descriptor comes with the frame; the whole body.
    File = 20,
    /// To the server: a line for the request's log.
    Log = 21,
    /// To the server: the reply is over.
    End = 22,
    /// To the server: the application was not called and will not be.
    Retry = 23,
}

impl Kind {
    const fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Request,
            2 => Self::Body,
            3 => Self::BodyEnd,
            4 => Self::BodyFailed,
            16 => Self::Hello,
            17 => Self::Read,
            18 => Self::Head,
            19 => Self::Data,
            20 => Self::File,
            21 => Self::Log,
            22 => Self::End,
            23 => Self::Retry,
            _ => return None,
        })
    }
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// No such kind.
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
    /// Longer than its kind allows.
    #[error("a frame of kind {kind:?} with {length} bytes, which is more than {most}")]
    TooLong {
        /// The kind.
        kind: Kind,
        /// What it says of its length.
        length: usize,
        /// What is allowed.
        most: usize,
    },
    /// Not what the kind holds.
    #[error("a frame of kind {0:?} with contents that make no sense")]
    Contents(Kind),
    /// Known, and not expected here.
    #[error("a frame of kind {0:?} that has no place here")]
    Place(Kind),
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What it is.
    pub kind: Kind,
    /// What a kind makes of them.
    pub flags: u8,
    /// Bytes of payload.
    pub length: usize,
}

impl FrameHeader {
    /// Reads the header at the start of `bytes`; none when they are too few.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, WireError> {
        let Some((header, _)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
        let [a, b, c, d, kind, flags, ..] = *header;
        let kind = Kind::of(kind).ok_or(WireError::Kind(kind))?;
        Ok(Some(Self { kind, flags, length: u32::from_le_bytes([a, b, c, d]) as usize }))
    }

    /// Refuses more than `most` bytes of payload.
    #[inline]
    pub const fn at_most(self, most: usize) -> Result<Self, WireError> {
        if self.length > most {
            return Err(WireError::TooLong { kind: self.kind, length: self.length, most });
        }
        Ok(self)
    }

    /// The eight bytes. Lengths are below 4 GiB: every kind has a bound.
    #[inline]
    pub const fn encode(self) -> [u8; HEADER] {
        let [a, b, c, d] = (self.length as u32).to_le_bytes();
        [a, b, c, d, self.kind as u8, self.flags, 0, 0]
    }
}

/// Puts a header of `kind` before what `fill` appends to `out`.
pub(super) fn framed(out: &mut Vec<u8>, kind: Kind, flags: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    fill(out);
    let length = out.len() - start - HEADER;
    out[start..start + HEADER].copy_from_slice(&FrameHeader { kind, flags, length }.encode());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back() {
        let header = FrameHeader { kind: Kind::Data, flags: 3, length: 70_000 };
        assert_eq!(FrameHeader::decode(&header.encode()), Ok(Some(header)));
        assert_eq!(FrameHeader::decode(&header.encode()[..7]), Ok(None));
        assert_eq!(FrameHeader::decode(&[0, 0, 0, 0, 99, 0, 0, 0]), Err(WireError::Kind(99)));
        assert!(header.at_most(69_999).is_err() && header.at_most(70_000).is_ok());
    }
}
