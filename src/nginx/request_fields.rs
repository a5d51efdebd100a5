//! What nginx's record of a request says of the request itself, its connection and its reply.

#![allow(unsafe_code, reason = "reads and writes fields of nginx's structures")]

use std::ffi::CStr;
use std::os::fd::BorrowedFd;
use std::slice;
use std::time::Duration;

use oxwsgi_core::request::Field;
use rustix::net::sockopt::set_socket_linger;

use crate::nginx::config::{LocationConfig, MainConfig};
use crate::nginx::log::Log;
use crate::nginx::pool::OutOfMemory;
use crate::nginx::record::Request;
use crate::nginx::{ffi, text};

impl<'r> Request<'r> {
    /// The client's address as text.
    pub fn client(self) -> &'r [u8] {
        // SAFETY: a connection outlives its requests; the text lies in its memory.
        unsafe { text::bytes((*(*self.as_raw()).connection).addr_text) }
    }

    /// The request's first line.
    pub fn line(self) -> &'r [u8] {
        // SAFETY: the text lies in the request's memory.
        unsafe { text::bytes((*self.as_raw()).request_line) }
    }

    /// When nginx began to read it, in microseconds since the epoch.
    pub fn start(self) -> i64 {
        // SAFETY: the request is alive; read by value.
        let (seconds, milliseconds) = unsafe { ((*self.as_raw()).start_sec, (*self.as_raw()).start_msec) };
        seconds * 1_000_000 + milliseconds as i64 * 1000
    }

    /// Whether it came over TLS.
    pub fn is_encrypted(self) -> bool {
        // SAFETY: a connection outlives its requests; read by value.
        !unsafe { (*(*self.as_raw()).connection).ssl }.is_null()
    }

    /// Its header fields, as they came, with nginx's hashes of their names.
    pub fn headers(self) -> impl Iterator<Item = (usize, Field<'r>)> {
        // SAFETY: the request's own list, which does not change any more; read by value.
        let first = unsafe { &raw const (*self.as_raw()).headers_in.headers.part };
        let next = |part: &*const ffi::ngx_list_part_t| {
            // SAFETY: a part of that list; read by value.
            let next = unsafe { (**part).next };
            (!next.is_null()).then_some(next.cast_const())
        };
        std::iter::successors(Some(first), next).flat_map(|part| {
            // SAFETY: a part of that list has so many elements of this type.
            let rows: &'r [ffi::ngx_table_elt_t] = unsafe {
                let (start, count) = ((*part).elts.cast(), (*part).nelts);
                if count == 0 { &[] } else { slice::from_raw_parts(start, count) }
            };
            rows.iter().filter(|row| row.hash != 0).map(|row| {
                // SAFETY: texts of the request.
                (row.hash, unsafe { Field::new(text::bytes(row.key), text::bytes(row.value)) })
            })
        })
    }

    /// Its number in the logs (`$request_id`).
    pub fn id(self) -> Option<&'r [u8]> {
        let server = LocationConfig::of(self).upstream.upstream;
        // SAFETY: what `upstream::server` has made for the location, with the variable's place as its data.
        let place = unsafe { (*server).peer.data }.addr();
        // SAFETY: the request is alive, and nginx has given out that place.
        let value = unsafe { ffi::ngx_http_get_indexed_variable(self.as_raw(), place) };
        // SAFETY: null, or the request's own record of the value, whose text lives as long.
        let value = unsafe { value.as_ref() }.filter(|value| value.not_found() == 0)?;
        // SAFETY: as above.
        Some(unsafe { slice::from_raw_parts(value.data, value.len() as usize) })
    }

    /// The core module's settings of its location.
    pub fn core_location(self) -> *const ffi::ngx_http_core_loc_conf_t {
        // SAFETY: nginx has assigned it before any request; read by value.
        let index = unsafe { ffi::ngx_http_core_module.ctx_index };
        // SAFETY: every request has an element for each module, and this one's is of this type.
        unsafe { (*(*self.as_raw()).loc_conf.add(index)).cast() }
    }

    /// The name of its server: the configured one, else what the client calls it.
    pub fn server_name(self) -> Option<&'r [u8]> {
        // SAFETY: nginx has assigned it before any request; read by value.
        let index = unsafe { ffi::ngx_http_core_module.ctx_index };
        // SAFETY: every request has an element for each module, and this one's is of this type; its text lives as long as the
        // configuration.
        let configured = unsafe {
            let settings = *(*self.as_raw()).srv_conf.add(index);
            text::bytes((*settings.cast::<ffi::ngx_http_core_srv_conf_t>()).server_name)
        };
        // Those are patterns, or stand for any name.
        let is_name = !configured.is_empty() && configured != b"_" && !b"~*.".contains(&configured[0]);
        if is_name {
            return Some(configured);
        }
        // SAFETY: a text of the request.
        let asked = unsafe { text::bytes((*self.as_raw()).headers_in.server) };
        (!asked.is_empty()).then_some(asked)
    }

    /// `root`, where it is the same for all requests.
    pub fn document_root(self) -> Option<&'r [u8]> {
        let settings = self.core_location();
        // SAFETY: the core module's own settings, whose texts live as long as the configuration.
        let (root, varies) = unsafe { (text::bytes((*settings).root), !(*settings).root_lengths.is_null()) };
        (!varies && !root.is_empty()).then_some(root)
    }

    /// The log of its location.
    pub fn location_log(self) -> Log<'static> {
        // SAFETY: the log belongs to the configuration, which lives as long as the process that serves requests.
        unsafe { Log::from_raw((*self.core_location()).error_log) }
    }

    /// Lines in the log of the connection are this request's from now on (`ngx_http_set_log_request`).
    pub fn enter_log(self) {
        // SAFETY: the log of a connection with requests has data of this type.
        let context = unsafe { (*(*(*self.as_raw()).connection).log).data.cast::<ffi::ngx_http_log_ctx_t>() };
        // SAFETY: as above.
        unsafe { (*context).current_request = self.as_raw() };
    }

    /// Whether its body has gone somewhere else, as it came, before an error page or another redirect has led here.
    pub fn has_lost_body(self) -> bool {
        let r = self.as_raw();
        // SAFETY: the request is alive; all are read by value.
        let (is_main, body, is_coming, announced) = unsafe {
            (r == (*r).main, (*r).request_body, (*r).reading_body(), (*r).headers_in.content_length_n)
        };
        // SAFETY: null, or the request's own record; read by value.
        let is_empty = !body.is_null() && unsafe { (*body).bufs.is_null() };
        // Of a chunked body nginx counts there what it has read.
        is_main && (is_coming != 0 || (is_empty && announced > 0))
    }

    /// nginx closes the connection when the rest of a body was not read. The client is told so where that is about to happen.
    pub fn close_after_unread_body(self) {
        let r = self.as_raw();
        // SAFETY: the request is alive; read by value.
        if unsafe { (*r).reading_body() } != 0 {
            // SAFETY: as above.
            unsafe { (*r).set_keepalive(0) };
        }
    }

    /// The rest of a reply that the client has a part of will not come, and what comes must not look like its end.
    pub fn break_reply(self) {
        let r = self.as_raw();
        // SAFETY: the request is alive; read by value.
        if unsafe { (*r).background() } != 0 {
            return;
        }
        let (main, connection) = (field!(self, main), field!(self, connection));
        if main != r {
            // The page it is a part of (SSI, `add_after_body`) ends as when nginx cannot write.
            // SAFETY: a connection outlives its requests.
            unsafe { (*connection).set_error(1) };
        }
        // SAFETY: the main request outlives its parts.
        if unsafe { Self::from_raw(main) }.ends_with_connection() {
            // SAFETY: as above.
            unsafe { reset(connection) };
        }
    }

    /// Whether the client knows the end of the reply by that of the connection only, as with HTTP/1.0.
    fn ends_with_connection(self) -> bool {
        // SAFETY: the request is alive; read by value.
        let is_chunked = unsafe { (*self.as_raw()).chunked() } != 0;
        let version = field!(self, http_version);
        !is_chunked
            && field!(self, headers_out.content_length_n) < 0
            && version < ffi::NGX_HTTP_VERSION_20 as ffi::ngx_uint_t
    }

    /// Adds a header field to the reply.
    pub fn add_header(self, name: &'static CStr, value: &[u8]) -> Result<(), OutOfMemory> {
        let value = self.pool().text(value)?;
        // SAFETY: the request's own list.
        let row = unsafe { ffi::ngx_list_push(&raw mut (*self.as_raw()).headers_out.headers) };
        if row.is_null() {
            return Err(OutOfMemory);
        }
        // SAFETY: plain numbers and pointers, of which zero is a value.
        let mut field: ffi::ngx_table_elt_t = unsafe { std::mem::zeroed() };
        field.hash = 1;
        field.key = text::fixed(name);
        field.value = value;
        // SAFETY: the list's new element, which nobody refers to yet.
        unsafe { row.cast::<ffi::ngx_table_elt_t>().write(field) };
        Ok(())
    }

    /// The zones of `wsgi_cache_path`.
    pub fn caches(self) -> *mut ffi::ngx_array_t {
        // SAFETY: a field of what `MainConfig::create` has made.
        unsafe { self.own_main().byte_add(MainConfig::CACHES) }.cast()
    }

    /// Adds to the key of its answer in nginx's cache; without a directive that says which, scheme, host and target.
    pub fn add_cache_key(self, key: Option<&[u8]>) -> Result<(), OutOfMemory> {
        let scheme: &[u8] = if self.is_encrypted() { b"https" } else { b"http" };
        // SAFETY: texts of the request.
        let (host, uri) = unsafe {
            (text::bytes((*self.as_raw()).headers_in.server), text::bytes((*self.as_raw()).unparsed_uri))
        };
        let key = match key {
            Some(key) => self.pool().text(key)?,
            None => self.pool().text(&[scheme, host, uri].concat())?,
        };
        // SAFETY: nginx has made a record for the request in its cache, with a list of this type.
        let row = unsafe { ffi::ngx_array_push(&raw mut (*(*self.as_raw()).cache).keys) };
        if row.is_null() {
            return Err(OutOfMemory);
        }
        // SAFETY: the list's new element.
        unsafe { row.cast::<ffi::ngx_str_t>().write(key) };
        Ok(())
    }

    /// Header fields that ask whether the old answer in nginx's cache still holds (`wsgi_cache_revalidate`).
    pub fn revalidation(self) -> Result<Vec<Field<'r>>, OutOfMemory> {
        let r = self.as_raw();
        // SAFETY: the request is alive, and so are its upstream and the record of its answer in the cache, if there is one.
        let (is_old, is_asked, cache) = unsafe {
            let upstream = &*(*r).upstream;
            let is_old = upstream.cache_status() as ffi::ngx_uint_t == ffi::NGX_HTTP_CACHE_EXPIRED;
            (is_old, (*upstream.conf).cache_revalidate != 0, (*r).cache)
        };
        let mut fields = Vec::new();
        if !is_old || !is_asked || cache.is_null() {
            return Ok(fields);
        }
        // SAFETY: as above; read by value, and the text lives as long as the request.
        let (modified, etag) = unsafe { ((*cache).last_modified, text::bytes((*cache).etag)) };
        if modified != -1 {
            let room = self.pool().text(b"Mon, 28 Sep 1970 06:00:00 GMT")?;
            // SAFETY: the text has room for a date of this form.
            let end = unsafe { ffi::ngx_http_time(room.data, modified) };
            // SAFETY: both are in the same text.
            let length = unsafe { end.offset_from_unsigned(room.data) };
            // SAFETY: just written, in the request's memory.
            let date = unsafe { slice::from_raw_parts(room.data, length) };
            fields.push(Field::new(b"If-Modified-Since", date));
        }
        if !etag.is_empty() {
            fields.push(Field::new(b"If-None-Match", etag));
        }
        Ok(fields)
    }
}

/// Has a connection closed in a way that no client takes for the end of a body, once nginx is done with its request: with a
/// reset (RFC 9293 section 3.10.4), and under TLS without an alert before it.
///
/// # Safety
/// The connection of a request that is alive.
unsafe fn reset(connection: *mut ffi::ngx_connection_t) {
    // SAFETY: the caller's word; read by value.
    let (descriptor, read) = unsafe { ((*connection).fd, (*connection).read) };
    // SAFETY: the connection has it open as long as it has requests.
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    // When it fails the client has gone.
    let _ = set_socket_linger(descriptor, Some(Duration::ZERO));
    // Otherwise nginx ends its side in order, and waits for what the client may still send.
    // SAFETY: a connection has two events.
    unsafe { (*read).set_eof(1) };
    // SAFETY: the caller's word.
    unsafe { (*connection).set_timedout(1) };
}
