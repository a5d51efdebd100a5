//! The body of a reply on its way through nginx's buffers, for clients that are slower than the application: nginx's event
//! pipe reads, and each piece of the body becomes a buffer that shares the memory of what was read.

#![allow(unsafe_code, reason = "called by nginx with its own buffers")]

use std::os::fd::OwnedFd;
use std::{ptr, slice};

use oxwsgi_client::ReplySink;
use oxwsgi_client::reply::Stage;
use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::exchange::Head;
use oxwsgi_core::exchange::{FlowError, Send};
use oxwsgi_core::report::Level;

use super::attempt::State;
use super::exchange::Exchange;
use super::lines::Lines;
use crate::nginx::ffi;

/// What nginx still waits for: there is more until the reply is complete. That it is not "until the end of the connection"
/// makes such an end an error.
const MORE: ffi::off_t = 1;

/// Before the first bytes.
pub fn begin(pipe: &mut ffi::ngx_event_pipe_t) {
    pipe.length = MORE;
}

/// `ngx_event_pipe_t::input_filter`: `raw` has been read.
pub unsafe extern "C" fn filter(
    pipe: *mut ffi::ngx_event_pipe_t,
    raw: *mut ffi::ngx_buf_t,
) -> ffi::ngx_int_t {
    catch!(ffi::NGX_ERROR, {
        // SAFETY: the pipe's context is the request's exchange, which nobody else uses during the call.
        let exchange = unsafe { &mut *(*pipe).input_ctx.cast::<Exchange>() };
        // SAFETY: nginx passes both, and uses neither during the call.
        take(exchange, unsafe { &mut *pipe }, raw)
    })
}

fn take(
    exchange: &mut Exchange,
    pipe: &mut ffi::ngx_event_pipe_t,
    raw: *mut ffi::ngx_buf_t,
) -> ffi::ngx_int_t {
    // SAFETY: nginx has read these bytes, and they stay where they are as long as a buffer refers to them.
    let bytes = unsafe { slice::from_raw_parts((*raw).pos, (*raw).last.offset_from_unsigned((*raw).pos)) };
    if bytes.is_empty() {
        return ffi::NGX_OK;
    }
    let allows_body = exchange.allows_body();
    let mut sink = Shadows { pipe, raw, last: ptr::null_mut(), lines: exchange.lines(), allows_body };
    exchange.feed(bytes, &mut sink);
    let last = sink.last;
    let done = if last.is_null() {
        // SAFETY: nothing refers to its memory.
        unsafe { ffi::ngx_event_pipe_add_free_buf(pipe, raw) }
    } else {
        // SAFETY: a buffer of the request's, made above; that it is the last one tells nginx when the memory is free again.
        unsafe { (*last).shadow = raw };
        // SAFETY: as above.
        unsafe { (*last).set_last_shadow(1) };
        ffi::NGX_OK
    };
    let state = exchange.attempt.as_ref().map(|attempt| attempt.state);
    if exchange.stage() == Stage::Complete {
        pipe.length = 0;
    } else if state == Some(State::Stopped) {
        // What came before it still reaches the client.
        pipe.set_upstream_error(1);
    }
    done
}

/// Makes buffers of pieces.
struct Shadows<'a, 'r> {
    pipe: &'a mut ffi::ngx_event_pipe_t,
    raw: *mut ffi::ngx_buf_t,
    last: *mut ffi::ngx_buf_t,
    lines: Lines<'r>,
    allows_body: bool,
}

impl Shadows<'_, '_> {
    fn add(&mut self, block: &[u8]) -> Result<(), FlowError> {
        // SAFETY: the pipe's own pool and list.
        let link = unsafe { ffi::ngx_chain_get_free_buf(self.pipe.pool, &raw mut self.pipe.free) };
        if link.is_null() {
            return Err(FlowError::Failed);
        }
        // SAFETY: a link with a buffer, in nobody's hands.
        let shadow = unsafe { &mut *(*link).buf };
        // SAFETY: plain numbers and pointers, of which zero is a value.
        *shadow = unsafe { std::mem::zeroed() };
        let range = block.as_ptr_range();
        shadow.pos = range.start.cast_mut();
        shadow.last = range.end.cast_mut();
        // SAFETY: what was read, into which the block points.
        (shadow.start, shadow.end) = unsafe { ((*self.raw).start, (*self.raw).end) };
        // SAFETY: as above; read by value.
        shadow.num = unsafe { (*self.raw).num };
        shadow.tag = self.pipe.tag;
        shadow.set_temporary(1);
        shadow.set_recycled(1);
        if self.last.is_null() {
            // SAFETY: nginx finds those that share its memory from there.
            unsafe { (*self.raw).shadow = shadow };
        } else {
            // SAFETY: the one before, of the request's.
            unsafe { (*self.last).shadow = shadow };
        }
        self.last = shadow;
        if self.pipe.in_.is_null() {
            self.pipe.in_ = link;
        } else {
            // SAFETY: the place behind the last link.
            unsafe { *self.pipe.last_in = link };
        }
        // SAFETY: a link that stays in the pipe.
        self.pipe.last_in = unsafe { &raw mut (*link).next };
        Ok(())
    }
}

impl ReplySink for Shadows<'_, '_> {
    // Has been taken.
    fn take_head(&mut self, _head: &Head<'_>) -> Result<(), FlowError> {
        Err(FlowError::Failed)
    }

    fn take_blocks(&mut self, blocks: &[Bytes<'_>], flags: Send) -> Result<(), FlowError> {
        let allows_body = self.allows_body;
        for block in blocks.iter().filter(|block| allows_body && !block.is_empty()) {
            self.add(block)?;
        }
        if flags.has(Send::FLUSH) && !self.last.is_null() {
            // Filters that keep some (gzip) are to let it go.
            // SAFETY: a buffer of the request's, made above.
            unsafe { (*self.last).set_flush(1) };
        }
        Ok(())
    }

    // The head has said that there is one, and then nothing is buffered.
    fn take_file(&mut self, _file: OwnedFd, _: u64, _: u64, _: Send) -> Result<(), FlowError> {
        Err(FlowError::Failed)
    }

    fn take_line(&mut self, level: Level, line: &[u8]) {
        self.lines.take(level, line);
    }

    fn wants_line(&self, level: Level) -> bool {
        self.lines.wants(level)
    }
}
