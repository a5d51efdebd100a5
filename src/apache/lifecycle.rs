//! From the server's start to a child's end: which Python, asked for by the parent; Python itself, started in each child
//! and ended with it.
//!
//! httpd reads its configuration twice at start, and unloads this module in between. The home is asked in the first
//! pass and answers while httpd goes on; the second pass takes the answer, when errors still reach the terminal.

#![allow(unsafe_code, reason = "hooks that httpd calls")]

use std::cell::Cell;
use std::ffi::{CStr, CString, OsStr, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use oxwsgi_core::abi::{Header, Import, Start};
use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::config::ProcessSettings;
use oxwsgi_core::home::{HomeError, Python, Question, RuntimeFiles};
use oxwsgi_core::os::{Account, Running};
use oxwsgi_core::report::{Level, Number};

use crate::apache::pool::Pool;
use crate::apache::record::{self, Server};
use crate::apache::{directives, ffi, log, request};
use crate::embed::{self, Runtime};

/// The level of compatibility, first in the server's banner, for what looks for it there.
const COMPATIBLE: &CStr = c"mod_wsgi/6.0.5";
/// Ourselves.
const OWN: &str = concat!("oxwsgi/", env!("CARGO_PKG_VERSION"));

/// Under this name the question under way is kept in the process's own pool, where the second pass finds it.
const UNDER_WAY: &CStr = c"oxwsgi-question";

/// What the parent has found out, for its children; lives as long as the configuration.
static FOUND: AtomicPtr<Found> = AtomicPtr::new(ptr::null_mut());

/// Python in this child.
static RUNTIME: OnceLock<Runtime> = OnceLock::new();

thread_local! {
    /// Whether this thread is serving a request.
    static SERVING: Cell<bool> = const { Cell::new(false) };
}

/// Python in this process, when it runs.
#[inline]
pub fn runtime() -> Option<&'static Runtime> {
    RUNTIME.get()
}

/// Marks this thread while `serve` runs.
#[inline]
pub fn while_serving<R>(serve: impl FnOnce() -> R) -> R {
    let before = SERVING.replace(true);
    let result = serve();
    SERVING.set(before);
    result
}

/// Registers the hooks.
pub fn register_hooks() {
    // SAFETY: functions of the types that the hooks call; there are no neighbours to name.
    unsafe {
        ffi::ap_hook_check_config(Some(check_config), ptr::null(), ptr::null(), ffi::APR_HOOK_LAST);
        ffi::ap_hook_post_config(Some(post_config), ptr::null(), ptr::null(), ffi::APR_HOOK_MIDDLE);
        ffi::ap_hook_child_init(Some(child_init), ptr::null(), ptr::null(), ffi::APR_HOOK_MIDDLE);
    }
}

/// The Python that was asked for and the runtime that fits it.
#[derive(Debug)]
struct Found {
    python: Python,
    runtime: PathBuf,
    module: PathBuf,
}

/// Where httpd is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// `httpd -t`: errors are what it is for.
    Test,
    /// Prints something about the configuration.
    Other,
    /// The first pass of a start, a trial.
    Trial,
    /// The second pass of a start.
    Start,
    /// A restart, with other people's sites running.
    Restart,
}

impl Phase {
    fn now() -> Self {
        // SAFETY: plain values.
        let state = |what| unsafe { ffi::ap_state_query(what) };
        match (state(ffi::AP_SQ_RUN_MODE), state(ffi::AP_SQ_MAIN_STATE), state(ffi::AP_SQ_CONFIG_GEN)) {
            (ffi::AP_SQ_RM_CONFIG_TEST, ..) => Self::Test,
            (mode, ..) if mode != ffi::AP_SQ_RM_NORMAL => Self::Other,
            (_, ffi::AP_SQ_MS_CREATE_PRE_CONFIG, _) => Self::Trial,
            // The trial is generation 0.
            (.., generation) if generation <= 1 => Self::Start,
            _ => Self::Restart,
        }
    }
}

