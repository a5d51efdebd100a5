//! A part of a request's body that was taken off its client's connection before anybody asked for it: in memory while it
//! is short, then in an unnamed file of the system's temporary folder. Used by the body, on the request's thread.

use std::io::{self, Read, Seek, SeekFrom, Write};

use tempfile::SpooledTempFile;

/// Kept in memory up to this length, in bytes.
const IN_MEMORY: usize = 1 << 20;

/// The bytes, first in and first out.
#[derive(Debug)]
pub struct Spool {
    file: SpooledTempFile,
    length: u64,
    taken: u64,
}

impl Spool {
    /// An empty one. Makes no file yet.
    pub fn new() -> Self {
        Self { file: SpooledTempFile::new(IN_MEMORY), length: 0, taken: 0 }
    }

    /// Whether everything that was added has been taken.
    pub const fn is_empty(&self) -> bool {
        self.taken == self.length
    }

    /// Adds all of `bytes`, or nothing.
    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Takes what comes next, as much of it as there is room for.
    pub fn take(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.length - self.taken).unwrap_or(usize::MAX);
        let length = rest.min(buffer.len());
        self.file.seek(SeekFrom::Start(self.taken))?;
        self.file.read_exact(&mut buffer[..length])?;
        self.taken += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let bytes: Vec<u8> = (0..3 * IN_MEMORY).map(|index| (index % 251) as u8).collect();
        let mut spool = Spool::new();
        let mut out = Vec::new();
        let mut buffer = vec![0; 50_000];
        for piece in bytes.chunks(70_000) {
            spool.add(piece).unwrap();
            let count = spool.take(&mut buffer).unwrap();
            out.extend_from_slice(&buffer[..count]);
        }
        while !spool.is_empty() {
            let count = spool.take(&mut buffer).unwrap();
            out.extend_from_slice(&buffer[..count]);
        }
        assert!(out == bytes);
        assert_eq!(spool.take(&mut buffer).unwrap(), 0);
    }
}
