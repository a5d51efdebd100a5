//! Pieces of a reply's body that came together and go on together.

use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::exchange::Send;

/// The pieces, and what is to be done once they are sent.
#[derive(Debug, Default)]
pub struct Pieces<'b> {
    blocks: [Bytes<'b>; Pieces::MOST],
    count: usize,
    /// What is to be done.
    pub flags: Send,
}

impl<'b> Pieces<'b> {
    const MOST: usize = 16;

    /// Whether there is no place for another.
    pub fn is_full(&self) -> bool {
        self.count == Self::MOST
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds one; there is a place.
    pub fn add(&mut self, piece: &'b [u8]) {
        self.blocks[self.count] = Bytes::new(piece);
        self.count += 1;
    }

    /// The pieces and what is to be done, after which there is nothing.
    pub fn take(&mut self) -> (&[Bytes<'b>], Send) {
        (&self.blocks[..std::mem::take(&mut self.count)], std::mem::take(&mut self.flags))
    }
}
