//! How requests and replies travel: buffers, times, header fields, and what becomes of errors. Each means what it means in
//! nginx's own modules of this kind.

#![allow(unsafe_code, reason = "names setters of nginx's own")]

use std::mem::offset_of;
use std::ptr;

use super::line::{Line, Problem, once};
use super::{Directive, EVERYWHERE, Native, Outcome, Setter, value};
use crate::nginx::config::LocationConfig;
use crate::nginx::ffi;

const ON_OFF: &str = "on or off";
const TIME: &str = "a time";
const SIZE: &str = "a size";
const FIELD: &str = "the name of a header field";

/// A flag of nginx's upstream module.
macro_rules! flag {
    ($name:literal, $field:ident) => {
        Directive::location($name, (1, 1), ON_OFF, |location, line| {
            value::set_flag(&mut location.upstream.$field, line)
        })
    };
}

/// A size of nginx's upstream module.
macro_rules! size {
    ($name:literal, $field:ident) => {
        Directive::location($name, (1, 1), SIZE, |location, line| {
            value::set_size(&mut location.upstream.$field, line)
        })
    };
}

/// A time that a group's options say where no directive does.
macro_rules! time {
    ($name:literal, $field:ident) => {
        Directive::location($name, (1, 1), TIME, |location, line| {
            once(&mut location.settings.$field, value::milliseconds(line.first())?)
        })
    };
}

pub(super) const DIRECTIVES: &[Directive] = &[
    flag!(c"wsgi_pass_request_headers", pass_request_headers),
    flag!(c"wsgi_pass_request_body", pass_request_body),
    flag!(c"wsgi_request_buffering", request_buffering),
    flag!(c"wsgi_buffering", buffering),
    flag!(c"wsgi_ignore_client_abort", ignore_client_abort),
    flag!(c"wsgi_intercept_errors", intercept_errors),
    flag!(c"wsgi_force_ranges", force_ranges),
    size!(c"wsgi_buffer_size", buffer_size),
    size!(c"wsgi_busy_buffers_size", busy_buffers_size_conf),
    size!(c"wsgi_max_temp_file_size", max_temp_file_size_conf),
    size!(c"wsgi_temp_file_write_size", temp_file_write_size_conf),
    Directive::location(c"wsgi_buffers", (2, 2), "a number and a size", buffers),
    Directive::location(c"wsgi_limit_rate", (1, 1), "a size: bytes a second", limit_rate),
    native(
        c"wsgi_temp_path",
        (1, 4),
        "a folder, and perhaps up to three numbers for the levels of folders in it",
        ffi::ngx_conf_set_path_slot,
        offset_of!(LocationConfig, upstream.temp_path),
    ),
    time!(c"wsgi_connect_timeout", connect_timeout),
    time!(c"wsgi_send_timeout", send_timeout),
    time!(c"wsgi_read_timeout", read_timeout),
    Directive::location(c"wsgi_next_upstream", (1, usize::MAX), "conditions", |location, line| {
        value::set_bits(&mut location.upstream.next_upstream, super::CONDITIONS, line)
    }),
    Directive::location(c"wsgi_next_upstream_tries", (1, 1), "a number", |location, line| {
        value::set_number(&mut location.upstream.next_upstream_tries, line)
    }),
    Directive::location(c"wsgi_next_upstream_timeout", (1, 1), TIME, |location, line| {
        value::set_time(&mut location.upstream.next_upstream_timeout, line)
    }),
    native(
        c"wsgi_hide_header",
        (1, 1),
        FIELD,
        ffi::ngx_conf_set_str_array_slot,
        offset_of!(LocationConfig, upstream.hide_headers),
    ),
    native(
        c"wsgi_pass_header",
        (1, 1),
        FIELD,
        ffi::ngx_conf_set_str_array_slot,
        offset_of!(LocationConfig, upstream.pass_headers),
    ),
    Directive::location(
        c"wsgi_ignore_headers",
        (1, usize::MAX),
        "names of header fields",
        |location, line| value::set_bits(&mut location.upstream.ignore_headers, IGNORED, line),
    ),
];

/// Header fields of a reply that nginx acts on.
const IGNORED: &[(&str, ffi::ngx_uint_t)] = &[
    ("X-Accel-Redirect", ffi::NGX_HTTP_UPSTREAM_IGN_XA_REDIRECT),
    ("X-Accel-Expires", ffi::NGX_HTTP_UPSTREAM_IGN_XA_EXPIRES),
    ("X-Accel-Limit-Rate", ffi::NGX_HTTP_UPSTREAM_IGN_XA_LIMIT_RATE),
    ("X-Accel-Buffering", ffi::NGX_HTTP_UPSTREAM_IGN_XA_BUFFERING),
    ("X-Accel-Charset", ffi::NGX_HTTP_UPSTREAM_IGN_XA_CHARSET),
    ("Expires", ffi::NGX_HTTP_UPSTREAM_IGN_EXPIRES),
    ("Cache-Control", ffi::NGX_HTTP_UPSTREAM_IGN_CACHE_CONTROL),
    ("Set-Cookie", ffi::NGX_HTTP_UPSTREAM_IGN_SET_COOKIE),
    ("Vary", ffi::NGX_HTTP_UPSTREAM_IGN_VARY),
];

const fn native(
    name: &'static std::ffi::CStr,
    count: (usize, usize),
    form: &'static str,
    setter: super::Function,
    offset: usize,
) -> Directive {
    let setter = Setter::Native(Native { setter, offset, post: ptr::null_mut() });
    Directive { name, contexts: EVERYWHERE, count, form, setter }
}

fn buffers(location: &mut LocationConfig, line: &Line<'_>) -> Outcome {
    let number = value::number(line.first())?;
    let size = value::bytes(line.words()[1])?;
    if location.upstream.bufs.num != 0 {
        return Err(Problem::duplicate());
    }
    if number < 2 || size == 0 || number.checked_mul(size).is_none() {
        return Err(Problem::value(line.first(), "at least 2 buffers, and a size above 0"));
    }
    location.upstream.bufs = ffi::ngx_bufs_t { num: number.cast_signed(), size };
    Ok(())
}

#[cfg(not(nginx_limit_rate_value))]
fn limit_rate(location: &mut LocationConfig, line: &Line<'_>) -> Outcome {
    value::set_size(&mut location.upstream.limit_rate, line)
}

#[cfg(nginx_limit_rate_value)]
fn limit_rate(location: &mut LocationConfig, line: &Line<'_>) -> Outcome {
    use crate::nginx::config::Value;
    let mut rate = Value::compile(line.reading, line.native(0))?.raw();
    if line.fixed().is_ok() {
        // nginx reads what has no variables from here.
        rate.u.size = value::bytes(line.first())?;
    }
    let unset = ptr::without_provenance_mut(usize::MAX);
    value::set(&mut location.upstream.limit_rate, unset, line.reading.pool().room(1)?[0].write(rate))
}