/// The configuration has been read, and nothing been done yet.
unsafe extern "C" fn check_config(
    configuration: *mut ffi::apr_pool_t,
    _log: *mut ffi::apr_pool_t,
    _temporary: *mut ffi::apr_pool_t,
    main: *mut ffi::server_rec,
) -> c_int {
    // SAFETY: httpd passes the pool of the configuration, on the only thread that uses it.
    let pool = unsafe { Pool::from_raw(configuration) };
    // SAFETY: httpd passes the main server.
    let main = unsafe { Server::from_raw(main) };
    catch!(ffi::HTTP_INTERNAL_SERVER_ERROR, find_python(pool, main, Phase::now()))
}

fn find_python(pool: Pool<'_>, main: Server<'_>, phase: Phase) -> c_int {
    let settings = directives::process(main);
    let parking = Parking::of(main);
    FOUND.store(ptr::null_mut(), Ordering::Release);
    if phase == Phase::Other || !settings.needs_embedded_python() {
        return ffi::OK;
    }
    let module = embed::own_folder(|folder| !RuntimeFiles::beside(folder).is_empty());
    let question = question(settings, &module);
    let answer = match phase {
        Phase::Trial => match question.launch() {
            Ok(running) => {
                parking.leave(settings, running);
                return ffi::OK;
            }
            // The second pass says so, once.
            Err(_) => return ffi::OK,
        },
        Phase::Start => match parking.take(settings) {
            Some(running) => question.collect(running),
            None => question.ask(),
        },
        _ => question.ask(),
    };
    match answer {
        Ok((python, runtime)) => {
            let found = pool.place(Found { python, runtime, module });
            FOUND.store(found, Ordering::Release);
            ffi::OK
        }
        Err(error) => complain(main, settings, phase, &error),
    }
}

/// A home that was named, or that is needed for sure, stops a start; otherwise, and at a restart, other sites go on.
fn complain(main: Server<'_>, settings: &ProcessSettings, phase: Phase, error: &HomeError) -> c_int {
    const NUMBER: Number = Number(1002);
    let is_used = settings.python_home.is_some() || !settings.imports.is_empty() || has_aliases(main);
    if is_used && phase != Phase::Restart {
        log::server(main, Level::Critical, format_args!("{NUMBER}: {error}"));
        return ffi::HTTP_INTERNAL_SERVER_ERROR;
    }
    let level = if is_used { Level::Critical } else { Level::Warning };
    log::server(main, level, format_args!("{NUMBER}: {error}; WSGI requests will be answered with 500"));
    ffi::OK
}

fn has_aliases(main: Server<'_>) -> bool {
    let hosts = std::iter::successors(Some(main), |server| server.next());
    hosts.into_iter().any(|server| !directives::server(server).script_aliases.is_empty())
}

