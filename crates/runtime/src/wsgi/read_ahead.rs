//! Request body bytes that were read and not yet asked for. Plain bytes: knows neither Python nor the exchange.

/// What is read from the exchange at once when the application asks for lines or for an unknown length, in bytes.
pub const PIECE: usize = 16 * 1024;

/// Body bytes that were read and not yet asked for.
#[derive(Debug, Default)]
pub struct ReadAhead {
    bytes: Vec<u8>,
    start: usize,
    /// The body has no more.
    pub ended: bool,
    /// Reading has failed, for good.
    pub failed: bool,
}

impl ReadAhead {
    /// Begins a request.
    pub fn reset(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(PIECE);
        self.start = 0;
        self.ended = false;
        self.failed = false;
    }

    /// What is there.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Takes the first `count` bytes.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.rest()[..count].to_vec();
        self.start += count;
        taken
    }

    /// Takes as much as there is room for.
    pub fn take_into(&mut self, room: &mut [u8]) -> usize {
        let count = self.rest().len().min(room.len());
        room[..count].copy_from_slice(&self.rest()[..count]);
        self.start += count;
        count
    }

    /// Adds what was read.
    pub fn append(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether nothing of the body has been read.
    pub fn is_untouched(&self) -> bool {
        self.bytes.is_empty() && !self.ended
    }
}
