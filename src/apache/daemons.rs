//! The daemon groups of httpd's parent process: their supervisor is started when the configuration of a generation is in
//! force, replaced when it is killed, and left to end when the generation does.
//!
//! All but [`child_init`] runs on the parent's only thread.

#![allow(unsafe_code, reason = "hooks that httpd calls")]

mod blueprint;
mod clients;
mod running;
mod watch;

use std::ffi::{c_int, c_void};
use std::ptr;

use oxwsgi_core::config::DaemonGroup;
use oxwsgi_core::daemon::board::Board;
use oxwsgi_core::os::Account;
use oxwsgi_core::report::{Level, Number};

use crate::apache::phase::{self, Phase};
use crate::apache::pool::Pool;
use crate::apache::record::Server;
use crate::apache::{directives, ffi, log};
use crate::daemon::groups::Groups;

use running::{Current, LAUNCH, Running, current};

/// Options that only root can act on.
const NO_ROOT: Number = Number(1155);

/// Registers the hooks.
pub fn register_hooks() {
    // SAFETY: a function of the type that the hook calls; there are no neighbours to name.
    unsafe { ffi::ap_hook_check_config(Some(check_config), ptr::null(), ptr::null(), ffi::APR_HOOK_LAST) }
    // After everybody else has found the configuration good.
    // SAFETY: as above.
    unsafe {
        ffi::ap_hook_post_config(Some(post_config), ptr::null(), ptr::null(), ffi::APR_HOOK_REALLY_LAST);
    }
    // SAFETY: as above.
    unsafe { ffi::ap_hook_monitor(Some(monitor), ptr::null(), ptr::null(), ffi::APR_HOOK_MIDDLE) }
    // Before any code of a site's runs in the child.
    // SAFETY: as above.
    unsafe { ffi::ap_hook_child_init(Some(child_init), ptr::null(), ptr::null(), ffi::APR_HOOK_FIRST) }
}

/// The configuration has been read, and nothing been done yet.
unsafe extern "C" fn check_config(
    _configuration: *mut ffi::apr_pool_t,
    _log: *mut ffi::apr_pool_t,
    temporary: *mut ffi::apr_pool_t,
    main: *mut ffi::server_rec,
) -> c_int {
    // SAFETY: httpd passes a pool for what is needed now.
    let pool = unsafe { Pool::from_raw(temporary) };
    // SAFETY: httpd passes the main server.
    let main = unsafe { Server::from_raw(main) };
    catch!(ffi::HTTP_INTERNAL_SERVER_ERROR, check(pool, main, Phase::now()))
}

fn check(pool: Pool<'_>, main: Server<'_>, phase: Phase) -> c_int {
    let settings = directives::process(main);
    // At a start the first pass has looked already; a restart says what is wrong when it comes to it.
    if !matches!(phase, Phase::Test | Phase::Trial) || settings.daemon_groups.is_empty() {
        return ffi::OK;
    }
    match blueprint::check(settings, &blueprint::sockets(pool, settings)) {
        Ok(()) => ffi::OK,
        Err(text) => {
            log::server(main, Level::Critical, format_args!("{LAUNCH}: {text}"));
            ffi::HTTP_INTERNAL_SERVER_ERROR
        }
    }
}

/// The logs are open, and all modules have found the configuration good.
unsafe extern "C" fn post_config(
    configuration: *mut ffi::apr_pool_t,
    _log: *mut ffi::apr_pool_t,
    _temporary: *mut ffi::apr_pool_t,
    main: *mut ffi::server_rec,
) -> c_int {
    // SAFETY: httpd passes the pool of the configuration, on the only thread that uses it.
    let pool = unsafe { Pool::from_raw(configuration) };
    // SAFETY: httpd passes the main server.
    let main = unsafe { Server::from_raw(main) };
    catch!(ffi::HTTP_INTERNAL_SERVER_ERROR, start(pool, main, Phase::now()))
}

