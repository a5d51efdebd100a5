//! The directives as httpd sees them: its command array, made from the table, and its configuration blocks.
//!
//! httpd calls these while it reads its configuration, on one thread; and, for `.htaccess` files and for merging,
//! while it serves a request, on that request's thread.

#![allow(unsafe_code, reason = "functions that httpd calls, and blocks that httpd keeps as untyped pointers")]

mod commands;
mod words;

pub use commands::COMMANDS;

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::LazyLock;

use oxwsgi_core::boundary::guard;
use oxwsgi_core::config::directive::{Block, Context, Directive, Notice, Setter};
use oxwsgi_core::config::{
    ConfigError, DirectorySettings, Hosts, ImportScript, ProcessSettings, ServerSettings,
};
use oxwsgi_core::report::Level;

use crate::apache::expression::Expression;
use crate::apache::hosts::ServerHosts;
use crate::apache::pool::Pool;
use crate::apache::record::{Request, Server};
use crate::apache::{ffi, log};

/// This module's block of a server.
#[derive(Debug, Default)]
struct ServerBlock {
    settings: ServerSettings,
    /// Used in the main server's block alone.
    process: ProcessSettings,
    /// Used in the main server's block alone: what to say of directives without effect.
    notices: Vec<(Level, String)>,
}

/// The settings that a request's directories make.
#[inline]
pub fn directory<'a>(request: Request<'a>) -> &'a DirectorySettings {
    static UNSET: LazyLock<DirectorySettings> = LazyLock::new(DirectorySettings::default);
    // SAFETY: the handle's record is alive, and the field is read by value.
    let vector = unsafe { (*request.as_raw()).per_dir_config };
    // SAFETY: httpd gives each request a vector.
    let block = unsafe { ffi::shim_config(vector) };
    // SAFETY: null, or made by `create_directory` or `merge_directory`, in a pool that the request does not outlive; and
    // nobody changes a block once it is read.
    unsafe { block.cast::<DirectorySettings>().as_ref() }.unwrap_or_else(|| &UNSET)
}

/// The settings of a server.
#[inline]
pub fn server(server: Server<'_>) -> &ServerSettings {
    &block(server).settings
}

/// The settings of all processes.
#[inline]
pub fn process(main: Server<'_>) -> &ProcessSettings {
    &block(main).process
}

/// The main server, which has the settings of all processes.
#[inline]
pub fn main_server<'a>() -> Server<'a> {
    // SAFETY: read by value; httpd sets it before it reads directives.
    let main = unsafe { ffi::ap_server_conf };
    // SAFETY: the record lives as long as the configuration, and so longer than whatever is done with it.
    unsafe { Server::from_raw(main) }
}

fn block<'a>(server: Server<'a>) -> &'a ServerBlock {
    // SAFETY: the handle's record is alive; httpd made the block when it loaded this module, and nobody changes it once
    // the configuration is read.
    unsafe { &*block_pointer(server.as_raw()) }
}

/// # Safety
/// `server` is a server's record.
unsafe fn block_pointer(server: *mut ffi::server_rec) -> *mut ServerBlock {
    // SAFETY: the caller's record; the field is read by value.
    let vector = unsafe { (*server).module_config };
    // SAFETY: the server's own vector.
    unsafe { ffi::shim_config(vector) }.cast()
}

/// For the module's record: a block for a section without settings.
pub unsafe extern "C" fn create_directory(pool: *mut ffi::apr_pool_t, _path: *mut c_char) -> *mut c_void {
    // SAFETY: httpd passes the pool that the block is to last as long as.
    unsafe { place(pool, DirectorySettings::default()) }
}

/// For the module's record: the block of a section inside another.
pub unsafe extern "C" fn merge_directory(
    pool: *mut ffi::apr_pool_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_void {
    // SAFETY: httpd passes blocks that `create_directory` or this function made.
    let outer = unsafe { &*outer.cast::<DirectorySettings>() };
    // SAFETY: as above.
    let inner = unsafe { &*inner.cast::<DirectorySettings>() };
    // SAFETY: httpd passes the pool that the block is to last as long as.
    unsafe { place(pool, DirectorySettings::merged(outer, inner)) }
}

/// For the module's record: a block for a server without settings.
pub unsafe extern "C" fn create_server(
    pool: *mut ffi::apr_pool_t,
    _server: *mut ffi::server_rec,
) -> *mut c_void {
    // SAFETY: httpd passes the pool that the block is to last as long as.
    unsafe { place(pool, ServerBlock::default()) }
}

/// For the module's record: the block of a virtual host.
pub unsafe extern "C" fn merge_server(
    pool: *mut ffi::apr_pool_t,
    main: *mut c_void,
    host: *mut c_void,
) -> *mut c_void {
    // SAFETY: httpd passes blocks that `create_server` made.
    let main = unsafe { &*main.cast::<ServerBlock>() };
    // SAFETY: as above.
    let host = unsafe { &*host.cast::<ServerBlock>() };
    let settings = ServerSettings::merged(&main.settings, &host.settings);
    // SAFETY: httpd passes the pool that the block is to last as long as.
    unsafe { place(pool, ServerBlock { settings, ..ServerBlock::default() }) }
}

/// # Safety
/// `pool` is a pool.
unsafe fn place<T: 'static>(pool: *mut ffi::apr_pool_t, block: T) -> *mut c_void {
    // SAFETY: the caller passes a pool, and the handle does not outlive this call.
    let pool = unsafe { Pool::from_raw(pool) };
    ptr::from_mut(pool.place(block)).cast()
}

