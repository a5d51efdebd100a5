//! The head of a reply, for nginx: from the frames that come first to its record of a response's status and header fields.
//! What is read behind the head is left for the filters.

#![allow(unsafe_code, reason = "called by nginx, and fills its records")]

use std::os::fd::OwnedFd;
use std::{ptr, slice};

use oxwsgi_client::ReplySink;
use oxwsgi_client::reply::{Stage, Step};
use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::exchange::{FlowError, Head, Send};
use oxwsgi_core::report::Level;
use oxwsgi_core::wire::{HEADER, ReplyFrame};

use super::exchange::Exchange;
use super::lines::Lines;
use crate::nginx::ffi;
use crate::nginx::pool::OutOfMemory;
use crate::nginx::record::Request;

/// `ngx_http_upstream_t::process_header`: looks at what has come so far.
pub unsafe extern "C" fn process(request: *mut ffi::ngx_http_request_t) -> ffi::ngx_int_t {
    catch!(ffi::NGX_ERROR, {
        // SAFETY: nginx calls it for a request of ours, which is alive; nobody else uses its exchange during the call.
        let exchange = unsafe { &mut *Exchange::of(request) };
        // SAFETY: as above; read by value.
        if unsafe { (*request).cached() } != 0 { process_cached(exchange) } else { process_new(exchange) }
    })
}

fn process_new(exchange: &mut Exchange) -> ffi::ngx_int_t {
    let upstream = exchange.upstream();
    // SAFETY: the upstream's own buffer, which nobody else refers to during the call.
    let buffer = unsafe { &mut (*upstream).buffer };
    if exchange.is_over() {
        buffer.last = buffer.pos;
        return ffi::NGX_AGAIN;
    }
    let mut sink = HeadSink::new(exchange, false);
    let Some(attempt) = &mut exchange.attempt else { return ffi::NGX_ERROR };
    let asked = attempt.reply.asked;
    // SAFETY: nginx has read these bytes, and they stay where they are until the next read.
    let bytes = unsafe { slice::from_raw_parts(buffer.pos, buffer.last.offset_from_unsigned(buffer.pos)) };
    let step = attempt.reply.take_head(bytes, &mut sink);
    attempt.connection.hello = attempt.reply.hello;
    let (asks, stage) = (attempt.reply.asked && !asked, attempt.reply.stage);
    let has_asked = attempt.reply.asked;
    let announces_file = attempt.reply.announces_file();
    if asks {
        exchange.ask_for_body();
    }
    exchange.note_progress();
    let Ok(Step::More { taken, needed }) = step else {
        buffer.last = buffer.pos;
        exchange.follow(step);
        return ffi::NGX_AGAIN;
    };
    if stage == Stage::Silent {
        return match make_room(exchange.request(), buffer, taken, needed) {
            Ok(()) => ffi::NGX_AGAIN,
            Err(OutOfMemory) => ffi::NGX_ERROR,
        };
    }
    // SAFETY: the upstream's own record; read by value.
    exchange.status = u16::try_from(unsafe { (*upstream).headers_in.status_n }).ok();
    // SAFETY: so many bytes have been read.
    buffer.pos = unsafe { buffer.pos.add(taken) };
    if !has_asked {
        exchange.request().close_after_unread_body();
    }
    if announces_file {
        // Only there a buffer can be a file.
        // SAFETY: the upstream is set up, and nobody else refers to it during the call.
        unsafe { (*upstream).set_buffering(0) };
    }
    // SAFETY: both are in the same buffer; the configuration is read by value.
    let (length, most) =
        unsafe { (buffer.pos.offset_from_unsigned(buffer.start), (*(*upstream).conf).buffer_size) };
    if length > most.min(u16::MAX.into()) {
        // nginx could not read so long a head from its cache again.
        // SAFETY: as above.
        unsafe { (*upstream).set_cacheable(0) };
    }
    ffi::NGX_OK
}

/// Moves what is not done with to the start of the buffer, and sees that the frame there finds its place.
fn make_room(
    request: Request<'_>,
    buffer: &mut ffi::ngx_buf_t,
    taken: usize,
    needed: usize,
) -> Result<(), OutOfMemory> {
    // SAFETY: `taken` bytes of it are done with.
    let rest = unsafe { buffer.pos.add(taken) };
    // SAFETY: both are in the same buffer.
    let left = unsafe { buffer.last.offset_from_unsigned(rest) };
    // SAFETY: as above. What is before it is nginx's, for its cache.
    let (before, room) = unsafe {
        (buffer.pos.offset_from_unsigned(buffer.start), buffer.end.offset_from_unsigned(buffer.pos))
    };
    // With a byte more than needed nginx does not take the buffer for full.
    if needed < room {
        // SAFETY: both ranges are in the same buffer.
        unsafe { ptr::copy(rest, buffer.pos, left) };
    } else {
        let larger = request.pool().room::<u8>(before + needed + HEADER)?.as_mut_ptr().cast::<u8>();
        // SAFETY: fresh memory, with room for what is before and for a whole frame.
        unsafe { ptr::copy_nonoverlapping(buffer.start, larger, before) };
        // SAFETY: as above.
        unsafe { ptr::copy_nonoverlapping(rest, larger.add(before), left) };
        buffer.start = larger;
        // SAFETY: as above.
        buffer.pos = unsafe { larger.add(before) };
        // SAFETY: as above.
        buffer.end = unsafe { larger.add(before + needed + HEADER) };
    }
    // SAFETY: as many bytes were moved there.
    buffer.last = unsafe { buffer.pos.add(left) };
    Ok(())
}

