//! Replies that nginx keeps: `wsgi_cache` and its like, and `wsgi_store`.

#![allow(unsafe_code, reason = "names setters of nginx's own, and makes what they would")]

use std::ffi::CStr;
use std::mem::offset_of;
use std::ptr;

use super::line::{Line, Problem, once};
use super::{CONDITIONS, Directive, EVERYWHERE, Function, MAIN, Native, Outcome, Setter, value};
use crate::nginx::config::{LocationConfig, MainConfig, Value, three_way};
use crate::nginx::ffi;

const ON_OFF: &str = "on or off";

/// A flag of nginx's upstream module.
macro_rules! flag {
    ($name:literal, $field:ident) => {
        Directive::location($name, (1, 1), ON_OFF, |location, line| {
            value::set_flag(&mut location.upstream.$field, line)
        })
    };
}

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        name: c"wsgi_cache_path",
        contexts: MAIN,
        count: (2, usize::MAX),
        form: "a folder, keys_zone=name:size, and perhaps other options of proxy_cache_path",
        setter: Setter::Native(Native {
            setter: ffi::ngx_http_file_cache_set_slot,
            offset: MainConfig::CACHES,
            post: (&raw const crate::nginx::ngx_http_oxwsgi_module).cast_mut().cast(),
        }),
    },
    Directive::location(c"wsgi_cache", (1, 1), "the name of a zone, or off", zone),
    Directive::location(c"wsgi_cache_key", (1, 1), "a text, which may hold variables", |location, line| {
        once(&mut location.cache_key, Value::compile(line.reading, line.native(0))?)
    }),
    native(
        c"wsgi_cache_bypass",
        (1, usize::MAX),
        "texts with variables",
        ffi::ngx_http_set_predicate_slot,
        offset_of!(LocationConfig, upstream.cache_bypass),
    ),
    native(
        c"wsgi_no_cache",
        (1, usize::MAX),
        "texts with variables",
        ffi::ngx_http_set_predicate_slot,
        offset_of!(LocationConfig, upstream.no_cache),
    ),
    native(
        c"wsgi_cache_valid",
        (1, usize::MAX),
        "perhaps statuses or any, and a time",
        ffi::ngx_http_file_cache_valid_set_slot,
        offset_of!(LocationConfig, upstream.cache_valid),
    ),
    Directive::location(c"wsgi_cache_min_uses", (1, 1), "a number", |location, line| {
        value::set_number(&mut location.upstream.cache_min_uses, line)
    }),
    Directive::location(c"wsgi_cache_max_range_offset", (1, 1), "a size", |location, line| {
        let field = &mut location.upstream.cache_max_range_offset;
        value::set(field, ffi::NGX_CONF_UNSET as ffi::off_t, value::large_bytes(line.first())?)
    }),
    Directive::location(c"wsgi_cache_use_stale", (1, usize::MAX), "conditions", |location, line| {
        value::set_bits(&mut location.upstream.cache_use_stale, CONDITIONS, line)
    }),
    Directive::location(c"wsgi_cache_methods", (1, usize::MAX), "methods", |location, line| {
        value::set_bits(&mut location.upstream.cache_methods, METHODS, line)
    }),
    flag!(c"wsgi_cache_lock", cache_lock),
    Directive::location(c"wsgi_cache_lock_timeout", (1, 1), "a time", |location, line| {
        value::set_time(&mut location.upstream.cache_lock_timeout, line)
    }),
    Directive::location(c"wsgi_cache_lock_age", (1, 1), "a time", |location, line| {
        value::set_time(&mut location.upstream.cache_lock_age, line)
    }),
    flag!(c"wsgi_cache_revalidate", cache_revalidate),
    flag!(c"wsgi_cache_convert_head", cache_convert_head),
    flag!(c"wsgi_cache_background_update", cache_background_update),
    Directive::location(c"wsgi_store", (1, 1), "on, off, or a path, which may hold variables", store),
    native(
        c"wsgi_store_access",
        (1, 3),
        "up to three of user:rights, group:rights and all:rights",
        ffi::ngx_conf_set_access_slot,
        offset_of!(LocationConfig, upstream.store_access),
    ),
];

const METHODS: &[(&str, ffi::ngx_uint_t)] = &[
    ("GET", ffi::NGX_HTTP_GET as ffi::ngx_uint_t),
    ("HEAD", ffi::NGX_HTTP_HEAD as ffi::ngx_uint_t),
    ("POST", ffi::NGX_HTTP_POST as ffi::ngx_uint_t),
];

const fn native(
    name: &'static CStr,
    count: (usize, usize),
    form: &'static str,
    setter: Function,
    offset: usize,
) -> Directive {
    let setter = Setter::Native(Native { setter, offset, post: ptr::null_mut() });
    Directive { name, contexts: EVERYWHERE, count, form, setter }
}

fn zone(location: &mut LocationConfig, line: &Line<'_>) -> Outcome {
    let block = &mut location.upstream;
    if three_way(block.cache()) >= 0 {
        return Err(Problem::duplicate());
    }
    if line.first() == b"off" {
        block.set_cache(0);
        return Ok(());
    }
    if line.first().is_empty() {
        return Err(Problem::value(b"", "the name of a zone, which wsgi_cache_path defines, or off"));
    }
    if three_way(block.store()) > 0 {
        return Err(Problem::new("is incompatible with \"wsgi_store\": use one of them"));
    }
    block.set_cache(1);
    let value = Value::compile(line.reading, line.native(0))?.raw();
    if !value.lengths.is_null() {
        block.cache_value = line.reading.pool().room(1)?[0].write(value);
        return Ok(());
    }
    let mut name = value.value;
    let tag = (&raw const crate::nginx::ngx_http_oxwsgi_module).cast_mut().cast();
    // SAFETY: what is being read, a name in the pool of the configuration, and this module as the zone's owner.
    block.cache_zone = unsafe { ffi::ngx_shared_memory_add(line.reading.as_raw(), &raw mut name, 0, tag) };
    if block.cache_zone.is_null() { Err(Problem::Logged) } else { Ok(()) }
}

fn store(location: &mut LocationConfig, line: &Line<'_>) -> Outcome {
    let block = &mut location.upstream;
    if three_way(block.store()) >= 0 {
        return Err(Problem::duplicate());
    }
    match line.first() {
        b"off" => {
            block.set_store(0);
            return Ok(());
        }
        b"" => return Err(Problem::value(b"", "on, off, or a path")),
        _ => {}
    }
    if three_way(block.cache()) > 0 {
        return Err(Problem::new("is incompatible with \"wsgi_cache\": use one of them"));
    }
    block.set_store(1);
    if line.first() == b"on" {
        return Ok(());
    }
    let mut path = line.native(0);
    // nginx wants the NUL behind the path to be part of what it compiles.
    path.len += 1;
    // SAFETY: plain numbers and pointers, of which zero is a value.
    let mut task: ffi::ngx_http_script_compile_t = unsafe { std::mem::zeroed() };
    task.cf = line.reading.as_raw();
    task.source = &raw mut path;
    task.lengths = &raw mut block.store_lengths;
    task.values = &raw mut block.store_values;
    // SAFETY: a text that lives until the call returns.
    task.variables = unsafe { ffi::ngx_http_script_variables_count(&raw mut path) };
    task.set_complete_lengths(1);
    task.set_complete_values(1);
    // SAFETY: all that the task points to lives until the call returns; the result lies in the pool of the configuration.
    let done = unsafe { ffi::ngx_http_script_compile(&raw mut task) };
    if done == ffi::NGX_OK { Ok(()) } else { Err(Problem::Logged) }
}
