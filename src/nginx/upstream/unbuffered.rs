//! The body of a reply that goes on to the client as it comes, and is read no faster than the client takes it. Also the way of
//! a file, whose bytes nobody reads here.

#![allow(unsafe_code, reason = "called by nginx with its own buffers")]

use std::ffi::c_void;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::slice;

use oxwsgi_client::ReplySink;
use oxwsgi_client::reply::Stage;
use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::exchange::{FlowError, Head, Send};
use oxwsgi_core::report::Level;

use super::attempt::State;
use super::exchange::Exchange;
use super::lines::Lines;
use crate::nginx::record::Request;
use crate::nginx::{ffi, text};

/// As in [`super::buffered`].
const MORE: ffi::off_t = 1;

/// Before the first bytes.
pub fn begin(upstream: &mut ffi::ngx_http_upstream_t) {
    upstream.length = MORE;
}

/// `ngx_http_upstream_t::input_filter`: so many bytes have been read behind what is in the buffer.
pub unsafe extern "C" fn filter(data: *mut c_void, count: isize) -> ffi::ngx_int_t {
    catch!(ffi::NGX_ERROR, {
        // SAFETY: the filter's context is the request's exchange, which nobody else uses during the call.
        let exchange = unsafe { &mut *data.cast::<Exchange>() };
        take(exchange, count.unsigned_abs())
    })
}

fn take(exchange: &mut Exchange, count: usize) -> ffi::ngx_int_t {
    let upstream = exchange.upstream();
    // SAFETY: the request's upstream, which nginx does not use during the call.
    let buffer = unsafe { &mut (*upstream).buffer };
    // SAFETY: nginx has read these bytes, and they stay where they are until all buffers that refer to them have been sent.
    let bytes = unsafe { slice::from_raw_parts(buffer.last, count) };
    // SAFETY: as above.
    buffer.last = unsafe { buffer.last.add(count) };
    let allows_body = exchange.allows_body();
    let mut sink = Pieces { request: exchange.request(), upstream, lines: exchange.lines(), allows_body };
    exchange.feed(bytes, &mut sink);
    let Some(attempt) = &exchange.attempt else { return ffi::NGX_ERROR };
    if attempt.reply.stage == Stage::Complete {
        // SAFETY: the request's upstream, which nginx does not use during the call.
        unsafe { (*upstream).length = 0 };
        // nginx is to look here, and not to wait: see `super::receive`.
        // SAFETY: the event of a connection that is open.
        unsafe { (*attempt.connection.socket.read()).set_ready(1) };
    } else if attempt.state == State::Stopped {
        // What came before it still reaches the client.
        // SAFETY: as above.
        unsafe { (*upstream).set_error(1) };
    }
    ffi::NGX_OK
}

/// Makes buffers of pieces.
struct Pieces<'r> {
    request: Request<'r>,
    upstream: *mut ffi::ngx_http_upstream_t,
    lines: Lines<'r>,
    allows_body: bool,
}

impl<'r> Pieces<'r> {
    /// A new buffer behind the others. It is sent at once: nginx waits until it is.
    fn add(&mut self) -> Result<&mut ffi::ngx_buf_t, FlowError> {
        // SAFETY: the request's pool, and the upstream's own list.
        let link = unsafe {
            ffi::ngx_chain_get_free_buf(self.request.pool().as_raw(), &raw mut (*self.upstream).free_bufs)
        };
        if link.is_null() {
            return Err(FlowError::Failed);
        }
        // SAFETY: a link in nobody's hands.
        unsafe { (*link).next = std::ptr::null_mut() };
        // SAFETY: the upstream's own list.
        let mut place = unsafe { &raw mut (*self.upstream).out_bufs };
        // SAFETY: links of the upstream's own list, read by value.
        while !unsafe { *place }.is_null() {
            // SAFETY: as above.
            place = unsafe { &raw mut (**place).next };
        }
        // SAFETY: the place behind the last.
        unsafe { *place = link };
        // SAFETY: a link with a buffer, in nobody's hands.
        let buffer = unsafe { &mut *(*link).buf };
        // SAFETY: plain numbers and pointers, of which zero is a value.
        *buffer = unsafe { std::mem::zeroed() };
        // SAFETY: read by value.
        buffer.tag = unsafe { (*self.upstream).output.tag };
        buffer.set_flush(1);
        Ok(buffer)
    }

    /// nginx's record of an open file, closed with the request.
    fn open(&self, file: OwnedFd) -> Result<*mut ffi::ngx_file_t, FlowError> {
        const NAME: &std::ffi::CStr = c"file of a WSGI application";
        let pool = self.request.pool();
        let log = self.request.log().as_raw();
        // SAFETY: plain numbers and pointers, of which zero is a value.
        let mut record: ffi::ngx_file_t = unsafe { std::mem::zeroed() };
        record.name = text::fixed(NAME);
        record.log = log;
        let room = &mut pool.room::<ffi::ngx_file_t>(1).map_err(|_| FlowError::Failed)?[0];
        // SAFETY: the request's pool; the row gets a record of this size.
        let row =
            unsafe { ffi::ngx_pool_cleanup_add(pool.as_raw(), size_of::<ffi::ngx_pool_cleanup_file_t>()) };
        if row.is_null() {
            return Err(FlowError::Failed);
        }
        record.fd = file.into_raw_fd();
        // SAFETY: the row's own record, of this type.
        let cleanup = unsafe { &mut *(*row).data.cast::<ffi::ngx_pool_cleanup_file_t>() };
        cleanup.fd = record.fd;
        cleanup.name = NAME.as_ptr().cast_mut().cast();
        cleanup.log = log;
        // SAFETY: a row in the request's pool, just made; the function is for rows with such a record.
        unsafe { (*row).handler = Some(ffi::ngx_pool_cleanup_file) };
        Ok(room.write(record))
    }
}

impl ReplySink for Pieces<'_> {
    // Has been taken.
    fn take_head(&mut self, _head: &Head<'_>) -> Result<(), FlowError> {
        Err(FlowError::Failed)
    }

    fn take_blocks(&mut self, blocks: &[Bytes<'_>], _flags: Send) -> Result<(), FlowError> {
        let allows_body = self.allows_body;
        for block in blocks.iter().filter(|block| allows_body && !block.is_empty()) {
            let range = block.as_ptr_range();
            let buffer = self.add()?;
            buffer.pos = range.start.cast_mut();
            buffer.last = range.end.cast_mut();
            buffer.set_memory(1);
        }
        Ok(())
    }

    fn take_file(&mut self, file: OwnedFd, offset: u64, length: u64, _: Send) -> Result<(), FlowError> {
        if !self.allows_body {
            return Ok(());
        }
        let file = self.open(file)?;
        let buffer = self.add()?;
        buffer.file = file;
        // What `Reply` has checked to be inside of the file.
        buffer.file_pos = offset.cast_signed();
        buffer.file_last = (offset + length).cast_signed();
        buffer.set_in_file(1);
        Ok(())
    }

    fn take_line(&mut self, level: Level, line: &[u8]) {
        self.lines.take(level, line);
    }

    fn wants_line(&self, level: Level) -> bool {
        self.lines.wants(level)
    }
}
