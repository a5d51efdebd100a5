//! nginx's own records as borrowed [handles](crate::handle).

#![allow(unsafe_code, reason = "reads and writes fields of nginx's structures")]

use std::ffi::c_void;
use std::ptr;

use crate::nginx::log::Log;
use crate::nginx::pool::Pool;
use crate::nginx::{ffi, text};

handle! {
    /// A configuration being read (`ngx_conf_t`), with what has been read so far.
    Reading of ngx_conf_t
}

handle! {
    /// A configuration, and what nginx has opened for it (`ngx_cycle_t`).
    Cycle of ngx_cycle_t
}

handle! {
    /// A request being served (`ngx_http_request_t`), or a subrequest.
    Request of ngx_http_request_t
}

/// This module's place in arrays of http modules, which nginx has assigned when it reads `http { }`.
#[inline]
fn own_index() -> usize {
    // SAFETY: nginx writes to it before any other process or thread is there, and not while the module works; by value.
    unsafe { crate::nginx::ngx_http_oxwsgi_module.ctx_index }
}

/// An element of an array of configurations.
///
/// # Safety
/// The array has an element for each http module.
#[inline]
unsafe fn element(array: *mut *mut c_void, index: usize) -> *mut c_void {
    // SAFETY: the caller's word.
    unsafe { *array.add(index) }
}

impl<'a> Reading<'a> {
    /// Lives as long as the configuration.
    pub fn pool(self) -> Pool<'a> {
        let pool = field!(self, pool);
        // SAFETY: the pool of the configuration that is being read, on nginx's only thread.
        unsafe { Pool::from_raw(pool) }
    }

    /// Where messages about the configuration go.
    pub fn log(self) -> Log<'a> {
        let log = field!(self, log);
        // SAFETY: set while a configuration is read.
        unsafe { Log::from_raw(log) }
    }

    /// The words of the directive, its name first; they live as long as the configuration.
    pub fn words(self) -> &'a [ffi::ngx_str_t] {
        let array = field!(self, args);
        // SAFETY: nginx gives the array of words to each setter; it is not changed before the setter returns.
        unsafe { std::slice::from_raw_parts((*array).elts.cast(), (*array).nelts) }
    }

    /// `file:line` of what is being read; none once all of a file is read.
    pub fn position(self) -> Option<String> {
        let file = field!(self, conf_file);
        if file.is_null() {
            return None;
        }
        // SAFETY: not null, so the file being read; its name lives as long as the configuration.
        let name = unsafe { text::bytes((*file).file.name) };
        // SAFETY: as above; read by value.
        let line = unsafe { (*file).line };
        Some(format!("{}:{line}", String::from_utf8_lossy(name)))
    }

    /// This module's settings of `http { }`, as they are so far.
    pub fn own_main(self) -> *mut c_void {
        let context: *mut ffi::ngx_http_conf_ctx_t = field!(self, ctx).cast();
        // SAFETY: inside `http { }` the context is of this type, and has an element for each module.
        unsafe { element((*context).main_conf, own_index()) }
    }

    /// The core module's settings of the location being read or merged.
    pub fn core_location(self) -> *mut ffi::ngx_http_core_loc_conf_t {
        let context: *mut ffi::ngx_http_conf_ctx_t = field!(self, ctx).cast();
        // SAFETY: read by value; nginx has assigned it before it reads `http { }`.
        let index = unsafe { ffi::ngx_http_core_module.ctx_index };
        // SAFETY: inside `http { }` the context is of this type, and has an element for each module.
        unsafe { element((*context).loc_conf, index) }.cast()
    }

    /// The configuration as it will be.
    pub fn cycle(self) -> Cycle<'a> {
        let cycle = field!(self, cycle);
        // SAFETY: set while a configuration is read, and lives as long as it.
        unsafe { Cycle::from_raw(cycle) }
    }
}

