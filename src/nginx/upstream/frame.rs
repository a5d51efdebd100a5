//! The frame of a request, as it goes to a worker, and what becomes of its body.

#![allow(unsafe_code, reason = "called by nginx, and reads its buffers")]

use std::collections::VecDeque;
use std::{ptr, slice};

use oxwsgi_client::Problem;
use oxwsgi_client::body::SHORT;
use oxwsgi_client::root::seen_below;
use oxwsgi_core::request::{BodyLength, RequestView};
use oxwsgi_core::wire::{HEADER, Inline, LONGEST_REQUEST, encode_request};

use super::exchange::Exchange;
use super::upload;
use crate::nginx::config::LocationConfig;
use crate::nginx::pool::OutOfMemory;
use crate::nginx::record::Request;
use crate::nginx::{ffi, request};

/// `ngx_http_upstream_t::create_request`: makes the request's frame, which gets its number with its connection.
pub unsafe extern "C" fn create(request: *mut ffi::ngx_http_request_t) -> ffi::ngx_int_t {
    catch!(ffi::NGX_ERROR, {
        // SAFETY: nginx calls it for a request of ours, which is alive; nobody else uses its exchange during the call.
        let exchange = unsafe { &mut *Exchange::of(request) };
        match make_frame(exchange) {
            Ok(()) => ffi::NGX_OK,
            Err(problem) => {
                if let Some(problem) = problem {
                    exchange.log(&problem);
                }
                ffi::NGX_ERROR
            }
        }
    })
}

fn make_frame(exchange: &mut Exchange) -> Result<(), Option<Problem>> {
    let request = exchange.request();
    let Some(application) = exchange.application() else { return Err(None) };
    let (length, inline) = take_body(exchange).map_err(|OutOfMemory| None)?;
    let mut frame = std::mem::take(&mut exchange.frame);
    frame.clear();
    let made = request::with_view(request, application, &exchange.group.settings.name, length, |view| {
        exchange.is_head_request = view.head;
        let inline = inline.map_or(Inline::Nothing, Inline::All);
        match &exchange.group.settings.root {
            None => encode_request(&mut frame, view, 0, inline),
            Some(root) => encode_request(&mut frame, &below(root, view)?, 0, inline),
        }
        Ok::<(), Option<Problem>>(())
    });
    exchange.frame = frame;
    made.map_err(|OutOfMemory| None)??;
    if exchange.frame.len() > HEADER + LONGEST_REQUEST {
        return Err(Some(Problem::LongRequest(exchange.frame.len())));
    }
    let buffer = exchange.upload.frame_buffer(&mut exchange.frame);
    // SAFETY: the request's own pool. nginx takes the link for its own.
    let link = unsafe { ffi::ngx_alloc_chain_link(request.pool().as_raw()) };
    if link.is_null() {
        return Err(None);
    }
    // SAFETY: a new link, in nobody's hands.
    unsafe { link.write(ffi::ngx_chain_t { buf: buffer, next: ptr::null_mut() }) };
    // SAFETY: the request's upstream, which nginx does not use during the call. The body is ours to hand on.
    unsafe { (*exchange.upstream()).request_bufs = link };
    Ok(())
}

fn below<'a>(root: &[u8], view: &RequestView<'a>) -> Result<RequestView<'a>, Option<Problem>> {
    let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    seen_below(root, view)
        .ok_or_else(|| Some(Problem::OutsideRoot { script: text(&view.target.script), root: text(root) }))
}

/// What is to become of the request's body: its length, and all of it when it goes with the request.
fn take_body<'r>(exchange: &mut Exchange) -> Result<(BodyLength, Option<&'r [u8]>), OutOfMemory> {
    let request: Request<'r> = exchange.request();
    let r = request.as_raw();
    if LocationConfig::of(request).upstream.pass_request_body == 0 {
        exchange.upload.begin(true, Some(VecDeque::new()));
        return Ok((BodyLength::None, Some(b"")));
    }
    // SAFETY: the request is alive; all are read by value.
    let (body, declared, is_chunked, comes_later) = unsafe {
        let headers = &(*r).headers_in;
        let comes_later = (*r).request_body_no_buffering() != 0;
        ((*r).request_body, headers.content_length_n, headers.chunked() != 0, comes_later)
    };
    if comes_later {
        exchange.upload.begin(false, None);
        // Of a chunked body nginx counts there what it has read so far.
        let declared = u64::try_from(declared).ok().filter(|_| !is_chunked);
        let length = declared.map_or(BodyLength::UntilEnd, BodyLength::Bytes);
        return Ok((length, None));
    }
    let mut whole = VecDeque::new();
    let (mut length, mut is_in_memory) = (0_u64, true);
    // SAFETY: null, or the request's body; read by value.
    let mut link = if body.is_null() { ptr::null_mut() } else { unsafe { (*body).bufs } };
    while !link.is_null() {
        // SAFETY: a link of the body's chain. nginx may need its buffers again (`mirror`, `error_page`), so these are copies.
        let copy = request.pool().room::<ffi::ngx_buf_t>(1)?[0].write(unsafe { *(*link).buf });
        copy.set_last_buf(0);
        let size = upload::size_of(copy);
        if size > 0 {
            length += size as u64;
            is_in_memory &= upload::is_in_memory(copy);
            whole.push_back(ptr::from_mut(copy));
        }
        // SAFETY: as above; read by value.
        link = unsafe { (*link).next };
    }
    let is_announced = declared >= 0 || is_chunked || length > 0;
    let view = if is_announced { BodyLength::Bytes(length) } else { BodyLength::None };
    if length > SHORT || !is_in_memory {
        exchange.upload.begin(false, Some(whole));
        return Ok((view, None));
    }
    let inline = join(request, &whole, length as usize)?;
    exchange.upload.begin(true, Some(VecDeque::new()));
    Ok((view, Some(inline)))
}

/// The bytes of buffers in memory, in one piece.
fn join<'r>(
    request: Request<'r>,
    buffers: &VecDeque<*mut ffi::ngx_buf_t>,
    length: usize,
) -> Result<&'r [u8], OutOfMemory> {
    let bytes = |buffer: *mut ffi::ngx_buf_t| {
        // SAFETY: a buffer of the request's body, in memory that lives as long as the request.
        unsafe { slice::from_raw_parts((*buffer).pos, (*buffer).last.offset_from_unsigned((*buffer).pos)) }
    };
    if let (Some(first), true) = (buffers.front(), buffers.len() <= 1) {
        return Ok(bytes(*first));
    }
    let room = request.pool().room::<u8>(length)?;
    for (place, byte) in room.iter_mut().zip(buffers.iter().flat_map(|buffer| bytes(*buffer))) {
        place.write(*byte);
    }
    // SAFETY: as many bytes were written as there are.
    Ok(unsafe { slice::from_raw_parts(room.as_ptr().cast(), room.len()) })
}