fn question(settings: &ProcessSettings, module: &Path) -> Question {
    let home = settings.python_home.as_deref().map(|home| Path::new(OsStr::from_bytes(home)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let question = Question::new("WSGIPythonHome", home, &path, RuntimeFiles::beside(module));
    if !Account::may_change() {
        return question;
    }
    // SAFETY: httpd's own settings, read while the configuration is, on one thread.
    let unixd = unsafe { ffi::ap_unixd_config };
    // SAFETY: null, or C text of the configuration.
    let name = unsafe { record::bytes(unixd.user_name) }.unwrap_or_default();
    let account = match (name, CString::new(name)) {
        ([b'#', ..], _) | (_, Err(_)) => Account::of_uid(unixd.user_id, unixd.group_id),
        (_, Ok(name)) => Account::new(unixd.user_id, unixd.group_id, Some(&name)),
    };
    // SAFETY: as above.
    let root = unsafe { record::bytes(unixd.chroot_dir) }.and_then(|root| CString::new(root).ok());
    question.account(account, String::from_utf8_lossy(name).into_owned(), root)
}

/// A question under way, kept across the unloading of this module as plain numbers.
#[derive(Clone, Copy)]
struct Parking<'a> {
    process: Pool<'a>,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Parked {
    running: [c_int; 4],
    /// Of the home and the account it was asked as.
    key: u64,
}

impl<'a> Parking<'a> {
    fn of(main: Server<'a>) -> Self {
        // SAFETY: the handle's record is alive, and the process's record lasts for ever.
        let process = unsafe { (*(*main.as_raw()).process).pool };
        // SAFETY: the parent's only thread reads the configuration.
        Self { process: unsafe { Pool::from_raw(process) } }
    }

    fn leave(self, settings: &ProcessSettings, running: Running) {
        let parked = Parked { running: running.into_numbers(), key: key(settings) };
        let room = self.process.room::<Parked>(1);
        let data = ptr::from_mut(room[0].write(parked)).cast();
        // SAFETY: plain numbers in the same pool, and no cleanup that would be code of ours.
        unsafe { ffi::apr_pool_userdata_set(data, UNDER_WAY.as_ptr(), None, self.process.as_raw()) };
    }

    fn take(self, settings: &ProcessSettings) -> Option<Running> {
        let mut data: *mut c_void = ptr::null_mut();
        // SAFETY: C text, and our own variable.
        unsafe { ffi::apr_pool_userdata_get(&raw mut data, UNDER_WAY.as_ptr(), self.process.as_raw()) };
        // SAFETY: null, or what `leave` has put there, by this build or another of the same name and layout.
        let parked = *unsafe { data.cast::<Parked>().as_ref() }?;
        // SAFETY: as in `leave`.
        unsafe {
            ffi::apr_pool_userdata_set(ptr::null(), UNDER_WAY.as_ptr(), None, self.process.as_raw());
        }
        // SAFETY: numbers of this process, forgotten just now.
        let running = unsafe { Running::from_numbers(parked.running) };
        // A configuration that reads differently the second time gets a question of its own.
        (parked.key == key(settings)).then_some(running)
    }
}

fn key(settings: &ProcessSettings) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};

    let mut hasher = DefaultHasher::new();
    settings.python_home.hash(&mut hasher);
    // SAFETY: httpd's own settings, read while the configuration is, on one thread.
    let unixd = unsafe { ffi::ap_unixd_config };
    (unixd.user_id, unixd.group_id).hash(&mut hasher);
    hasher.finish()
}

/// The logs are open: adds to the server's banner.
unsafe extern "C" fn post_config(
    configuration: *mut ffi::apr_pool_t,
    _log: *mut ffi::apr_pool_t,
    _temporary: *mut ffi::apr_pool_t,
    _main: *mut ffi::server_rec,
) -> c_int {
    if Phase::now() == Phase::Trial {
        return ffi::OK;
    }
    let add = |component: &CStr| {
        // SAFETY: httpd passes the pool of the configuration; the component is copied.
        unsafe { ffi::ap_add_version_component(configuration, component.as_ptr()) };
    };
    let body = || {
        add(COMPATIBLE);
        let python = found().map(|found| found.python.version);
        let python = python.map(|(major, minor, _)| format!("Python/{major}.{minor}"));
        for component in [Some(OWN.to_owned()), python].into_iter().flatten() {
            if let Ok(component) = CString::new(component) {
                add(&component);
            }
        }
        ffi::OK
    };
    catch!(ffi::HTTP_INTERNAL_SERVER_ERROR, body())
}

fn found<'a>() -> Option<&'a Found> {
    // SAFETY: null, or in the pool of the configuration that is in force, and never changed.
    unsafe { FOUND.load(Ordering::Acquire).as_ref() }
}

/// A child has been forked and has dropped its privileges.
unsafe extern "C" fn child_init(child: *mut ffi::apr_pool_t, main: *mut ffi::server_rec) {
    // SAFETY: httpd passes the child's own pool, on its main thread.
    let pool = unsafe { Pool::from_raw(child) };
    // SAFETY: httpd passes the main server.
    let main = unsafe { Server::from_raw(main) };
    catch!((), start_python(pool, main));
}

fn start_python(pool: Pool<'_>, main: Server<'_>) {
    request::note_process_id();
    let Some(found) = found() else { return };
    let settings = directives::process(main);
    // SAFETY: the child is forked and has dropped its privileges; its main thread runs the cleanup as well.
    match unsafe { launch(found, settings) } {
        Ok(runtime) => {
            let runtime = RUNTIME.get_or_init(|| runtime);
            // SAFETY: the cleanup needs no data.
            unsafe { pool.on_clear(ptr::null_mut(), stop_python) };
            for import in &settings.imports {
                runtime.import(&Import {
                    script: (&*import.script).into(),
                    application_group: (&*import.application_group).into(),
                });
            }
        }
        Err(error) => {
            const NUMBER: Number = Number(1003);
            log::server(main, Level::Critical, format_args!("{NUMBER}: {error}"));
        }
    }
}