impl<'a> Cycle<'a> {
    /// Lives as long as the configuration.
    pub fn pool(self) -> Pool<'a> {
        let pool = field!(self, pool);
        // SAFETY: the cycle's own pool, on nginx's only thread.
        unsafe { Pool::from_raw(pool) }
    }

    /// The main error log.
    pub fn log(self) -> Log<'a> {
        let log = field!(self, log);
        // SAFETY: a cycle has a log as long as it lives.
        unsafe { Log::from_raw(log) }
    }

    /// This module's settings of `http { }`; null when there is no such block.
    pub fn own_main(self) -> *mut c_void {
        // SAFETY: read by value; nginx has assigned it before it reads any configuration.
        let index = unsafe { ffi::ngx_http_module.index };
        let array = field!(self, conf_ctx);
        // SAFETY: a cycle whose configuration was read has an element for each module.
        let context: *mut ffi::ngx_http_conf_ctx_t = unsafe { *array.add(index) }.cast();
        if context.is_null() {
            return ptr::null_mut();
        }
        // SAFETY: not null, so that of an http block, with an element for each http module.
        unsafe { element((*context).main_conf, own_index()) }
    }
}

impl<'a> Request<'a> {
    /// The request's own pool.
    #[inline]
    pub fn pool(self) -> Pool<'a> {
        let pool = field!(self, pool);
        // SAFETY: the pool lives as long as the record, which it holds.
        unsafe { Pool::from_raw(pool) }
    }

    /// The request's error log.
    #[inline]
    pub fn log(self) -> Log<'a> {
        let connection = field!(self, connection);
        // SAFETY: a connection outlives its requests, and has a log.
        unsafe { Log::from_raw((*connection).log) }
    }

    /// The decoded path.
    #[inline]
    pub fn uri(self) -> &'a [u8] {
        let uri = field!(self, uri);
        // SAFETY: in the request's pool, and replaced rather than changed.
        unsafe { text::bytes(uri) }
    }

    /// This module's settings of its location.
    #[inline]
    pub fn own_location(self) -> *mut c_void {
        let array = field!(self, loc_conf);
        // SAFETY: every request has an element for each module.
        unsafe { element(array, own_index()) }
    }

    /// This module's settings of `http { }`.
    #[inline]
    pub fn own_main(self) -> *mut c_void {
        let array = field!(self, main_conf);
        // SAFETY: every request has an element for each module.
        unsafe { element(array, own_index()) }
    }

    /// What this module keeps with the request; null before [`Request::set_context`], and after an internal redirect.
    #[inline]
    pub fn context<T>(self) -> *mut T {
        let array = field!(self, ctx);
        // SAFETY: every request has an element for each module.
        unsafe { element(array, own_index()) }.cast()
    }

    /// Keeps `context`, which lives as long as the request, with the request.
    pub fn set_context<T>(self, context: *mut T) {
        let place = own_index();
        let array = field!(self, ctx);
        // SAFETY: every request has an element for each module, and this one is ours.
        unsafe { *array.add(place) = context.cast() };
    }
}

/// Whether nginx only looks at its configuration (`nginx -t`).
pub fn is_test() -> bool {
    // SAFETY: read by value; set before any configuration is read.
    unsafe { ffi::ngx_test_config != 0 }
}

/// Whether this process serves requests: a worker, or the one process of `master_process off`; not those that care for
/// caches.
pub fn serves_requests() -> bool {
    // SAFETY: read by value; set before a process calls its modules.
    let kind = unsafe { ffi::ngx_process };
    kind == ffi::NGX_PROCESS_WORKER || kind == ffi::NGX_PROCESS_SINGLE
}

/// The cycle in force; none before the first was read.
pub fn current_cycle<'a>() -> Option<Cycle<'a>> {
    // SAFETY: read by value.
    let cycle = unsafe { ffi::ngx_cycle };
    // SAFETY: not null, so the cycle in force, which stays until another one has taken its place.
    (!cycle.is_null()).then(|| unsafe { Cycle::from_raw(cycle) })
}
