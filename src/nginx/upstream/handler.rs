//! The content handler of locations with `wsgi_pass`: has nginx read the body of the request, and then go on as upstream of
//! ours.

#![allow(unsafe_code, reason = "called by nginx, and gives it functions to call")]

use std::cell::RefCell;
use std::ptr;

use oxwsgi_client::{Problem, ownership};
use oxwsgi_core::report::{Level, Number};

use super::exchange::Exchange;
use super::group::Group;
use super::{peer, refusal, setup};
use crate::nginx::config::{LocationConfig, MainConfig};
use crate::nginx::pool::OutOfMemory;
use crate::nginx::record::{Reading, Request};
use crate::nginx::{ffi, groups, request, text};

/// The group is not there.
const NO_GROUP: Number = Number(1126);

/// The request's body is not there any more.
const NO_BODY: Number = Number(1127);

thread_local! {
    /// The groups of a configuration, known by its number; looked for once, when the first request needs one of them. They
    /// live as long as the process, for requests of an older configuration may.
    static GROUPS: RefCell<Vec<(u64, &'static [Group])>> = const { RefCell::new(Vec::new()) };
}

/// The content handler.
pub unsafe extern "C" fn handle(request: *mut ffi::ngx_http_request_t) -> ffi::ngx_int_t {
    // SAFETY: nginx passes the request, on the thread of the event loop.
    let request = unsafe { Request::from_raw(request) };
    catch!(ffi::NGX_HTTP_INTERNAL_SERVER_ERROR, serve(request))
}

/// What a location names as its upstream server (`ngx_http_upstream_conf_t::upstream`); lives as long as the
/// configuration.
pub fn server(reading: Reading<'_>) -> Result<*mut ffi::ngx_http_upstream_srv_conf_t, OutOfMemory> {
    // SAFETY: plain numbers and pointers, of which zero is a value.
    let mut server: ffi::ngx_http_upstream_srv_conf_t = unsafe { std::mem::zeroed() };
    server.peer.init = Some(peer::init);
    // Where each request keeps its own, the same for logs and applications.
    let mut name = text::fixed(c"request_id");
    // SAFETY: what nginx is reading; it copies the name.
    let place = unsafe { ffi::ngx_http_get_variable_index(reading.as_raw(), &raw mut name) };
    server.peer.data = ptr::without_provenance_mut(usize::try_from(place).map_err(|_| OutOfMemory)?);
    Ok(reading.pool().room(1)?[0].write(server))
}

fn serve(request: Request<'_>) -> ffi::ngx_int_t {
    let refuse = |problem: &Problem, group: &Group| {
        let line = format_args!("{}: Daemon process '{}': {problem}", problem.number(), group.name());
        request.log().write(Level::Error, line);
        problem.status() as ffi::ngx_int_t
    };
    let settings = LocationConfig::of(request);
    let Some(application) = &settings.application else { return ffi::NGX_HTTP_INTERNAL_SERVER_ERROR };
    if request.has_lost_body() && settings.upstream.pass_request_body != 0 {
        request.log().write(
            Level::Error,
            format_args!(
                "{NO_BODY}: the body of this request has gone to another location, which did not keep it: with \
                 \"wsgi_request_buffering on\" it does, with \"wsgi_pass_request_body off\" none is needed here"
            ),
        );
        return ffi::NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    let Some(group) = find(MainConfig::of(request), application.group) else {
        request.log().write(
            Level::Error,
            format_args!("{NO_GROUP}: the daemon groups of this configuration do not run"),
        );
        return ffi::NGX_HTTP_SERVICE_UNAVAILABLE;
    };
    if group.board.as_ref().is_some_and(|board| board.threads() == 0) {
        return refuse(&Problem::NoThreads, group);
    }
    if let Some(owner) = group.settings.script_owner
        && let target = request::target(application, &group.settings.name)
        && let Err(offence) = ownership::check(owner, &target, group.settings.dialect)
    {
        return refuse(&Problem::Owner(offence), group);
    }
    let Ok(exchange) = request.pool().place(Exchange::new(request, group)) else {
        return ffi::NGX_HTTP_INTERNAL_SERVER_ERROR;
    };
    let data = ptr::from_mut(exchange).cast();
    let log = request.log().as_raw();
    // SAFETY: the exchange stays in the request's memory, and cancels its events when it is dropped with that.
    unsafe { exchange.posted.bind(refusal::on_posted, data, log) };
    // SAFETY: as above.
    unsafe { exchange.timer.bind(peer::on_timer, data, log) };
    request.set_context(ptr::from_mut(exchange));
    if setup::prepare(exchange).is_err() {
        return ffi::NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    let r = request.as_raw();
    if settings.upstream.request_buffering == 0 && settings.upstream.pass_request_body != 0 {
        // SAFETY: the request is alive.
        unsafe { (*r).set_request_body_no_buffering(1) };
    }
    // SAFETY: as above; nginx calls its own function once it has the body, or at once.
    let result = unsafe { ffi::ngx_http_read_client_request_body(r, Some(ffi::ngx_http_upstream_init)) };
    if result >= ffi::NGX_HTTP_SPECIAL_RESPONSE { result } else { ffi::NGX_DONE }
}

fn find(settings: &MainConfig, place: usize) -> Option<&'static Group> {
    GROUPS.with_borrow_mut(|known| {
        if let Some((_, groups)) = known.iter().find(|(number, _)| *number == settings.number) {
            return groups.get(place);
        }
        let ends = groups::ends(settings);
        let groups: Vec<_> = ends.into_iter().map(|end| Group::new(end.settings, end.board)).collect();
        let groups: &'static [Group] = groups.leak();
        known.push((settings.number, groups));
        groups.get(place)
    })
}
