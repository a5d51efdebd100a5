//! The block that nginx's own upstream module reads: as every module of this kind makes and merges it. Its three timeouts
//! are not here, for a daemon group may have a say in them.

#![allow(unsafe_code, reason = "fields of nginx's own, and its functions for them")]

use std::ffi::CStr;
use std::ptr;

use crate::nginx::ffi;
use crate::nginx::record::Reading;
use crate::nginx::text;

/// What `proxy_buffers` and their like default to is a page; a reply of ours comes in larger pieces.
const BUFFER: usize = 16 * 1024;
const BUFFERS: ffi::ngx_int_t = 8;
/// Milliseconds.
const LOCK_TIMEOUT: ffi::ngx_msec_t = 5_000;
const MAX_TEMP_FILE: usize = 1 << 30;

/// `NGX_CONF_UNSET_PTR`.
const fn unset<T>() -> *mut T {
    ptr::without_provenance_mut(usize::MAX)
}

/// A block in which nothing is set.
pub fn create() -> ffi::ngx_http_upstream_conf_t {
    // SAFETY: plain numbers and pointers, of which zero is a value.
    let mut block: ffi::ngx_http_upstream_conf_t = unsafe { std::mem::zeroed() };
    block.set_store(ffi::NGX_CONF_UNSET as i32);
    block.set_cache(ffi::NGX_CONF_UNSET as i32);
    for flag in [
        &raw mut block.buffering,
        &raw mut block.request_buffering,
        &raw mut block.ignore_client_abort,
        &raw mut block.force_ranges,
        &raw mut block.pass_request_headers,
        &raw mut block.pass_request_body,
        &raw mut block.intercept_errors,
        &raw mut block.cache_lock,
        &raw mut block.cache_revalidate,
        &raw mut block.cache_convert_head,
        &raw mut block.cache_background_update,
    ] {
        // SAFETY: fields of our own variable.
        unsafe { *flag = ffi::NGX_CONF_UNSET };
    }
    for time in [
        &raw mut block.next_upstream_timeout,
        &raw mut block.cache_lock_timeout,
        &raw mut block.cache_lock_age,
    ] {
        // SAFETY: fields of our own variable.
        unsafe { *time = ffi::SHIM_CONF_UNSET_MSEC };
    }
    block.store_access = ffi::SHIM_CONF_UNSET_UINT;
    block.next_upstream_tries = ffi::SHIM_CONF_UNSET_UINT;
    block.cache_min_uses = ffi::SHIM_CONF_UNSET_UINT;
    block.cache_max_range_offset = ffi::NGX_CONF_UNSET as ffi::off_t;
    block.buffer_size = ffi::SHIM_CONF_UNSET_SIZE;
    block.busy_buffers_size_conf = ffi::SHIM_CONF_UNSET_SIZE;
    block.max_temp_file_size_conf = ffi::SHIM_CONF_UNSET_SIZE;
    block.temp_file_write_size_conf = ffi::SHIM_CONF_UNSET_SIZE;
    #[cfg(not(nginx_limit_rate_value))]
    {
        block.limit_rate = ffi::SHIM_CONF_UNSET_SIZE;
    }
    #[cfg(nginx_limit_rate_value)]
    {
        block.limit_rate = unset();
    }
    block.hide_headers = unset();
    block.pass_headers = unset();
    block.cache_valid = unset();
    block.cache_bypass = unset();
    block.no_cache = unset();
    // Its name appears in messages about header fields.
    block.module = text::fixed(c"wsgi");
    // The body goes on while the reply is on its way.
    block.set_preserve_output(1);
    // `X-Accel-Buffering` has a say.
    block.set_change_buffering(1);
    block
}

/// A signed field of two bits, -1 for unset, which bindgen reads without its sign.
pub const fn three_way(field: i32) -> i32 {
    field << 30 >> 30
}

/// `own`, else `outer`, else `default`.
macro_rules! inherit {
    ($own:ident, $outer:ident, $unset:expr, $($field:ident: $default:expr),* $(,)?) => {$(
        if $own.$field == $unset {
            $own.$field = if $outer.$field == $unset { $default } else { $outer.$field };
        }
    )*};
}

