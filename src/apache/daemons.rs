//! The daemon groups of httpd's parent process: their supervisor is started when the configuration of a generation is in
//! force, replaced when it is killed, and left to end when the generation does.
//!
//! All but [`child_init`] runs on the parent's only thread.

#![allow(unsafe_code, reason = "hooks that httpd calls, and processes that httpd watches")]

mod blueprint;
mod clients;
mod watch;

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oxwsgi_core::config::DaemonGroup;
use oxwsgi_core::daemon::board::Board;
use oxwsgi_core::daemon::{decode, encode};
use oxwsgi_core::os::Account;
use oxwsgi_core::report::{Level, Number};

use crate::apache::kept::Kept;
use crate::apache::phase::{self, Phase};
use crate::apache::pool::Pool;
use crate::apache::record::Server;
use crate::apache::{directives, ffi, log};
use crate::daemon::groups::Groups;
use crate::daemon::launch::{Generation, Lifeline};

use blueprint::Blueprint;

/// Under this name is the lifeline: numbers of the process that made it, and of its two descriptors.
const LIFELINE: &CStr = c"oxwsgi-lifeline";

/// A supervisor that lived for so long had no reason of its own to die.
const SOUND: Duration = Duration::from_secs(60);
/// Between two attempts to start one that had, at first and at most.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How long the end of the server waits for groups whose own `shutdown-timeout` is off.
const LONGEST_FAREWELL: Duration = Duration::from_secs(30);

const LAUNCH: Number = Number(1151);
const GROUP_FAILED: Number = Number(1152);
const DIED: Number = Number(1153);
const RESTART: Number = Number(1154);
const NO_ROOT: Number = Number(1155);

/// The generation in force.
static CURRENT: Mutex<Option<Current>> = Mutex::new(None);

#[derive(Debug)]
struct Current {
    /// The process that has started it.
    parent: u32,
    /// Path of the socket of each group of the configuration, in order.
    sockets: Vec<Vec<u8>>,
    /// None when no group could be started.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    lifeline: Lifeline,
    generation: Generation,
    /// For each group of the configuration its place in the plan; none when it is not there.
    places: Vec<Option<usize>>,
    /// When the supervisor was started.
    since: Instant,
    /// How many have died soon after their start, one after the other.
    failures: u32,
    /// When another is to be started.
    due: Option<Instant>,
}

fn current<'a>() -> MutexGuard<'a, Option<Current>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

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
    catch!(ffi::HTTP_INTERNAL_SERVER_ERROR, check(pool, main))
}

fn check(pool: Pool<'_>, main: Server<'_>) -> c_int {
    let settings = directives::process(main);
    if Phase::now() == Phase::Other || settings.daemon_groups.is_empty() {
        return ffi::OK;
    }
    match blueprint::check(settings, &blueprint::sockets(pool, settings)) {
        Ok(()) => ffi::OK,
        Err(text) => {
            log::server(main, Level::Critical, format_args!("{LAUNCH}: {text}"));
            // At a restart the sites that need none of it go on.
            if Phase::now() == Phase::Restart { ffi::OK } else { ffi::HTTP_INTERNAL_SERVER_ERROR }
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
        for group in &settings.daemon_groups {
            note_without_root(main, group);
        }
    }
    let sockets = blueprint::sockets(pool, settings);
    let (running, status) = match launch(pool, main, &sockets, phase) {
        Ok(running) => (running, ffi::OK),
        Err(text) => {
            log::server(main, Level::Critical, format_args!("{LAUNCH}: {text}"));
            (None, if phase == Phase::Start { ffi::HTTP_INTERNAL_SERVER_ERROR } else { ffi::OK })
        }
    };
    *current() = Some(Current { parent: std::process::id(), sockets, running });
    // SAFETY: the cleanup needs no data, and runs while this module is loaded: httpd loaded it with the same pool, before.
    unsafe { pool.on_clear(ptr::null_mut(), end_generation) };
    status
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
        log::server(
            main,
            Level::Info,
            format_args!(
                "{NO_ROOT}: WSGIDaemonProcess {name}: {given} has no effect, for the server was not started as root"
            ),
        );
    }
}

fn launch(
    pool: Pool<'_>,
    main: Server<'_>,
    sockets: &[Vec<u8>],
    phase: Phase,
) -> Result<Option<Running>, String> {
    let settings = directives::process(main);
    let Blueprint { program, plan, places } = Blueprint::new(main, settings, sockets, phase)?;
    if plan.groups.is_empty() {
        return Ok(None);
    }
    let lifeline = lifeline(main).map_err(|error| format!("a pipe cannot be made: {error}"))?;
    let (generation, failures) =
        Generation::start(&program, plan, lifeline).map_err(|error| error.to_string())?;
    for failure in failures {
        log::server(main, Level::Critical, format_args!("{GROUP_FAILED}: {failure}"));
    }
    if let Some(pid) = generation.pid() {
        watch::register(pool, pid, supervisor_changed);
    }
    Ok(Some(Running { lifeline, generation, places, since: Instant::now(), failures: 0, due: None }))
}

