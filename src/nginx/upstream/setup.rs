//! Sets nginx's upstream module up for a request: which functions of ours it calls, and what they do that is not worth a file.

#![allow(unsafe_code, reason = "gives nginx functions to call")]

use std::ffi::c_void;
use std::ptr;

use oxwsgi_client::reply::Stage;

use super::exchange::Exchange;
use super::{buffered, frame, header, peer, remainder, request_body, unbuffered};
use crate::nginx::config::LocationConfig;
use crate::nginx::ffi;
use crate::nginx::pool::OutOfMemory;
use crate::nginx::record::Request;

/// Sets nginx's upstream module up for the request, anew when it has been used for it before.
pub fn prepare(exchange: &mut Exchange) -> Result<(), OutOfMemory> {
    let request = exchange.request();
    let r = request.as_raw();
    // SAFETY: the request is alive, and has no upstream that has not ended.
    if unsafe { ffi::ngx_http_upstream_create(r) } != ffi::NGX_OK {
        return Err(OutOfMemory);
    }
    // SAFETY: plain numbers and pointers, of which zero is a value.
    let pipe: ffi::ngx_event_pipe_t = unsafe { std::mem::zeroed() };
    let pipe = request.pool().room(1)?[0].write(pipe);
    let data = ptr::from_mut(exchange).cast();
    pipe.input_filter = Some(buffered::filter);
    pipe.input_ctx = data;
    let settings = LocationConfig::of(request);
    // SAFETY: just made for the request, and not in use yet.
    let upstream = unsafe { &mut *(*r).upstream };
    upstream.conf = (&raw const settings.upstream).cast_mut();
    upstream.caches = request.caches();
    upstream.pipe = pipe;
    upstream.output.tag = (&raw mut crate::nginx::ngx_http_oxwsgi_module).cast();
    upstream.output.output_filter = Some(request_body::filter);
    upstream.output.filter_ctx = data;
    upstream.set_buffering(u32::from(settings.upstream.buffering != 0));
    upstream.set_accel(1);
    upstream.input_filter_init = Some(begin_body);
    upstream.input_filter = Some(unbuffered::filter);
    upstream.input_filter_ctx = data;
    upstream.create_key = Some(create_key);
    upstream.create_request = Some(frame::create);
    upstream.reinit_request = Some(reinit_request);
    upstream.process_header = Some(header::process);
    upstream.abort_request = Some(abort_request);
    upstream.finalize_request = Some(peer::finalize);
    Ok(())
}

/// `ngx_http_upstream_t::input_filter_init`: the head is on its way, and the body is about to be read.
unsafe extern "C" fn begin_body(data: *mut c_void) -> ffi::ngx_int_t {
    // SAFETY: the context of both filters is the request's exchange, which nobody else uses during the call.
    let exchange = unsafe { &mut *data.cast::<Exchange>() };
    exchange.is_body_begun = true;
    if let Some(attempt) = &exchange.attempt {
        attempt.connection.socket.ignore_send_timeout();
    }
    // SAFETY: the request's upstream, which nginx does not use during the call.
    let upstream = unsafe { &mut *exchange.upstream() };
    if upstream.buffering() == 0 {
        unbuffered::begin(upstream);
    } else {
        // SAFETY: the upstream's pipe, made by `prepare`.
        buffered::begin(unsafe { &mut *upstream.pipe }, &upstream.buffer);
    }
    ffi::NGX_OK
}

/// `ngx_http_upstream_t::create_key`: what distinguishes answers in nginx's cache.
unsafe extern "C" fn create_key(request: *mut ffi::ngx_http_request_t) -> ffi::ngx_int_t {
    // SAFETY: nginx passes a request that is alive.
    let request = unsafe { Request::from_raw(request) };
    catch!(ffi::NGX_ERROR, {
        let key = LocationConfig::of(request).cache_key.as_ref().map(|key| key.evaluate(request));
        let Ok(key) = key.transpose() else { return ffi::NGX_ERROR };
        request.add_cache_key(key).map_or(ffi::NGX_ERROR, |()| ffi::NGX_OK)
    })
}

/// `ngx_http_upstream_t::reinit_request`: nginx goes on with another connection, which is there already, or with its cache.
unsafe extern "C" fn reinit_request(request: *mut ffi::ngx_http_request_t) -> ffi::ngx_int_t {
    catch!(ffi::NGX_ERROR, {
        // SAFETY: nginx calls it for a request of ours, which is alive; nobody else uses its exchange during the call.
        let exchange = unsafe { &mut *Exchange::of(request) };
        let renewed = match (&exchange.attempt, exchange.stage()) {
            (Some(_), Stage::Silent) => frame::renew_body(exchange),
            (Some(_), _) => {
                // The answer is about what the cache has, which comes into the same buffer now.
                remainder::take_read_bytes(exchange);
                Ok(())
            }
            (None, _) => Ok(()),
        };
        renewed.map_or(ffi::NGX_ERROR, |()| ffi::NGX_OK)
    })
}

/// `ngx_http_upstream_t::abort_request`, which nginx has no use for.
unsafe extern "C" fn abort_request(_request: *mut ffi::ngx_http_request_t) {}
