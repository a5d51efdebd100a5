//! An exchange in memory, for tests of whatever uses one.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::borrowed::Bytes;
use crate::exchange::{Exchange, FlowError, Head, Send};
use crate::report::Level;

/// Reads from a vector and keeps all that is sent.
#[derive(Debug, Default)]
pub struct MemoryExchange {
    body: Vec<u8>,
    /// Status line of the head, once sent.
    pub status_line: Option<Vec<u8>>,
    /// Headers of the head.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Body bytes sent.
    pub sent: Vec<u8>,
    /// Whether [`Send::LAST`] was seen.
    pub complete: bool,
    /// Lines logged.
    pub logged: Vec<(Level, Vec<u8>)>,
    /// Makes every flow fail with [`FlowError::ClientGone`].
    pub client_is_gone: bool,
}

impl MemoryExchange {
    /// An exchange whose request has this body.
    pub fn with_body(body: &[u8]) -> Self {
        Self { body: body.to_vec(), ..Self::default() }
    }

    fn check(&self) -> Result<(), FlowError> {
        if self.client_is_gone { Err(FlowError::ClientGone) } else { Ok(()) }
    }
}

impl Exchange for MemoryExchange {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, FlowError> {
        self.check()?;
        let count = self.body.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.body[..count]);
        self.body.drain(..count);
        Ok(count)
    }

    fn send_head(&mut self, head: &Head<'_>) -> Result<(), FlowError> {
        self.check()?;
        self.status_line = Some(head.status_line.to_vec());
        self.headers = head.headers.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
        Ok(())
    }

    fn send(&mut self, blocks: &[Bytes<'_>], flags: Send) -> Result<(), FlowError> {
        self.check()?;
        self.sent.extend(blocks.iter().flat_map(|block| block.iter()));
        self.complete |= flags.has(Send::LAST);
        Ok(())
    }

    fn send_file(&mut self, descriptor: i32, offset: u64, length: u64, flags: Send) -> Result<(), FlowError> {
        self.check()?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| FlowError::Failed)?];
        File::open(format!("/proc/self/fd/{descriptor}"))
            .and_then(|file| file.read_exact_at(&mut bytes, offset))
            .map_err(|_| FlowError::Failed)?;
        self.send(&[Bytes::new(&bytes)], flags)
    }

    fn log(&mut self, level: Level, line: &[u8]) {
        self.logged.push((level, line.to_vec()));
    }

    fn error_text(&mut self) -> String {
        "memory exchange failed".to_owned()
    }
}
