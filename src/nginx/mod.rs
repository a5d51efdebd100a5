//! The nginx module: what nginx finds by its symbols, and the map of this folder.
//!
//! Each imports only those before it: [`ffi`] nginx's C interface; [`pool`], [`text`], [`log`] and [`record`] make it safe to
//! use; [`config`] what is configured; [`groups`] the daemon groups of a configuration; [`request`] what crosses to Python, of
//! a record's [`request_fields`] and of [`basic_auth`]; [`measures`] what is known of a request in the end;
//! [`upstream`] serves a request; [`directives`] from words to settings; [`variables`] for logs; [`module`] what nginx calls
//! when it reads its configuration, and when its processes begin and end.

#![allow(unsafe_code, reason = "defines the symbols that nginx loads")]

/// The body of a function that nginx calls: a panic is logged, and becomes the answer stated first.
macro_rules! catch {
    ($answer:expr, $body:expr) => {
        oxwsgi_core::boundary::guard(
            || $body,
            |panic| {
                crate::nginx::log::panicked(panic);
                $answer
            },
        )
    };
}

mod basic_auth;
mod config;
mod directives;
mod ffi;
mod groups;
mod log;
mod measures;
mod module;
mod pool;
mod record;
mod request;
mod request_fields;
mod text;
mod upstream;
mod variables;

use std::ffi::{CStr, c_char};
use std::ptr;

const NAME: &CStr = c"ngx_http_oxwsgi_module";

/// The module as nginx sees it. nginx writes to it when it loads the module.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "the name by which nginx knows modules")]
pub static mut ngx_http_oxwsgi_module: ffi::ngx_module_t = ffi::ngx_module_t {
    ctx_index: ffi::ngx_uint_t::MAX,
    index: ffi::ngx_uint_t::MAX,
    name: ptr::null_mut(),
    spare0: 0,
    spare1: 0,
    version: ffi::nginx_version as ffi::ngx_uint_t,
    signature: ffi::SHIM_MODULE_SIGNATURE.as_ptr(),
    ctx: (&raw const module::CONTEXT).cast_mut().cast(),
    commands: directives::COMMANDS.as_raw(),
    type_: ffi::NGX_HTTP_MODULE as ffi::ngx_uint_t,
    init_master: None,
    init_module: None,
    init_process: Some(module::init_process),
    init_thread: None,
    exit_thread: None,
    exit_process: None,
    exit_master: None,
    spare_hook0: 0,
    spare_hook1: 0,
    spare_hook2: 0,
    spare_hook3: 0,
    spare_hook4: 0,
    spare_hook5: 0,
    spare_hook6: 0,
    spare_hook7: 0,
};

/// The modules of this file, which `load_module` looks up.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "the name that nginx looks up")]
pub static mut ngx_modules: [*mut ffi::ngx_module_t; 2] = [&raw mut ngx_http_oxwsgi_module, ptr::null_mut()];

/// Their names, which `load_module` looks up.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "the name that nginx looks up")]
pub static mut ngx_module_names: [*const c_char; 2] = [NAME.as_ptr(), ptr::null()];

/// Where they stand among others: no matter, for a content handler.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "the name that nginx looks up")]
pub static mut ngx_module_order: [*const c_char; 1] = [ptr::null()];
