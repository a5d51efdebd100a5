//! The body of a request as it is cut into frames for the worker. Knows how far it is, and makes the next piece; who writes it
//! is [`super::request_body`].

#![allow(unsafe_code, reason = "reads and moves nginx's own buffers")]

use std::collections::VecDeque;
use std::ptr;

use oxwsgi_core::wire::{HEADER, encode_body_end, encode_body_header};

use crate::nginx::ffi;

/// The most bytes of one piece.
const PIECE: usize = 1 << 20;

/// A body on its way. It stays where it is while nginx writes, for its own buffers are in the chain that is written.
#[derive(Debug)]
pub struct Upload {
    /// It goes with the request, or there is none.
    pub is_inline: bool,
    /// The worker has got its end, or will with what is being written.
    pub is_ended: bool,
    /// The worker takes no more.
    is_unwanted: bool,
    /// What is still to go, in order.
    pub held: VecDeque<*mut ffi::ngx_buf_t>,
    /// nginx has handed over all of it.
    is_whole: bool,
    /// Bytes of the first of `held` that the piece being written holds.
    under_way: usize,
    header: [u8; HEADER],
    end: [u8; HEADER],
    buffers: Buffers,
}

/// Buffers for nginx: the request's frame; the header of a piece, the piece, and the frame behind the last.
struct Buffers {
    frame: ffi::ngx_buf_t,
    header: ffi::ngx_buf_t,
    piece: ffi::ngx_buf_t,
    end: ffi::ngx_buf_t,
}

impl std::fmt::Debug for Buffers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffers").finish_non_exhaustive()
    }
}

impl Upload {
    /// A body of which nothing is known.
    pub fn new() -> Self {
        Self {
            is_inline: true,
            is_ended: false,
            is_unwanted: false,
            held: VecDeque::new(),
            is_whole: false,
            under_way: 0,
            header: [0; HEADER],
            end: encode_body_end(),
            // SAFETY: plain numbers and pointers, of which zero is a value.
            buffers: unsafe { std::mem::zeroed() },
        }
    }

    /// Begins anew, for another attempt: `whole` is all of it, or none where nginx hands it over as it comes. What nginx has
    /// handed over before is kept.
    pub fn begin(&mut self, is_inline: bool, whole: Option<VecDeque<*mut ffi::ngx_buf_t>>) {
        self.is_inline = is_inline;
        self.is_ended = false;
        self.is_unwanted = false;
        self.under_way = 0;
        if let Some(whole) = whole {
            self.held = whole;
            self.is_whole = true;
        }
    }

    /// The buffer with the request's frame, for nginx to send from its beginning.
    pub fn frame_buffer(&mut self, frame: &mut [u8]) -> *mut ffi::ngx_buf_t {
        fill(&mut self.buffers.frame, frame);
        &raw mut self.buffers.frame
    }

    /// Whether a buffer is that of the request's frame.
    pub fn is_frame(&self, buffer: *const ffi::ngx_buf_t) -> bool {
        ptr::eq(buffer, &raw const self.buffers.frame)
    }

    /// Whether nothing of it is half-way.
    pub fn is_settled(&self, asked: bool) -> bool {
        let has_gone = self.is_ended && self.under_way == 0 && self.held.is_empty();
        !self.is_unwanted && (self.is_inline || !asked || has_gone)
    }

    /// The worker takes no more. What it has to say about it is still to be read.
    pub fn abandon(&mut self) {
        self.is_unwanted = true;
        self.under_way = 0;
        for buffer in self.held.drain(..) {
            // SAFETY: a buffer of the request's body, which lives as long as the request; nginx takes it for sent.
            unsafe { (*buffer).pos = (*buffer).last };
        }
    }