/// # Safety
/// As [`Runtime::start`].
unsafe fn launch(found: &Found, settings: &ProcessSettings) -> Result<Runtime, embed::LoadError> {
    let python = settings.resolve();
    let maximum = |what| {
        let mut number = 0;
        // SAFETY: writes to our own variable.
        unsafe { ffi::ap_mpm_query(what, &raw mut number) };
        u32::try_from(number).unwrap_or(0).max(1)
    };
    let maximum_processes = maximum(ffi::AP_MPMQ_MAX_DAEMONS);
    let threads_per_process = maximum(ffi::AP_MPMQ_MAX_THREADS);
    let mut version = ffi::ap_version_t { major: 0, minor: 0, patch: 0, add_string: ptr::null() };
    // SAFETY: writes to our own variable.
    unsafe { ffi::ap_get_server_revision(&raw mut version) };
    // SAFETY: C text that lasts as long as the configuration.
    let (description, mpm, built) = unsafe {
        (text(ffi::ap_get_server_description()), text(ffi::ap_show_mpm()), text(ffi::ap_get_server_built()))
    };
    let start = Start {
        header: Header::of::<Start<'_>>(),
        executable: found.python.executable.as_os_str().as_bytes().into(),
        log: write_log,
        log_level: log::main_server_level(),
        python_path: (&*python.path).into(),
        python_eggs: python.eggs,
        python_warnings: (&*python.warnings).into(),
        python_optimize: python.optimize,
        python_hash_seed: python.hash_seed,
        dont_write_bytecode: python.dont_write_bytecode,
        switch_interval: python.switch_interval,
        restrict_stdin: python.restrict_stdin,
        restrict_stdout: python.restrict_stdout,
        restrict_signal: python.restrict_signal,
        single_process: is_single_process(),
        destroy_interpreter: python.destroy_interpreter,
        case_sensitivity: settings.case_sensitivity(),
        multithread: threads_per_process != 1,
        multiprocess: maximum_processes != 1,
        process_group: Bytes::EMPTY,
        maximum_processes,
        threads_per_process,
        server_version: [version.major, version.minor, version.patch]
            .map(|part| u32::try_from(part).unwrap_or(0)),
        server_description: description.into(),
        mpm_name: mpm.into(),
        server_built: built.into(),
    };
    // SAFETY: the caller's word.
    unsafe { Runtime::start(&found.python, &found.runtime, &found.module, &start) }
}

/// `httpd -X`.
fn is_single_process() -> bool {
    // SAFETY: C text.
    [c"DEBUG", c"ONE_PROCESS"].iter().any(|name| unsafe { ffi::ap_exists_config_define(name.as_ptr()) } != 0)
}

/// # Safety
/// As [`record::bytes`], and the text lasts as long as the configuration.
unsafe fn text(text: *const std::ffi::c_char) -> &'static [u8] {
    // SAFETY: the caller's word.
    unsafe { record::bytes(text) }.unwrap_or_default()
}

/// For the runtime: a line outside any request.
unsafe extern "C" fn write_log(level: Level, start: *const u8, length: usize) {
    // SAFETY: the runtime passes a slice's parts.
    let line = unsafe { std::slice::from_raw_parts(start, length) };
    catch!((), log::server_line(directives::main_server(), level, line));
}

/// The child's pool is being cleared: its last act.
unsafe extern "C" fn stop_python(_data: *mut c_void) -> ffi::apr_status_t {
    let body = || {
        // The prefork MPM ends a child from a signal's handler, which may have come upon a request being served: then
        // Python's lock is this thread's own, and nothing of Python may be called.
        if let Some(runtime) = RUNTIME.get().filter(|_| !SERVING.get()) {
            runtime.stop();
        }
        ffi::APR_SUCCESS
    };
    catch!(ffi::APR_SUCCESS, body())
}