/// Fills what `own` does not set from `outer`, and there with what holds without a directive.
///
/// # Errors
/// What does not fit together, in words.
pub fn merge(
    reading: Reading<'_>,
    outer: &mut ffi::ngx_http_upstream_conf_t,
    own: &mut ffi::ngx_http_upstream_conf_t,
) -> Result<(), String> {
    if three_way(own.store()) > 0 {
        own.set_cache(0);
    }
    if three_way(own.cache()) > 0 {
        own.set_store(0);
    }
    if three_way(own.store()) < 0 {
        own.set_store(three_way(outer.store()).max(0));
        own.store_lengths = outer.store_lengths;
        own.store_values = outer.store_values;
    }
    if three_way(own.cache()) < 0 {
        own.set_cache(three_way(outer.cache()).max(0));
        own.cache_zone = outer.cache_zone;
        own.cache_value = outer.cache_value;
    }
    inherit!(own, outer, ffi::NGX_CONF_UNSET,
        buffering: 1,
        request_buffering: 1,
        ignore_client_abort: 0,
        force_ranges: 0,
        pass_request_headers: 1,
        pass_request_body: 1,
        intercept_errors: 0,
        cache_lock: 0,
        cache_revalidate: 0,
        cache_convert_head: 1,
        cache_background_update: 0,
    );
    inherit!(own, outer, ffi::SHIM_CONF_UNSET_MSEC,
        next_upstream_timeout: 0,
        cache_lock_timeout: LOCK_TIMEOUT,
        cache_lock_age: LOCK_TIMEOUT,
    );
    inherit!(own, outer, ffi::SHIM_CONF_UNSET_UINT,
        store_access: 0o600,
        next_upstream_tries: 0,
        cache_min_uses: 1,
    );
    inherit!(own, outer, ffi::SHIM_CONF_UNSET_SIZE,
        buffer_size: BUFFER,
        busy_buffers_size_conf: ffi::SHIM_CONF_UNSET_SIZE,
        max_temp_file_size_conf: ffi::SHIM_CONF_UNSET_SIZE,
        temp_file_write_size_conf: ffi::SHIM_CONF_UNSET_SIZE,
    );
    #[cfg(not(nginx_limit_rate_value))]
    inherit!(own, outer, ffi::SHIM_CONF_UNSET_SIZE, limit_rate: 0);
    #[cfg(nginx_limit_rate_value)]
    inherit!(own, outer, unset(), limit_rate: ptr::null_mut());
    inherit!(own, outer, ffi::NGX_CONF_UNSET as ffi::off_t, cache_max_range_offset: ffi::off_t::MAX);
    inherit!(own, outer, unset(),
        cache_valid: ptr::null_mut(),
        cache_bypass: ptr::null_mut(),
        no_cache: ptr::null_mut(),
    );
    if own.bufs.num == 0 {
        own.bufs = outer.bufs;
    }
    if own.bufs.num == 0 {
        own.bufs = ffi::ngx_bufs_t { num: BUFFERS, size: BUFFER };
    }
    sizes(own)?;
    masks(outer, own);
    if own.temp_path.is_null() {
        own.temp_path = outer.temp_path;
    }
    if own.temp_path.is_null() {
        // Beside the bodies of requests, which are of the same kind; a folder that is there in any case.
        let core = reading.core_location();
        // SAFETY: the core module's settings of this location, which it has merged before any other module's are.
        own.temp_path = unsafe { (*core).client_body_temp_path };
    }
    let zone = own.cache_zone;
    // SAFETY: null, or a zone of this configuration; read by value.
    if !zone.is_null() && unsafe { (*zone).data.is_null() } {
        // SAFETY: as above; its name lies in the pool of the configuration.
        let name = unsafe { text::bytes((*zone).shm.name) };
        let name = String::from_utf8_lossy(name);
        return Err(format!(
            "\"wsgi_cache\" zone \"{name}\" is unknown; define it with \"wsgi_cache_path\" in the http block"
        ));
    }
    hide(reading, outer, own)
}