    /// Makes the next piece, and the end behind the last; false when there is nothing for one.
    pub fn next(&mut self, links: &mut [ffi::ngx_chain_t; 3]) -> bool {
        if self.is_ended || self.is_unwanted {
            return false;
        }
        let mut count = 0;
        while let Some(first) = self.held.front().copied() {
            // SAFETY: a buffer of the request's body, which lives as long as the request.
            let buffer = unsafe { &*first };
            let size = size_of(buffer);
            if buffer.last_buf() != 0 {
                self.is_whole = true;
            }
            if size == 0 {
                self.held.pop_front();
                continue;
            }
            let length = size.min(PIECE);
            self.header = encode_body_header(length);
            fill(&mut self.buffers.header, &mut self.header);
            cut(&mut self.buffers.piece, buffer, length);
            self.under_way = length;
            links[0].buf = &raw mut self.buffers.header;
            links[1].buf = &raw mut self.buffers.piece;
            count = 2;
            if length < size || self.held.len() > 1 || !self.is_whole {
                return connect(links, count);
            }
            break;
        }
        if !self.is_whole {
            return false;
        }
        fill(&mut self.buffers.end, &mut self.end);
        links[count].buf = &raw mut self.buffers.end;
        self.is_ended = true;
        connect(links, count + 1)
    }

    /// All of the last piece has been written.
    pub fn advance(&mut self) {
        let length = std::mem::take(&mut self.under_way);
        let Some(first) = self.held.front().copied().filter(|_| length > 0) else { return };
        // SAFETY: a buffer of the request's body, which lives as long as the request. That it moves tells nginx that its
        // memory can be used again.
        let buffer = unsafe { &mut *first };
        if is_in_memory(buffer) {
            // SAFETY: `length` bytes of it were written.
            buffer.pos = unsafe { buffer.pos.add(length) };
        }
        if buffer.in_file() != 0 {
            buffer.file_pos += length as ffi::off_t;
        }
        if size_of(buffer) == 0 {
            self.held.pop_front();
        }
    }
}

/// `ngx_buf_in_memory`.
pub fn is_in_memory(buffer: &ffi::ngx_buf_t) -> bool {
    buffer.temporary() | buffer.memory() | buffer.mmap() != 0
}

/// `ngx_buf_size`.
pub fn size_of(buffer: &ffi::ngx_buf_t) -> usize {
    let size = if is_in_memory(buffer) {
        buffer.last as isize - buffer.pos as isize
    } else {
        buffer.file_last.saturating_sub(buffer.file_pos) as isize
    };
    usize::try_from(size).unwrap_or(0)
}

/// Makes `buffer` hold `bytes`.
fn fill(buffer: &mut ffi::ngx_buf_t, bytes: &mut [u8]) {
    let range = bytes.as_mut_ptr_range();
    buffer.start = range.start;
    buffer.pos = range.start;
    buffer.last = range.end;
    buffer.end = range.end;
    buffer.set_memory(1);
}

/// Makes `piece` the first `length` bytes of `whole`.
fn cut(piece: &mut ffi::ngx_buf_t, whole: &ffi::ngx_buf_t, length: usize) {
    // SAFETY: plain numbers and pointers, of which zero is a value.
    *piece = unsafe { std::mem::zeroed() };
    if is_in_memory(whole) {
        piece.start = whole.pos;
        piece.pos = whole.pos;
        // SAFETY: `whole` has as many bytes.
        piece.last = unsafe { whole.pos.add(length) };
        piece.end = piece.last;
        piece.set_memory(1);
    } else {
        piece.file = whole.file;
        piece.file_pos = whole.file_pos;
        piece.file_last = whole.file_pos + length as ffi::off_t;
        piece.set_in_file(1);
    }
}

/// Makes a chain of the first links.
fn connect(links: &mut [ffi::ngx_chain_t; 3], count: usize) -> bool {
    let start = links.as_mut_ptr();
    for (index, link) in links.iter_mut().enumerate() {
        // SAFETY: the next one is an element of the same array.
        link.next = if index + 1 < count { unsafe { start.add(index + 1) } } else { ptr::null_mut() };
    }
    count > 0
}