/// For the command array: reads one directive. The answer is null, or what is wrong with it.
unsafe extern "C" fn set(
    command: *mut ffi::cmd_parms,
    directory: *mut c_void,
    arguments: *const c_char,
) -> *const c_char {
    // SAFETY: httpd passes its own record, alive during the call.
    let pool = unsafe { Pool::from_raw((*command).pool) };
    // SAFETY: `command` and `directory` are what httpd passes, `arguments` is C text.
    let body = || unsafe { set_checked(command, directory, arguments) };
    match guard(body, |panic| Err(format!("oxwsgi failed to read a directive: {panic}"))) {
        Ok(()) => ptr::null(),
        Err(text) => pool.c_text(text.as_bytes()),
    }
}

/// # Safety
/// `command` and `directory` are what httpd passes to a directive of this module, `arguments` is C text.
unsafe fn set_checked(
    command: *mut ffi::cmd_parms,
    directory: *mut c_void,
    arguments: *const c_char,
) -> Result<(), String> {
    // SAFETY: `commands` puts a row of the table there, and rows are static.
    let directive = unsafe { &*(*command).info.cast::<Directive>() };
    if directive.context == Context::Global {
        // SAFETY: httpd's own record.
        unsafe { allow(command, ffi::GLOBAL_ONLY) }?;
    }
    // SAFETY: httpd's own record; the pool is for what is needed while the directive is read.
    let pool = unsafe { Pool::from_raw((*command).temp_pool) };
    // SAFETY: `arguments` is C text.
    let words = unsafe { words::split(pool, arguments, directive.arguments.plain) };

    // SAFETY: httpd sets it before it reads directives.
    let main = unsafe { block_pointer(ffi::ap_server_conf) };
    match directive.setter {
        Setter::Directory(_) => {
            // SAFETY: made by `create_directory` for the section being read, which no request uses yet.
            let settings = unsafe { &mut *directory.cast::<DirectorySettings>() };
            directive.set(Block::Directory(settings), &words).map_err(|error| error.to_string())
        }
        Setter::Server(_) => {
            // SAFETY: httpd's own record; the field is read by value.
            let server = unsafe { block_pointer((*command).server) };
            // SAFETY: made by `create_server`; the configuration is being read, on one thread, and this is the only
            // reference for as long as it is used.
            let settings = unsafe { &mut (*server).settings };
            directive.set(Block::Server(settings), &words).map_err(|error| error.to_string())?;
            // SAFETY: httpd's own record; the pool lasts as long as the configuration.
            let pool = unsafe { Pool::from_raw((*command).pool) };
            settings
                .compile_expression(|text| Expression::compile(pool, text))
                .map_err(|error| format!("{}: {error}", directive.name))?;
            // SAFETY: httpd's own record, alive during the call.
            let hosts = unsafe { hosts(command) };
            // SAFETY: as above, for another field; the main server's block may be the same one.
            preload(settings, unsafe { &mut (*main).process }, &hosts)
                .map_err(|error| format!("{}: {error}", directive.name))
        }
        Setter::Hosted(_) => {
            // SAFETY: httpd's own record, alive during the call.
            let hosts = unsafe { hosts(command) };
            // SAFETY: as for all processes' directives.
            let settings = unsafe { &mut (*main).process };
            directive.set(Block::Hosted(settings, &hosts), &words).map_err(|error| error.to_string())?;
            if let Some(group) = settings.daemon_groups.last_mut() {
                let name = String::from_utf8_lossy(&group.name).into_owned();
                for text in std::mem::take(&mut group.notices) {
                    let line = format!("WSGIDaemonProcess {name}: {text}");
                    // SAFETY: httpd's own record, and the main server's block.
                    unsafe { note(command, Level::Info, line, main) };
                }
            }
            Ok(())
        }
        Setter::Process(_) => {
            // SAFETY: as above; directives of all processes are allowed in no `.htaccess` file.
            let settings = unsafe { &mut (*main).process };
            directive.set(Block::Process(settings), &words).map_err(|error| error.to_string())
        }
        Setter::Nothing(_) => {
            directive.set(Block::Nothing, &words).map_err(|error| error.to_string())?;
            let (level, text) = match directive.notice {
                Some(Notice::Info(text)) => (Level::Info, text),
                Some(Notice::Warning(text)) => (Level::Warning, text),
                None => return Ok(()),
            };
            // SAFETY: httpd's own record, and the main server's block.
            unsafe { note(command, level, format!("{} {text}", directive.name), main) };
            Ok(())
        }
    }
}