/// Sizes that follow from others, and those that must fit together.
fn sizes(own: &mut ffi::ngx_http_upstream_conf_t) -> Result<(), String> {
    let (number, each) = (own.bufs.num.cast_unsigned(), own.bufs.size);
    if number < 2 {
        return Err("there must be at least 2 \"wsgi_buffers\"".to_owned());
    }
    let largest = own.buffer_size.max(each);
    let derived = |given, default| if given == ffi::SHIM_CONF_UNSET_SIZE { default } else { given };
    own.busy_buffers_size = derived(own.busy_buffers_size_conf, 2 * largest);
    own.temp_file_write_size = derived(own.temp_file_write_size_conf, 2 * largest);
    own.max_temp_file_size = derived(own.max_temp_file_size_conf, MAX_TEMP_FILE);
    let too_small = |directive: &str| {
        Err(format!(
            "\"{directive}\" must be at least {largest} bytes here, the larger one of \"wsgi_buffer_size\" and one of the \
             \"wsgi_buffers\""
        ))
    };
    if own.busy_buffers_size < largest {
        return too_small("wsgi_busy_buffers_size");
    }
    let without_one = (number - 1) * each;
    if own.busy_buffers_size > without_one {
        return Err(format!(
            "\"wsgi_busy_buffers_size\" is {} bytes here, and must be at most {without_one}, the size of all \
             \"wsgi_buffers\" minus one: set more \"wsgi_buffers\", or less of \"wsgi_busy_buffers_size\"",
            own.busy_buffers_size
        ));
    }
    if own.temp_file_write_size < largest {
        return too_small("wsgi_temp_file_write_size");
    }
    if own.max_temp_file_size != 0 && own.max_temp_file_size < largest {
        return too_small("wsgi_max_temp_file_size")
            .map_err(|text: String| format!("{text}, or 0 for no files"));
    }
    Ok(())
}

/// Sets of conditions, of which `off` excludes the others, and of methods.
fn masks(outer: &ffi::ngx_http_upstream_conf_t, own: &mut ffi::ngx_http_upstream_conf_t) {
    let set = ffi::NGX_CONF_BITMASK_SET;
    let off = set | ffi::NGX_HTTP_UPSTREAM_FT_OFF;
    let pick = |own: ffi::ngx_uint_t, outer: ffi::ngx_uint_t, default| match (own, outer) {
        (0, 0) => default,
        (0, outer) => outer,
        (own, _) => own,
    };
    let exclusive = |mask| if mask & ffi::NGX_HTTP_UPSTREAM_FT_OFF != 0 { off } else { mask };
    own.ignore_headers = pick(own.ignore_headers, outer.ignore_headers, set);
    let errors = ffi::NGX_HTTP_UPSTREAM_FT_ERROR | ffi::NGX_HTTP_UPSTREAM_FT_TIMEOUT;
    own.next_upstream = exclusive(pick(own.next_upstream, outer.next_upstream, set | errors));
    own.cache_use_stale = exclusive(pick(own.cache_use_stale, outer.cache_use_stale, off));
    if own.cache_use_stale & ffi::NGX_HTTP_UPSTREAM_FT_ERROR != 0 {
        own.cache_use_stale |= ffi::NGX_HTTP_UPSTREAM_FT_NOLIVE;
    }
    let always = (ffi::NGX_HTTP_GET | ffi::NGX_HTTP_HEAD) as ffi::ngx_uint_t;
    own.cache_methods = pick(own.cache_methods, outer.cache_methods, always) | always;
}

/// Header fields of a reply that do not reach the client unless `wsgi_pass_header` says so.
fn hide(
    reading: Reading<'_>,
    outer: &mut ffi::ngx_http_upstream_conf_t,
    own: &mut ffi::ngx_http_upstream_conf_t,
) -> Result<(), String> {
    const HIDDEN: [&CStr; 5] = [
        c"X-Accel-Expires",
        c"X-Accel-Redirect",
        c"X-Accel-Limit-Rate",
        c"X-Accel-Buffering",
        c"X-Accel-Charset",
    ];
    let mut names = [text::borrowed(b""); HIDDEN.len() + 1];
    for (place, name) in names.iter_mut().zip(HIDDEN) {
        *place = text::fixed(name);
    }
    names[HIDDEN.len()].data = ptr::null_mut();
    // SAFETY: plain numbers and pointers, of which zero is a value.
    let mut hash: ffi::ngx_hash_init_t = unsafe { std::mem::zeroed() };
    hash.max_size = 512;
    hash.bucket_size = 64;
    hash.name = c"wsgi_hide_headers_hash".as_ptr().cast_mut();
    // SAFETY: blocks of the configuration that is being read; the names end with an empty one, and last for ever.
    let done = unsafe {
        ffi::ngx_http_upstream_hide_headers_hash(
            reading.as_raw(),
            own,
            outer,
            names.as_mut_ptr(),
            &raw mut hash,
        )
    };
    if done == ffi::NGX_OK {
        Ok(())
    } else {
        Err("the hash of \"wsgi_hide_header\" cannot be made".to_owned())
    }
}
