//! The body of a request on its way to the worker: nginx's output filter for the connection. The request's frame goes on at
//! once; a body that does not go with it waits for `READ`, and then goes on as `BODY` frames, piece by piece, while the reply
//! may be coming already.

#![allow(unsafe_code, reason = "called by nginx with its own buffers")]

use std::ffi::c_void;
use std::ptr;

use super::exchange::Exchange;
use crate::nginx::ffi;

/// `ngx_output_chain_ctx_t::output_filter`: `chain` is the request's frame at first, with what has come of a body that is not
/// buffered; later more of that, or nothing.
pub unsafe extern "C" fn filter(data: *mut c_void, chain: *mut ffi::ngx_chain_t) -> ffi::ngx_int_t {
    catch!(ffi::NGX_ERROR, {
        // SAFETY: the filter's context is the request's exchange, which nobody else uses during the call.
        let exchange = unsafe { &mut *data.cast::<Exchange>() };
        send(exchange, chain)
    })
}

fn send(exchange: &mut Exchange, mut chain: *mut ffi::ngx_chain_t) -> ffi::ngx_int_t {
    let mut own = ptr::null_mut();
    let mut first = ffi::ngx_chain_t { buf: ptr::null_mut(), next: ptr::null_mut() };
    while !chain.is_null() {
        // SAFETY: a link of the chain that nginx passes; both fields are read by value.
        let (buffer, next) = unsafe { ((*chain).buf, (*chain).next) };
        if exchange.upload.is_frame(buffer) {
            first.buf = buffer;
            own = &raw mut first;
        } else {
            exchange.upload.held.push_back(buffer);
        }
        chain = next;
    }
    if exchange.is_over() {
        // nginx need not know: our own event follows, or the reply is what counts.
        return ffi::NGX_OK;
    }
    match write(exchange, own) {
        ffi::NGX_OK => {}
        ffi::NGX_AGAIN => return wait_for_room(exchange),
        // Nobody calls an application for a part of a request.
        _ if exchange.attempt.as_ref().is_some_and(|attempt| !attempt.reply.asked) => {
            exchange.not_taken();
            return ffi::NGX_OK;
        }
        _ => {
            exchange.upload.abandon();
            return ffi::NGX_OK;
        }
    }
    exchange.upload.advance();
    if exchange.upload.is_inline {
        return ffi::NGX_OK;
    }
    if !exchange.attempt.as_ref().is_some_and(|attempt| attempt.reply.asked) {
        hold(exchange);
        return ffi::NGX_OK;
    }
    let empty = ffi::ngx_chain_t { buf: ptr::null_mut(), next: ptr::null_mut() };
    let mut links = [empty; 3];
    let mut moved = false;
    while exchange.upload.next(&mut links) {
        moved = true;
        match write(exchange, links.as_mut_ptr()) {
            ffi::NGX_OK => exchange.upload.advance(),
            ffi::NGX_AGAIN => {
                renew(exchange);
                return wait_for_room(exchange);
            }
            _ => exchange.upload.abandon(),
        }
    }
    let waits_for_client = !exchange.upload.is_ended && exchange.upload.held.is_empty();
    if waits_for_client {
        stop_waiting(exchange);
    } else if moved {
        renew(exchange);
    }
    ffi::NGX_OK
}

/// Writes a chain, and what is left of the one before.
fn write(exchange: &Exchange, chain: *mut ffi::ngx_chain_t) -> ffi::ngx_int_t {
    let upstream = exchange.upstream();
    // SAFETY: the writer of the request's upstream, whose connection is open; it makes links of its own.
    unsafe { ffi::ngx_chain_writer((&raw mut (*upstream).writer).cast(), chain) }
}

/// There is more than the worker takes at the moment. Once its reply goes on, that need not take the rest of the body.
fn wait_for_room(exchange: &Exchange) -> ffi::ngx_int_t {
    if exchange.is_body_begun
        && let Some(attempt) = &exchange.attempt
    {
        attempt.connection.socket.ignore_send_timeout();
    }
    ffi::NGX_AGAIN
}

/// The body waits for the worker: from now on it is the worker's time, though nginx begins to count it only once it has sent
/// everything.
fn hold(exchange: &Exchange) {
    let Some(attempt) = &exchange.attempt else { return };
    let read = attempt.connection.socket.read();
    let upstream = exchange.upstream();
    // SAFETY: the event of a connection that is open; read by value.
    if unsafe { (*read).timer_set() } == 0 {
        // SAFETY: as above; the upstream is set up, and so is what it is configured with.
        unsafe { ffi::shim_add_timer(read, (*(*upstream).conf).read_timeout) };
    }
}

/// Bytes have moved: the worker's time begins anew.
fn renew(exchange: &Exchange) {
    let Some(attempt) = &exchange.attempt else { return };
    let read = attempt.connection.socket.read();
    // SAFETY: the event of a connection that is open; read by value.
    if unsafe { (*read).timer_set() } != 0 {
        let upstream = exchange.upstream();
        // SAFETY: as above; the upstream is set up, and so is what it is configured with.
        unsafe { ffi::shim_add_timer(read, (*(*upstream).conf).read_timeout) };
    }
}

/// What is still to come of the body is the client's to send, for which nginx has a time of its own.
fn stop_waiting(exchange: &Exchange) {
    let upstream = exchange.upstream();
    // SAFETY: the upstream is set up; read by value.
    if unsafe { (*upstream).header_sent() } != 0 {
        // The reply goes on by itself.
        return;
    }
    let Some(attempt) = &exchange.attempt else { return };
    let read = attempt.connection.socket.read();
    // SAFETY: the event of a connection that is open; read by value.
    if unsafe { (*read).timer_set() } != 0 {
        // SAFETY: it is in the loop's tree of timers.
        unsafe { ffi::shim_del_timer(read) };
    }
}