/// # Safety
/// `command` is what httpd passes to a directive.
unsafe fn allow(command: *mut ffi::cmd_parms, forbidden: c_int) -> Result<(), String> {
    // SAFETY: the caller passes httpd's own record.
    let refusal = unsafe { ffi::ap_check_cmd_context(command, forbidden as c_uint) };
    // SAFETY: null, or C text in the configuration's pool.
    match unsafe { crate::apache::record::bytes(refusal) } {
        None => Ok(()),
        Some(text) => Err(String::from_utf8_lossy(text).into_owned()),
    }
}

/// The servers that have been read by now, seen from the one that a directive stands in.
///
/// # Safety
/// `command` is what httpd passes to a directive.
unsafe fn hosts<'a>(command: *mut ffi::cmd_parms) -> ServerHosts<'a> {
    // SAFETY: the caller passes httpd's own record; read by value.
    let current = unsafe { (*command).server };
    // SAFETY: servers last as long as the configuration, and so longer than the directive is read.
    ServerHosts::new(main_server(), unsafe { Server::from_raw(current) })
}

/// Has the script of the alias just added loaded at start, when both its groups are known.
fn preload(
    settings: &ServerSettings,
    process: &mut ProcessSettings,
    hosts: &dyn Hosts,
) -> Result<(), ConfigError> {
    let Some(preload) = settings.script_aliases.last().and_then(|alias| alias.preload()) else {
        return Ok(());
    };
    let import = ImportScript {
        script: preload.script.into(),
        process_group: preload.process_group.into(),
        application_group: preload.application_group.into(),
        needs_python: false,
        ..ImportScript::default()
    };
    process.add_import(import, hosts)
}

/// Remembers what is to be said of a directive without effect.
///
/// # Safety
/// `command` is what httpd passes to a directive, `main` the main server's block.
unsafe fn note(command: *mut ffi::cmd_parms, level: Level, line: String, main: *mut ServerBlock) {
    // An `.htaccess` file is read for each request, when nothing but the request may be changed.
    // SAFETY: the caller passes httpd's own record.
    if unsafe { allow(command, ffi::NOT_IN_HTACCESS) }.is_err() {
        return;
    }
    // SAFETY: plain values.
    if unsafe { ffi::ap_state_query(ffi::AP_SQ_RUN_MODE) } == ffi::AP_SQ_RM_CONFIG_TEST {
        // Nothing comes after the reading that could say it.
        // SAFETY: httpd's own record, alive during the call.
        let pool = unsafe { Pool::from_raw((*command).pool) };
        log::process(pool, level, &line);
    }
    // SAFETY: the configuration is being read, on one thread, and nobody else refers to the list.
    let notices = unsafe { &mut (*main).notices };
    notices.push((level, line));
}

/// Registers what the directives need after they are read.
pub fn register_hooks() {
    // SAFETY: a function of the type that the hook calls; there are no neighbours to name.
    unsafe { ffi::ap_hook_post_config(Some(log_notices), ptr::null(), ptr::null(), ffi::APR_HOOK_FIRST) }
}

/// Says in the server's log what had no effect: the terminal that saw the configuration being read may be gone.
unsafe extern "C" fn log_notices(
    _pool: *mut ffi::apr_pool_t,
    _log_pool: *mut ffi::apr_pool_t,
    _temporary_pool: *mut ffi::apr_pool_t,
    main: *mut ffi::server_rec,
) -> c_int {
    // SAFETY: plain values. The configuration is read twice at start, and the first reading is a trial.
    if unsafe { ffi::ap_state_query(ffi::AP_SQ_MAIN_STATE) } == ffi::AP_SQ_MS_CREATE_PRE_CONFIG {
        return ffi::OK;
    }
    // SAFETY: httpd passes the main server, whose record lasts as long as the configuration.
    let main = unsafe { Server::from_raw(main) };
    let body = || {
        for (level, line) in &block(main).notices {
            log::server(main, *level, line);
        }
    };
    guard(body, |_| ());
    ffi::OK
}
