//! The body of a request as it comes out of the frames on a connection. Reads from whatever can be read, and blocks as that
//! does.

use std::io::{self, Read};

use super::body::BodyFrame;
use super::frame::{HEADER, WireError};

/// Read at once when the application asks for little, in bytes.
const BUFFER: usize = 16 * 1024;

/// A body that is coming in. Frames must not be read past its end: what follows is another request.
#[derive(Debug, Default)]
pub struct BodyFlow {
    buffer: Vec<u8>,
    /// What of the buffer was read and not yet taken: from `start` to `stop`.
    start: usize,
    stop: usize,
    /// Bytes of the current piece that are not read yet.
    left: usize,
    end: Option<End>,
}

#[derive(Clone, Debug)]
enum End {
    Complete,
    Failed(String),
}

/// Why a body cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The server closed the connection.
    #[error("the connection was closed")]
    Gone,
    /// The server could not read it from the client; why, in its words.
    #[error("{0}")]
    Failed(String),
    /// What came is no body.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl BodyFlow {
    /// Reads up to `room.len()` bytes from `source`; 0 is the end.
    pub fn read(&mut self, room: &mut [u8], source: &mut impl Read) -> Result<usize, BodyError> {
        loop {
            match &self.end {
                Some(End::Complete) => return Ok(0),
                Some(End::Failed(text)) => return Err(BodyError::Failed(text.clone())),
                None if room.is_empty() => return Ok(0),
                None => {}
            }
            if self.left == 0 {
                self.next_frame(source)?;
                continue;
            }
            let wanted = room.len().min(self.left);
            let count = if !self.ready().is_empty() {
                self.take_into(&mut room[..wanted])
            } else if wanted >= BUFFER {
                some(read(source, &mut room[..wanted])?)?
            } else {
                self.fill(source)?;
                self.take_into(&mut room[..wanted])
            };
            self.left -= count;
            return Ok(count);
        }
    }

    /// When nobody reads on: takes the end of the body, if that comes next and `source`, which does not wait, has it. Whoever
    /// knows the length of a body does not look for its end.
    pub fn settle(&mut self, source: &mut impl Read) {
        if self.end.is_none() && self.left == 0 {
            // What fails, or is something else, leaves a body that is not over.
            let _ = self.next_frame(source);
        }
    }

    /// Whether the body has come to its end, good or bad, and nothing after it.
    pub fn is_over(&self) -> bool {
        self.end.is_some() && self.ready().is_empty()
    }

    fn next_frame(&mut self, source: &mut impl Read) -> Result<(), BodyError> {
        let frame = loop {
            match BodyFrame::decode(self.ready())? {
                Some(frame) => break frame,
                None => self.fill(source)?,
            }
        };
        self.start += HEADER;
        match frame {
            BodyFrame::Piece(length) => self.left = length,
            BodyFrame::End => self.end = Some(End::Complete),
            BodyFrame::Failed(length) => {
                while self.ready().len() < length {
                    self.fill(source)?;
                }
                let text = String::from_utf8_lossy(&self.ready()[..length]).into_owned();
                self.start += length;
                self.end = Some(End::Failed(text));
            }
        }
        Ok(())
    }

    fn ready(&self) -> &[u8] {
        &self.buffer[self.start..self.stop]
    }

    fn take_into(&mut self, room: &mut [u8]) -> usize {
        let count = room.len().min(self.ready().len());
        room[..count].copy_from_slice(&self.ready()[..count]);
        self.start += count;
        count
    }

    /// Reads some bytes into the buffer.
    fn fill(&mut self, source: &mut impl Read) -> Result<(), BodyError> {
        self.buffer.resize(BUFFER, 0);
        self.buffer.copy_within(self.start..self.stop, 0);
        self.stop -= self.start;
        self.start = 0;
        let count = some(read(source, &mut self.buffer[self.stop..])?)?;
        self.stop += count;
        Ok(())
    }
}

