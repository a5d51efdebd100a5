//! Where nginx's upstream module gets its connection from, and gives it back to. One from another request, when its process
//! has a thread to spare, else a new one: that is made at once, or the queue is full, or nobody listens at the moment. Then
//! nginx is told that the connection is being made, and a timer tries again.

#![allow(unsafe_code, reason = "called by nginx")]

use std::ffi::c_void;
use std::time::Instant;

use oxwsgi_client::Problem;
use oxwsgi_client::connecting::{self, ConnectError};
use oxwsgi_client::connection::Connection;
use oxwsgi_client::reply::Stage;
use oxwsgi_client::retries::PAUSE;
use oxwsgi_core::wire::set_sequence;

use super::attempt::{Attempt, State};
use super::event::Event;
use super::exchange::Exchange;
use super::link::Link;
use super::receive::READER;
use super::remainder::{self, Remainder};
use super::watch;
use crate::nginx::ffi;

/// `ngx_http_upstream_peer_t::init`: nginx is about to need a connection, for it has no answer in its cache.
pub unsafe extern "C" fn init(
    request: *mut ffi::ngx_http_request_t,
    _server: *mut ffi::ngx_http_upstream_srv_conf_t,
) -> ffi::ngx_int_t {
    catch!(ffi::NGX_ERROR, {
        // SAFETY: nginx calls it for a request of ours, which is alive.
        let exchange = unsafe { Exchange::of(request) };
        // SAFETY: as above; nobody else uses the exchange during the call.
        let upstream = unsafe { (*exchange).upstream() };
        // SAFETY: the request's upstream, which nginx does not use during the call.
        let peer = unsafe { &mut (*upstream).peer };
        peer.get = Some(get);
        peer.free = Some(free);
        peer.data = exchange.cast();
        // SAFETY: as above. As often as nginx may try for answers that `wsgi_next_upstream` names: for all of its processes.
        peer.tries = unsafe { (*exchange).group.settings.processes.max(2) } as usize;
        ffi::NGX_OK
    })
}

/// `ngx_peer_connection_t::get`.
unsafe extern "C" fn get(peer: *mut ffi::ngx_peer_connection_t, data: *mut c_void) -> ffi::ngx_int_t {
    catch!(ffi::NGX_ERROR, {
        // SAFETY: nginx passes what `init` has set; nobody else uses it during the call.
        let exchange = unsafe { &mut *data.cast::<Exchange>() };
        // SAFETY: as above.
        let peer = unsafe { &mut *peer };
        let Some(mut attempt) = open(exchange) else { return ffi::NGX_ERROR };
        peer.connection = attempt.connection.socket.as_raw();
        peer.set_cached(0);
        // SAFETY: groups live as long as the process.
        unsafe { exchange.group.peer.put(peer) };
        attempt.reply.is_head_request = exchange.is_head_request;
        // nginx passes on what it gets, line by line.
        attempt.reply.joins_fields = false;
        attempt.reply.may_ask = !exchange.upload.is_inline;
        set_sequence(&mut exchange.frame, attempt.connection.sequence);
        exchange.begin(attempt);
        watch::enter(exchange);
        match exchange.pause.take() {
            // nginx's own timer for a connection being made is as patient, and stopped when ours comes for the first time.
            Some(pause) => exchange.timer.start_timer(pause.min(exchange.patience() / 2)),
            None => connect(exchange),
        }
        let is_connected = exchange.attempt.as_ref().is_some_and(|attempt| attempt.is_connected);
        if is_connected { ffi::NGX_DONE } else { ffi::NGX_AGAIN }
    })
}

/// A connection, made or to be made.
fn open(exchange: &Exchange) -> Option<Attempt> {
    let log = exchange.request().log().as_raw();
    let settings = &exchange.group.settings;
    // After a disappointment the queue is the safer way.
    if exchange.retries.is_none()
        && let Some(connection) = exchange.group.take(log)
    {
        return Some(Attempt::new(connection, true, settings));
    }
    match connecting::open() {
        Ok(socket) => {
            // When there is none nginx has said why.
            let link = Link::new(socket, READER, log)?;
            Some(Attempt::new(Connection::new(link), false, settings))
        }
        Err(ConnectError::Socket(error)) => {
            exchange.log(&Problem::Socket(error));
            None
        }
        Err(_) => None,
    }
}

/// Makes the connection, if it is not made yet and can be made now.
fn connect(exchange: &mut Exchange) {
    let (group, limit) = (exchange.group, exchange.patience());
    let Some(attempt) = exchange.attempt.as_mut().filter(|attempt| !attempt.is_connected) else { return };
    let link = &attempt.connection.socket;
    let connected = match &group.address {
        Ok(address) => connecting::connect_to(link.socket(), address),
        Err(error) => Err(ConnectError::Other((*error).into())),
    };
    match connected {
        Ok(()) if link.watch() => attempt.is_connected = true,
        Ok(()) => exchange.fail(&Problem::Socket(std::io::Error::other("nginx cannot watch it"))),
        Err(ConnectError::Refused) => {
            let rest = limit.saturating_sub(exchange.since.get_or_insert_with(Instant::now).elapsed());
            if rest.is_zero() {
                exchange.fail(&Problem::unconnected(ConnectError::Refused, &group.settings, limit));
            } else {
                exchange.timer.start_timer(rest.min(PAUSE).min(limit / 2));
            }
        }
        Err(error) => exchange.fail(&Problem::unconnected(error, &group.settings, limit)),
    }
}

