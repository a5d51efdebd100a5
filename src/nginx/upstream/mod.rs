//! Serves requests: a client of daemon groups in nginx's event loop, by nginx's own upstream module.

#![allow(unsafe_code, reason = "called by nginx, and gives it functions to call")]

use crate::nginx::ffi;
use crate::nginx::pool::OutOfMemory;
use crate::nginx::record::{Reading, Request};

/// The content handler of locations with `wsgi_pass`.
pub unsafe extern "C" fn handle(request: *mut ffi::ngx_http_request_t) -> ffi::ngx_int_t {
    // SAFETY: nginx passes the request, on the thread of the event loop.
    let request = unsafe { Request::from_raw(request) };
    catch!(ffi::NGX_HTTP_INTERNAL_SERVER_ERROR, serve(request))
}

fn serve(_request: Request<'_>) -> ffi::ngx_int_t {
    ffi::NGX_HTTP_SERVICE_UNAVAILABLE
}

/// What a location names as its upstream server (`ngx_http_upstream_conf_t::upstream`); lives as long as the
/// configuration.
pub fn server(reading: Reading<'_>) -> Result<*mut ffi::ngx_http_upstream_srv_conf_t, OutOfMemory> {
    // SAFETY: plain numbers and pointers, of which zero is a value.
    let server: ffi::ngx_http_upstream_srv_conf_t = unsafe { std::mem::zeroed() };
    Ok(reading.pool().room(1)?[0].write(server))
}