fn read(source: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(room) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Nothing is the end of the connection.
fn some(count: usize) -> Result<usize, BodyError> {
    if count == 0 { Err(BodyError::Gone) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use super::super::{encode_body_end, encode_body_failed, encode_body_header, encode_read};
    use super::*;

    /// Gives its bytes in portions of this size.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let portion = self.1.min(self.0.len());
            let count = (&self.0[..portion]).read(room)?;
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn pieces(sizes: &[usize]) -> (Vec<u8>, Vec<u8>) {
        let (mut frames, mut body) = (Vec::new(), Vec::new());
        for (index, size) in sizes.iter().enumerate() {
            frames.extend(encode_body_header(*size));
            let piece: Vec<u8> = (0..*size).map(|byte| (byte * 7 + index) as u8).collect();
            frames.extend_from_slice(&piece);
            body.extend(piece);
        }
        (frames, body)
    }

    #[test]
    fn pieces_come_out_as_one_body_however_they_come_in() {
        let (mut frames, body) = pieces(&[0, 1, 40_000, 5, 20_000]);
        frames.extend(encode_body_end());
        for portion in [1, 7, 8, 9, 4096, usize::MAX] {
            for room in [1, 100, 40_000, 1 << 20] {
                let (mut flow, mut source) = (BodyFlow::default(), Slow(&frames, portion));
                let (mut read, mut room) = (Vec::new(), vec![0; room]);
                while let Some(count) = Some(flow.read(&mut room, &mut source).unwrap()).filter(|n| *n > 0) {
                    read.extend_from_slice(&room[..count]);
                }
                assert!(read == body && flow.is_over(), "portions of {portion}");
                assert_eq!(flow.read(&mut room, &mut source).unwrap(), 0);
            }
        }
    }

    #[test]
    fn a_failure_comes_after_what_came_before_it_and_stays() {
        let (mut frames, _) = pieces(&[3]);
        encode_body_failed(&mut frames, "timed out");
        let (mut flow, mut source) = (BodyFlow::default(), Slow(&frames, 5));
        let mut room = [0; 3];
        let mut count = 0;
        while count < 3 {
            count += flow.read(&mut room, &mut source).unwrap();
        }
        for _ in 0..2 {
            let error = flow.read(&mut room, &mut source).unwrap_err();
            assert!(matches!(error, BodyError::Failed(ref text) if text == "timed out"), "{error}");
        }
        assert!(flow.is_over());
    }

    #[test]
    fn the_end_of_the_connection_is_not_the_end_of_the_body() {
        let (frames, _) = pieces(&[30_000]);
        for length in [0, 4, 8, 20, 29_000] {
            let (mut flow, mut source) = (BodyFlow::default(), Slow(&frames[..length], usize::MAX));
            let mut room = [0; 20_000];
            let error = loop {
                if let Err(error) = flow.read(&mut room, &mut source) {
                    break error;
                }
            };
            assert!(matches!(error, BodyError::Gone), "{error}");
            assert!(!flow.is_over());
        }
    }

    #[test]
    fn what_follows_the_end_is_noticed_and_other_frames_are_refused() {
        let mut frames = encode_body_end().to_vec();
        frames.push(0);
        let mut flow = BodyFlow::default();
        assert_eq!(flow.read(&mut [0], &mut &*frames).unwrap(), 0);
        assert!(!flow.is_over());
        let mut frames = Vec::new();
        encode_read(&mut frames);
        let error = BodyFlow::default().read(&mut [0], &mut &*frames).unwrap_err();
        assert!(matches!(error, BodyError::Wire(_)));
    }

    #[test]
    fn the_end_of_a_body_that_was_read_to_its_length_is_taken() {
        let (piece, _) = pieces(&[20_000]);
        let whole = [piece.as_slice(), &encode_body_end()].concat();
        for (frames, room, is_over) in [
            (&whole, 20_000, true),
            // The end has come with what was read.
            (&whole, 100, true),
            (&piece, 20_000, false),
            (&[piece.as_slice(), &piece[..HEADER]].concat(), 20_000, false),
            (&[whole.as_slice(), &[0]].concat(), 20_000, false),
        ] {
            let (mut flow, mut source) = (BodyFlow::default(), frames.as_slice());
            let mut room = vec![0; room];
            let mut count = 0;
            while count < 20_000 {
                assert!(!flow.is_over());
                count += flow.read(&mut room, &mut source).unwrap();
            }
            flow.settle(&mut source);
            assert_eq!(flow.is_over() && source.is_empty(), is_over);
        }
        let (mut flow, mut source) = (BodyFlow::default(), whole.as_slice());
        flow.read(&mut [0; 19_999], &mut source).unwrap();
        flow.settle(&mut source);
        assert!(!flow.is_over(), "there is more of it");
    }

    #[test]
    fn no_room_reads_nothing() {
        assert_eq!(BodyFlow::default().read(&mut [], &mut io::empty()).unwrap(), 0);
    }
}