/// The timer of a request: a connection is tried again, or the end of a worker is looked at again.
pub unsafe extern "C" fn on_timer(event: *mut ffi::ngx_event_t) {
    catch!((), {
        // SAFETY: the event's data is the request's exchange; it is cancelled before that goes.
        let exchange = unsafe { Event::data::<Exchange>(event) };
        // SAFETY: as above; nobody else uses it until `tick` has returned.
        if let Some(ready) = tick(unsafe { &mut *exchange }) {
            // SAFETY: the event of a connection in the hands of nginx's upstream module. The request may be gone afterwards.
            unsafe { (*ready).set_ready(1) };
            // SAFETY: as above; read by value.
            if let Some(handler) = unsafe { (*ready).handler } {
                // SAFETY: as above.
                unsafe { handler(ready) };
            }
        }
    });
}

/// What nginx is to be told of.
fn tick(exchange: &mut Exchange) -> Option<*mut ffi::ngx_event_t> {
    let attempt = exchange.attempt.as_ref()?;
    let (read, write) = (attempt.connection.socket.read(), attempt.connection.socket.write());
    if attempt.state == State::Ending {
        let is_known = exchange.look_at_ending();
        // Without a head our own event follows.
        return (is_known && exchange.stage() != Stage::Silent).then_some(read);
    }
    if attempt.is_connected {
        return None;
    }
    // SAFETY: the event of a connection in the hands of nginx's upstream module; read by value.
    if unsafe { (*write).timer_set() } != 0 {
        // SAFETY: it is in the loop's tree of timers.
        unsafe { ffi::shim_del_timer(write) };
    }
    connect(exchange);
    exchange.attempt.as_ref()?.is_connected.then_some(write)
}

/// `ngx_http_upstream_t::finalize_request`: nginx is done with the upstream, whatever has come of it.
pub unsafe extern "C" fn finalize(request: *mut ffi::ngx_http_request_t, result: ffi::ngx_int_t) {
    catch!((), {
        // SAFETY: nginx calls it for a request of ours, which is alive; nobody else uses its exchange during the call.
        let exchange = unsafe { &mut *Exchange::of(request) };
        exchange.timer.cancel();
        exchange.posted.cancel();
        exchange.failure = None;
        exchange.finished = Some(result);
        if exchange.breaks_off(result) {
            exchange.request().break_reply();
        }
    });
}

/// `ngx_peer_connection_t::free`: nginx does not need the connection any more. It is kept for another request when that is
/// possible, and else closed, which tells the worker.
unsafe extern "C" fn free(peer: *mut ffi::ngx_peer_connection_t, data: *mut c_void, state: ffi::ngx_uint_t) {
    catch!((), {
        // SAFETY: nginx passes what `init` has set; nobody else uses it during the call.
        let exchange = unsafe { &mut *data.cast::<Exchange>() };
        // SAFETY: as above.
        let peer = unsafe { &mut *peer };
        let has_failed = state & ffi::NGX_PEER_FAILED as ffi::ngx_uint_t != 0;
        exchange.timer.cancel();
        peer.connection = std::ptr::null_mut();
        // Only an answer that `wsgi_next_upstream` names may be asked for again: without one, who knows what was done. And not
        // once the client gets it.
        // SAFETY: the request's upstream, which nginx does not use during the call; read by value.
        let is_sent = unsafe { (*exchange.upstream()).header_sent() } != 0;
        let may_be_named = exchange.is_answered && !is_sent;
        peer.tries = if has_failed && !may_be_named { 0 } else { peer.tries.saturating_sub(1) };
        give_back(exchange, has_failed);
    });
}

fn give_back(exchange: &mut Exchange, has_failed: bool) {
    watch::leave(exchange);
    let group = exchange.group;
    remainder::take_read_bytes(exchange);
    let rest = (!has_failed && exchange.wants_rest()).then(|| remainder::Context::of(exchange));
    let Some(mut attempt) = exchange.attempt.take() else { return };
    if !attempt.is_connected {
        return;
    }
    // SAFETY: the request's upstream, which nginx does not use during the call; read by value.
    let is_written = unsafe { (*exchange.upstream()).writer.out }.is_null();
    let is_settled = is_written && exchange.upload.is_settled(attempt.reply.asked);
    let is_lost = attempt.lost.is_some();
    match attempt.state {
        State::Ended { is_clean: true } if is_settled && !is_lost && attempt.connection.socket.is_sound() => {
            group.put(attempt.connection);
        }
        State::Open if !is_lost => {
            if let Some(context) = rest {
                Remainder::start(attempt, group, context, is_settled);
            } else if attempt.connection.socket.sent() > 0 {
                remainder::take_last_lines(exchange, &mut attempt);
            } else if attempt.has_ticket
                && let Some(board) = &group.board
            {
                attempt.connection.return_unused_ticket(board);
            }
        }
        State::Open | State::Ended { .. } | State::Ending | State::Stopped => {}
    }
}