/// From nginx's cache: the frames up to the head, as they came when it was made.
fn process_cached(exchange: &mut Exchange) -> ffi::ngx_int_t {
    let upstream = exchange.upstream();
    // SAFETY: the upstream's own buffer, which nobody else refers to during the call.
    let buffer = unsafe { &mut (*upstream).buffer };
    loop {
        // SAFETY: nginx has read these bytes.
        let bytes =
            unsafe { slice::from_raw_parts(buffer.pos, buffer.last.offset_from_unsigned(buffer.pos)) };
        let Ok(Some((frame, length))) = ReplyFrame::decode(bytes) else {
            return ffi::NGX_HTTP_UPSTREAM_INVALID_HEADER as ffi::ngx_int_t;
        };
        // SAFETY: the frame is so long.
        buffer.pos = unsafe { buffer.pos.add(length) };
        if let ReplyFrame::Head(head) = frame {
            return match HeadSink::new(exchange, true).take_head(&head.head()) {
                Ok(()) => ffi::NGX_OK,
                Err(_) => ffi::NGX_ERROR,
            };
        }
    }
}

/// Takes a head, and lines before it.
struct HeadSink<'r> {
    request: Request<'r>,
    lines: Lines<'r>,
    is_cached: bool,
}

impl HeadSink<'_> {
    fn new(exchange: &Exchange, is_cached: bool) -> Self {
        Self { request: exchange.request(), lines: exchange.lines(), is_cached }
    }

    fn add(&self, name: &[u8], value: &[u8]) -> Result<(), OutOfMemory> {
        let r = self.request.as_raw();
        // SAFETY: the request is alive; read by value.
        let upstream = unsafe { (*r).upstream };
        // SAFETY: the upstream's own list, which nginx has set up for a head.
        let row = unsafe { ffi::ngx_list_push(&raw mut (*upstream).headers_in.headers) };
        let row = row.cast::<ffi::ngx_table_elt_t>();
        if row.is_null() {
            return Err(OutOfMemory);
        }
        let pool = self.request.pool();
        let lower = pool.text(&name.to_ascii_lowercase())?;
        let hash = name
            .iter()
            .fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.to_ascii_lowercase().into()));
        // SAFETY: plain numbers and pointers, of which zero is a value.
        let mut field: ffi::ngx_table_elt_t = unsafe { std::mem::zeroed() };
        field.hash = hash;
        field.key = pool.text(name)?;
        field.value = pool.text(value)?;
        field.lowcase_key = lower.data;
        // SAFETY: the list's new element, which nobody refers to yet.
        unsafe { row.write(field) };
        // SAFETY: nginx has assigned it before any request; read by value.
        let index = unsafe { ffi::ngx_http_upstream_module.ctx_index };
        // SAFETY: every request has an element for each module, and this one's is of this type.
        let settings = unsafe { (*(*r).main_conf.add(index)).cast::<ffi::ngx_http_upstream_main_conf_t>() };
        // SAFETY: a hash of the configuration, and a key in lower case.
        let known =
            unsafe { ffi::ngx_hash_find(&raw mut (*settings).headers_in_hash, hash, lower.data, lower.len) };
        if known.is_null() {
            return Ok(());
        }
        // SAFETY: its elements are of this type; read by value.
        let known = unsafe { &*known.cast::<ffi::ngx_http_upstream_header_t>() };
        let Some(handler) = known.handler else { return Ok(()) };
        // SAFETY: nginx's own function for the field that was added to the request's upstream.
        if unsafe { handler(r, row, known.offset) } == ffi::NGX_OK { Ok(()) } else { Err(OutOfMemory) }
    }
}

impl ReplySink for HeadSink<'_> {
    fn take_head(&mut self, head: &Head<'_>) -> Result<(), FlowError> {
        let failed = |OutOfMemory| FlowError::Failed;
        let pool = self.request.pool();
        // SAFETY: the request is alive; read by value.
        let upstream = unsafe { (*self.request.as_raw()).upstream };
        let status_line = if head.status_line.len() > 3 {
            pool.text(&head.status_line)
        } else {
            // RFC 9112 section 4: the blank is there without a reason as well.
            pool.text(&[head.status_line.as_slice(), b" "].concat())
        };
        let status_line = status_line.map_err(failed)?;
        // SAFETY: the upstream's own record, which nobody else refers to during the call.
        unsafe { (*upstream).headers_in.status_n = head.status.into() };
        // SAFETY: as above.
        unsafe { (*upstream).headers_in.status_line = status_line };
        // SAFETY: as above; read by value.
        let state = unsafe { (*upstream).state };
        if !state.is_null() && !self.is_cached {
            // SAFETY: the attempt's own record.
            unsafe { (*state).status = head.status.into() };
        }
        let mut has_length = false;
        for field in head.headers.iter() {
            if is_for_one_hop(&field.name) {
                continue;
            }
            if field.name.eq_ignore_ascii_case(b"content-length") && std::mem::replace(&mut has_length, true)
            {
                // The same again: `Head` has one length.
                continue;
            }
            self.add(&field.name, &field.value).map_err(failed)?;
        }
        if !has_length && !matches!(head.status, 204 | 304) && head.content_length >= 0 {
            // SAFETY: the upstream's own record, which nobody else refers to during the call.
            unsafe { (*upstream).headers_in.content_length_n = head.content_length };
        }
        Ok(())
    }

    // A head is the last that is asked for.
    fn take_blocks(&mut self, _blocks: &[Bytes<'_>], _flags: Send) -> Result<(), FlowError> {
        Err(FlowError::Failed)
    }

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

/// Whether a field is about the connection, which is nginx's (PEP 3333, "Other HTTP Features").
fn is_for_one_hop(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 5] = [b"connection", b"keep-alive", b"te", b"transfer-encoding", b"upgrade"];
    NAMES.iter().any(|other| name.eq_ignore_ascii_case(other))
}