fn start(pool: Pool<'_>, main: Server<'_>, phase: Phase) -> c_int {
    if !matches!(phase, Phase::Start | Phase::Restart) {
        return ffi::OK;
    }
    watch::register_elders(pool, main);
    let settings = directives::process(main);
    if settings.daemon_groups.is_empty() {
        return ffi::OK;
    }
    if !Account::may_change() {
        settings.daemon_groups.iter().for_each(|group| note_without_root(main, group));
    }
    let sockets = blueprint::sockets(pool, settings);
    let (running, failures, status) = match Running::launch(pool, main, settings, &sockets, phase) {
        Ok((running, failures)) => (running, failures, ffi::OK),
        Err(failures) => (None, failures, ffi::HTTP_INTERNAL_SERVER_ERROR),
    };
    for (number, failure) in failures {
        log::server(main, Level::Critical, format_args!("{number}: {failure}"));
    }
    *current() = Some(Current { parent: std::process::id(), sockets, running });
    // SAFETY: the cleanup needs no data, and runs while this module is loaded: httpd loaded it with the same pool, before.
    unsafe { pool.on_clear(ptr::null_mut(), end_generation) };
    // At a restart the sites that need none of it go on.
    if phase == Phase::Start { status } else { ffi::OK }
}

fn note_without_root(main: Server<'_>, group: &DaemonGroup) {
    let given = [
        ("user=", group.user.is_some()),
        ("group=", group.group.is_some()),
        ("supplementary-groups=", group.supplementary_groups.is_some()),
        ("socket-user=", group.socket_user.is_some()),
    ];
    let given: Vec<_> = given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect();
    if !given.is_empty() {
        let (name, given) = (String::from_utf8_lossy(&group.name), given.join(", "));
        let what = format!("{given} has no effect, for the server was not started as root");
        log::server(main, Level::Info, format_args!("{NO_ROOT}: WSGIDaemonProcess {name}: {what}"));
    }
}

/// httpd's parent looks after its children, every few seconds.
unsafe extern "C" fn monitor(_pool: *mut ffi::apr_pool_t, main: *mut ffi::server_rec) -> c_int {
    // SAFETY: httpd passes the main server.
    let main = unsafe { Server::from_raw(main) };
    let body = || {
        if let Some(running) = current().as_mut().and_then(|current| current.running.as_mut()) {
            running.replace_when_due(main);
        }
    };
    catch!((), body());
    ffi::OK
}

/// The configuration goes: at a restart, and when the server ends.
unsafe extern "C" fn end_generation(_data: *mut c_void) -> ffi::apr_status_t {
    let body = || {
        let ended = current().take();
        let Some(Current { parent, running: Some(running), .. }) = ended else { return };
        // A copy of the parent may clear the pool too.
        if parent != std::process::id() {
            return;
        }
        if phase::is_exiting() {
            running.end_with_server();
        } else if let Some(pid) = running.end() {
            watch::add_elder(directives::main_server(), pid);
        }
    };
    catch!((), body());
    ffi::APR_SUCCESS
}

/// A child has been forked.
unsafe extern "C" fn child_init(_child: *mut ffi::apr_pool_t, main: *mut ffi::server_rec) {
    // SAFETY: httpd passes the main server.
    let main = unsafe { Server::from_raw(main) };
    // SAFETY: httpd calls this once in a child, and this hook before others.
    catch!((), unsafe { running::leave_lifeline(main) });
    catch!((), enter_child(main));
}

fn enter_child(main: Server<'_>) {
    let settings = directives::process(main);
    let mut guard = current();
    let Some(Current { parent, sockets, running }) = guard.as_mut() else { return };
    let mut groups = Groups::default();
    for (place, (group, socket)) in settings.daemon_groups.iter().zip(sockets).enumerate() {
        let board = running.as_ref().and_then(|running| Board::open(running.board(place)?).ok());
        clients::add(&mut groups, main, group, socket, board);
    }
    groups.install();
    // With -X there is no other process.
    if let Some(running) = running
        && *parent != std::process::id()
    {
        running.enter_child();
    }
}
