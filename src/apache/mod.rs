//! The httpd module: what httpd finds by its symbol, and the map of this folder.
//!
//! Each imports only those before it: [`ffi`] httpd's C interface; [`pool`], [`record`], [`kept`], [`hosts`], [`log`],
//! [`error_log`], [`file_bucket`] and [`brigade`] make it safe to use; [`phase`] and [`software`] what httpd says of itself;
//! [`expression`] and [`directives`] what is configured, and [`account`] for whom; [`translate`] from URL to script;
//! [`request`], [`exchange`] and [`proxied`] what crosses to Python; [`discovery`] which Python; [`lifecycle`] its beginning
//! and end in httpd's own processes, [`daemons`] in those of daemon groups; [`handler`] serves a request.

#![allow(unsafe_code, reason = "defines the symbol that httpd loads")]

/// The body of a function that httpd calls: a panic is logged, and becomes the answer stated first.
macro_rules! catch {
    ($answer:expr, $body:expr) => {
        oxwsgi_core::boundary::guard(
            || $body,
            |panic| {
                crate::apache::log::panicked(panic);
                $answer
            },
        )
    };
}

mod account;
mod brigade;
mod daemons;
mod directives;
mod discovery;
mod error_log;
mod exchange;
mod expression;
mod ffi;
mod file_bucket;
mod handler;
mod hosts;
mod kept;
mod lifecycle;
mod log;
mod phase;
mod pool;
mod proxied;
mod record;
mod request;
mod software;
mod translate;

use std::ptr;

/// The module as httpd sees it. Name and symbol are mod_wsgi's, so that `LoadModule wsgi_module`, `LogLevel wsgi:...`,
/// `<IfModule wsgi_module>` and `<IfModule mod_wsgi.c>` mean this one. httpd writes to it when it loads the module.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "the name that httpd looks up")]
pub static mut wsgi_module: ffi::module = ffi::module {
    version: ffi::MODULE_MAGIC_NUMBER_MAJOR,
    minor_version: ffi::MODULE_MAGIC_NUMBER_MINOR,
    module_index: -1,
    name: c"mod_wsgi.c".as_ptr(),
    dynamic_load_handle: ptr::null_mut(),
    next: ptr::null_mut(),
    magic: ffi::MODULE_MAGIC_COOKIE as std::ffi::c_ulong,
    rewrite_args: None,
    create_dir_config: Some(directives::create_directory),
    merge_dir_config: Some(directives::merge_directory),
    create_server_config: Some(directives::create_server),
    merge_server_config: Some(directives::merge_server),
    cmds: directives::COMMANDS.as_raw(),
    register_hooks: Some(register_hooks),
    flags: 0,
};

unsafe extern "C" fn register_hooks(_pool: *mut ffi::apr_pool_t) {
    directives::register_hooks();
    translate::register_hooks();
    discovery::register_hooks();
    daemons::register_hooks();
    lifecycle::register_hooks();
    handler::register_hooks();
}
