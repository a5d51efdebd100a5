//! What is done with a request that has no reply yet and will get none from its worker: it goes to another one, or the server
//! answers. As an event of its own, for the functions that find it out are called by nginx's upstream module, which goes on
//! with the request when they return.

#![allow(unsafe_code, reason = "called by nginx; ends its upstream, and its request")]

use oxwsgi_client::reply::Stage;

use super::attempt::State;
use super::event::Event;
use super::exchange::{Exchange, Failure};
use super::setup;
use crate::nginx::ffi;
use crate::nginx::record::Request;

/// What to do.
#[derive(Clone, Copy, Debug)]
enum Decision {
    /// Begin anew.
    Again,
    /// Answer with this status, and say after how many seconds to come again.
    Status(u16, Option<u64>),
    /// Have nginx read, and find that it cannot: the reply stops where it is, or nginx's cache has an old answer that is good
    /// enough now.
    Fail(*mut ffi::ngx_event_t),
}

/// The event of a request with a [`Failure`].
pub unsafe extern "C" fn on_posted(event: *mut ffi::ngx_event_t) {
    catch!((), {
        // SAFETY: the event's data is the request's exchange; it is cancelled before that goes.
        let exchange = unsafe { Event::data::<Exchange>(event) };
        // SAFETY: as above; nobody else uses it until `decide` has returned.
        let decision = decide(unsafe { &mut *exchange });
        if let Some(decision) = decision {
            // SAFETY: as above.
            unsafe { carry_out(exchange, decision) };
        }
    });
}

fn decide(exchange: &mut Exchange) -> Option<Decision> {
    if exchange.failure.is_none() {
        exchange.judge_loss();
        // What it has come to, without a head, is for the next time.
        let attempt = exchange.attempt.as_ref()?;
        let is_broken = attempt.state == State::Stopped && attempt.reply.stage != Stage::Silent;
        return is_broken.then(|| Decision::Fail(attempt.connection.socket.read()));
    }
    let (status, delay) = match exchange.failure.take()? {
        Failure::Status(status, delay) => (status, delay),
        Failure::Again(again) => {
            let patience = exchange.patience();
            match exchange.retries.count(again, &exchange.group.settings, patience) {
                Ok(pause) => {
                    exchange.pause = pause;
                    return Some(Decision::Again);
                }
                Err(problem) => {
                    exchange.log(&problem);
                    (problem.status(), problem.retry_after().map(|delay| delay.as_secs()))
                }
            }
        }
    };
    if has_stale_answer(exchange)
        && let Some(attempt) = &mut exchange.attempt
    {
        attempt.state = State::Stopped;
        let event = attempt.connection.socket.read();
        exchange.is_left_to_nginx = true;
        return Some(Decision::Fail(event));
    }
    Some(Decision::Status(status, delay))
}

/// `wsgi_cache_use_stale error`, or `stale-if-error` of that answer (RFC 5861 section 4).
fn has_stale_answer(exchange: &Exchange) -> bool {
    let upstream = exchange.upstream();
    // SAFETY: the request is alive; null, or its record of the answer; read by value.
    let allows_stale = unsafe { (*exchange.request().as_raw()).cache.as_ref() }
        .is_some_and(|cache| cache.stale_error() != 0);
    // SAFETY: the request's upstream, and what it is configured with; read by value.
    let (status, settings) = unsafe { ((*upstream).cache_status(), &*(*upstream).conf) };
    status as ffi::ngx_uint_t == ffi::NGX_HTTP_CACHE_EXPIRED
        && (allows_stale
            || settings.cache_use_stale & ffi::NGX_HTTP_UPSTREAM_FT_ERROR as ffi::ngx_uint_t != 0)
}

/// # Safety
/// The exchange of a request that is alive, and whose upstream has not ended. Neither may be there afterwards.
unsafe fn carry_out(exchange: *mut Exchange, decision: Decision) {
    // SAFETY: the caller's word.
    let request = unsafe { (*exchange).request() };
    let r = request.as_raw();
    // SAFETY: the request is alive; read by value.
    let connection = unsafe { (*r).connection };
    if let Decision::Fail(event) = decision {
        // SAFETY: the event of a connection in the hands of nginx's upstream module; the read it leads to fails.
        unsafe { (*event).set_ready(1) };
        // SAFETY: as above; read by value.
        if let Some(handler) = unsafe { (*event).handler } {
            // SAFETY: as above.
            unsafe { handler(event) };
        }
        return;
    }
    request.enter_log();
    // SAFETY: the caller's word.
    unsafe { end_upstream(request) };
    match decision {
        Decision::Again => {
            // SAFETY: the request is alive, for its count is as it was.
            let prepared = setup::prepare(unsafe { &mut *exchange });
            match prepared {
                // SAFETY: as above; its upstream is set up.
                Ok(()) => unsafe { ffi::ngx_http_upstream_init(r) },
                // SAFETY: as above.
                Err(_) => unsafe { ffi::ngx_http_finalize_request(r, ffi::NGX_HTTP_INTERNAL_SERVER_ERROR) },
            }
        }
        Decision::Status(status, delay) => {
            if let Some(delay) = delay {
                // Without memory the answer is sent without it.
                let _ = request.add_header(c"Retry-After", delay.to_string().as_bytes());
            }
            request.close_after_unread_body();
            // SAFETY: the request is alive, for its count is as it was.
            unsafe { ffi::ngx_http_finalize_request(r, status as ffi::ngx_int_t) };
        }
        Decision::Fail(_) => {}
    }
    // SAFETY: a connection outlives its requests until this has been called.
    unsafe { ffi::ngx_http_run_posted_requests(connection) };
}

/// Ends the request's upstream, as `ngx_http_upstream_create` does with one that is there already: that would end the
/// request too, if it were not counted once more.
///
/// # Safety
/// As [`carry_out`]; the request is there afterwards.
unsafe fn end_upstream(request: Request<'_>) {
    let r = request.as_raw();
    // SAFETY: the request is alive; both are read by value.
    let (main, cleanup) = unsafe { ((*r).main, (*(*r).upstream).cleanup) };
    if cleanup.is_null() {
        return;
    }
    // SAFETY: the main request lives as long as this one; read by value.
    let count = unsafe { (*main).count() };
    // SAFETY: as above.
    unsafe { (*main).set_count(count + 1) };
    // SAFETY: the row that nginx's upstream module has made for itself; read by value.
    if let Some(end) = unsafe { *cleanup } {
        // SAFETY: its function, whose data is the request.
        unsafe { end(r.cast()) };
    }
}
