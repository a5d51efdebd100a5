//! The memory that a thread uses for one request after another.

use std::cell::Cell;

use oxwsgi_core::wire::HEADER;

/// What is read from a worker at once, in bytes: enough that a system call is cheap beside the bytes, and still in the
/// processor's cache when they go on.
const INPUT: usize = 128 * 1024;

/// The most of a request's body that goes to a worker at once, in bytes.
pub const PIECE: usize = 64 * 1024;

/// Buffers that have grown beyond this are not kept, in bytes.
const MOST_KEPT: usize = 512 * 1024;

thread_local! {
    /// Taken while a request uses them: a filter of the server may serve another request on this thread meanwhile.
    static BUFFERS: Cell<Option<Box<Buffers>>> = const { Cell::new(None) };
}

/// Buffers of one request.
#[derive(Debug)]
pub struct Buffers {
    /// The request's frame.
    pub request: Vec<u8>,
    /// The part of its body that is read ahead.
    pub ahead: Vec<u8>,
    /// A piece of the body on its way to the worker.
    pub piece: Vec<u8>,
    /// Bytes from the worker; all of it can be written to.
    pub input: Vec<u8>,
}

impl Buffers {
    /// This thread's.
    #[inline]
    pub fn take() -> Box<Self> {
        BUFFERS.take().unwrap_or_else(|| {
            Box::new(Self {
                request: Vec::with_capacity(8 * 1024),
                ahead: Vec::new(),
                piece: Vec::new(),
                input: vec![0; INPUT],
            })
        })
    }

    /// Leaves them for the next request of this thread.
    #[inline]
    pub fn put_back(mut self: Box<Self>) {
        for buffer in [&mut self.request, &mut self.ahead, &mut self.piece] {
            buffer.clear();
            if buffer.capacity() > MOST_KEPT {
                *buffer = Vec::new();
            }
        }
        if self.input.len() > MOST_KEPT {
            self.input = vec![0; INPUT];
        }
        BUFFERS.set(Some(self));
    }
}

/// Room for a piece and the header before it.
pub const FRAMED_PIECE: usize = HEADER + PIECE;