/// The lifeline of this server, made when it is first needed.
fn lifeline(main: Server<'_>) -> std::io::Result<Lifeline> {
    let kept = Kept::new(main, LIFELINE);
    let parent = std::process::id();
    if let Some((maker, read, write)) = kept.get().and_then(decode::<(u32, i32, i32)>)
        && maker == parent
    {
        return Ok(Lifeline { read, write });
    }
    let lifeline = Lifeline::new()?;
    kept.set(&encode(&(parent, lifeline.read, lifeline.write)));
    Ok(lifeline)
}

/// Something has happened to the supervisor, or is about to.
unsafe extern "C" fn supervisor_changed(reason: c_int, data: *mut c_void, status: c_int) {
    let body = || {
        if !matches!(reason, ffi::APR_OC_REASON_DEATH | ffi::APR_OC_REASON_LOST) {
            return;
        }
        // SAFETY: the data that it was registered with, which httpd has a record of until this call.
        unsafe { ffi::apr_proc_other_child_unregister(data) };
        let main = directives::main_server();
        let mut guard = current();
        let Some(running) = guard.as_mut().and_then(|current| current.running.as_mut()) else { return };
        if phase::is_stopping() {
            return;
        }
        let pid = running.generation.pid().unwrap_or(0);
        log::server(
            main,
            Level::Error,
            format_args!(
                "{DIED}: The supervisor (pid={pid}) of the daemon process groups has died (exit code or signal {status}); \
                 their processes go on, and another supervisor takes over"
            ),
        );
        let lived = running.since.elapsed();
        running.failures = if lived < SOUND { running.failures + 1 } else { 0 };
        // The first is replaced at once.
        let pause = match running.failures {
            0 | 1 => Duration::ZERO,
            more => PAUSE.saturating_mul(1 << (more - 2).min(16)).min(LONGEST_PAUSE),
        };
        running.due = Some(Instant::now() + pause);
        running.replace_when_due(main);
    };
    catch!((), body());
}

/// httpd's parent looks after its children, every few seconds.
unsafe extern "C" fn monitor(_pool: *mut ffi::apr_pool_t, main: *mut ffi::server_rec) -> c_int {
    // SAFETY: httpd passes the main server.
    let main = unsafe { Server::from_raw(main) };
    let body = || {
        if let Some(running) = current().as_mut().and_then(|current| current.running.as_mut()) {
            running.replace_when_due(main);
        }
        ffi::OK
    };
    catch!(ffi::OK, body())
}

impl Running {
    /// Starts another supervisor in the place of the one that has died.
    fn replace_when_due(&mut self, main: Server<'_>) {
        if self.due.is_none_or(|due| Instant::now() < due) {
            return;
        }
        self.since = Instant::now();
        match self.generation.restart() {
            Ok(pid) => {
                self.due = None;
                // SAFETY: httpd sets it before it calls any hook, and the pool lives as long as the configuration.
                let pool = unsafe { Pool::from_raw((*(*main.as_raw()).process).pconf) };
                watch::register(pool, pid, supervisor_changed);
            }
            Err(error) => {
                self.due = Some(Instant::now() + LONGEST_PAUSE);
                log::server(
                    main,
                    Level::Critical,
                    format_args!(
                        "{RESTART}: {error}; the next attempt is in {} seconds, and until then processes of daemon groups \
                         that end are not replaced",
                        LONGEST_PAUSE.as_secs()
                    ),
                );
            }
        }
    }
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
        let patience = farewell(&running.generation);
        match running.generation.end() {
            Some(pid) if phase::is_exiting() => watch::await_end(pid, patience),
            Some(pid) => watch::add_elder(directives::main_server(), pid),
            None => {}
        }
    };
    catch!((), body());
    ffi::APR_SUCCESS
}

/// How long processes may take to end with the server.
fn farewell(generation: &Generation) -> Duration {
    let longest = generation
        .plan()
        .groups
        .iter()
        .map(|group| group.limits.shutdown.unwrap_or(LONGEST_FAREWELL))
        .max()
        .unwrap_or_default();
    // The supervisor ends after the last of them.
    longest.min(LONGEST_FAREWELL) + Duration::from_secs(1)
}

/// A child has been forked.
unsafe extern "C" fn child_init(_child: *mut ffi::apr_pool_t, main: *mut ffi::server_rec) {
    // SAFETY: httpd passes the main server.
    let main = unsafe { Server::from_raw(main) };
    catch!((), enter_child(main));
}

fn enter_child(main: Server<'_>) {
    let settings = directives::process(main);
    let mut guard = current();
    let Some(Current { parent, sockets, running }) = guard.as_mut() else { return };
    let mut groups = Groups::default();
    for (place, (group, socket)) in settings.daemon_groups.iter().zip(sockets).enumerate() {
        let board = running.as_ref().and_then(|running| {
            let place = (*running.places.get(place)?)?;
            Board::open(running.generation.board(place)?).ok()
        });
        clients::add(&mut groups, main, group, socket, board);
    }
    groups.install();
    // With -X there is no other process.
    if let Some(running) = running
        && *parent != std::process::id()
    {
        running.generation.enter_child();
        // SAFETY: this process is a copy of the parent's, and comes here once.
        unsafe { running.lifeline.close() };
    }
}
