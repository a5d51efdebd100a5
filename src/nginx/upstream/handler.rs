//! The content handler of locations with `wsgi_pass`: has nginx read the body of the request, and then go on as upstream of
//! ours.

#![allow(unsafe_code, reason = "called by nginx, and gives it functions to call")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ptr;

use oxwsgi_client::body::SHORT;
use oxwsgi_client::root::seen_below;
use oxwsgi_client::{Problem, ownership};
use oxwsgi_core::report::{Level, Number};
use oxwsgi_core::request::{BodyLength, RequestView};
use oxwsgi_core::wire::{HEADER, Inline, LONGEST_REQUEST, encode_request};

use super::exchange::Exchange;
use super::group::Group;
use super::{buffered, header, peer, refusal, request_body, unbuffered};
use crate::nginx::config::{LocationConfig, MainConfig};
use crate::nginx::pool::OutOfMemory;
use crate::nginx::record::{Reading, Request};
use crate::nginx::{ffi, groups, request};

/// The group is not there.
const NO_GROUP: Number = Number(1126);

thread_local! {
    /// The groups of a configuration, known by its address; looked for once, when the first request needs one of them. They
    /// live as long as the process, for requests of an older configuration may.
    static GROUPS: RefCell<Vec<(*const MainConfig, &'static [Group])>> = const { RefCell::new(Vec::new()) };
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
        && let Err(offence) = ownership::check(owner, &request::target(application, &group.settings.name))
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
    if prepare(exchange).is_err() {
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
        if let Some((_, groups)) = known.iter().find(|(other, _)| ptr::eq(*other, settings)) {
            return groups.get(place);
        }
        let ends = groups::ends(settings);
        let groups: Vec<_> = ends.into_iter().map(|end| Group::new(end.settings, end.board)).collect();
        let groups: &'static [Group] = groups.leak();
        known.push((settings, groups));
        groups.get(place)
    })
}

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
    upstream.create_request = Some(create_request);
    upstream.reinit_request = Some(reinit_request);
    upstream.process_header = Some(header::process);
    upstream.abort_request = Some(abort_request);
    upstream.finalize_request = Some(peer::finalize);
    Ok(())
}

/// `ngx_http_upstream_t::input_filter_init`: the head is on its way, and the body is about to be read.
unsafe extern "C" fn begin_body(data: *mut std::ffi::c_void) -> ffi::ngx_int_t {
    // SAFETY: the context of both filters is the request's exchange, which nobody else uses during the call.
    let exchange = unsafe { &mut *data.cast::<Exchange>() };
    exchange.is_body_begun = true;
    // SAFETY: the request's upstream, which nginx does not use during the call.
    let upstream = unsafe { &mut *exchange.upstream() };
    if upstream.buffering() == 0 {
        unbuffered::begin(upstream);
    } else {
        // SAFETY: the upstream's pipe, made by `prepare`.
        buffered::begin(unsafe { &mut *upstream.pipe });
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

/// `ngx_http_upstream_t::create_request`: makes the request's frame, which gets its number with its connection.
unsafe extern "C" fn create_request(request: *mut ffi::ngx_http_request_t) -> ffi::ngx_int_t {
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
        let length = u64::try_from(declared).map_or(BodyLength::UntilEnd, BodyLength::Bytes);
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
        let size = request_body::size_of(copy);
        if size > 0 {
            length += size as u64;
            is_in_memory &= request_body::is_in_memory(copy);
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
        unsafe {
            std::slice::from_raw_parts((*buffer).pos, (*buffer).last.offset_from_unsigned((*buffer).pos))
        }
    };
    if let (Some(first), true) = (buffers.front(), buffers.len() <= 1) {
        return Ok(bytes(*first));
    }
    let room = request.pool().room::<u8>(length)?;
    for (place, byte) in room.iter_mut().zip(buffers.iter().flat_map(|buffer| bytes(*buffer))) {
        place.write(*byte);
    }
    // SAFETY: as many bytes were written as there are.
    Ok(unsafe { std::slice::from_raw_parts(room.as_ptr().cast(), room.len()) })
}

/// `ngx_http_upstream_t::reinit_request`: nginx goes on with another connection, or with its cache. What belongs to a
/// connection is made anew with it.
unsafe extern "C" fn reinit_request(_request: *mut ffi::ngx_http_request_t) -> ffi::ngx_int_t {
    ffi::NGX_OK
}

/// `ngx_http_upstream_t::abort_request`, which nginx has no use for.
unsafe extern "C" fn abort_request(_request: *mut ffi::ngx_http_request_t) {}
