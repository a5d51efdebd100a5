//! Python's beginning and end: started in each of httpd's children after the fork, ended with the child.

#![allow(unsafe_code, reason = "hooks that httpd calls")]

use std::cell::Cell;
use std::ffi::c_void;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;

use oxwsgi_core::abi::{Header, Import, Log, LogSink, Start};
use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::config::ProcessSettings;
use oxwsgi_core::report::{Level, Number};

use crate::apache::discovery::{self, Found};
use crate::apache::phase::is_single_process;
use crate::apache::pool::Pool;
use crate::apache::record::Server;
use crate::apache::{directives, ffi, log, request, software};
use crate::embed::{self, Runtime};

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
    // SAFETY: a function of the type that the hook calls; there are no neighbours to name.
    unsafe { ffi::ap_hook_child_init(Some(child_init), ptr::null(), ptr::null(), ffi::APR_HOOK_MIDDLE) }
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
    let Some((found, module)) = discovery::embedded() else { return };
    let settings = directives::process(main);
    // SAFETY: the child is forked and has dropped its privileges; its main thread runs the cleanup as well.
    match unsafe { launch(found, module, settings) } {
        Ok(runtime) => {
            let runtime = RUNTIME.get_or_init(|| runtime);
            // SAFETY: the cleanup needs no data.
            unsafe { pool.on_clear(ptr::null_mut(), stop_python) };
            for import in settings.imports_of(b"") {
                runtime.import(&Import {
                    script: (&*import.script).into(),
                    script_kind: import.script_kind,
                    callable: (&*import.callable).into(),
                    factory: import.factory,
                    application_group: (&*import.application_group).into(),
                });
            }
        }
        Err(error) => {
            const NUMBER: Number = Number(1103);
            log::server(main, Level::Critical, format_args!("{NUMBER}: {error}"));
        }
    }
}

/// # Safety
/// As [`Runtime::start`].
unsafe fn launch(
    found: &Found,
    module: &Path,
    settings: &ProcessSettings,
) -> Result<Runtime, embed::LoadError> {
    let python = settings.resolve();
    let maximum = |what| {
        let mut number = 0;
        // SAFETY: writes to our own variable.
        unsafe { ffi::ap_mpm_query(what, &raw mut number) };
        u32::try_from(number).unwrap_or(0).max(1)
    };
    let maximum_processes = maximum(ffi::AP_MPMQ_MAX_DAEMONS);
    let threads_per_process = maximum(ffi::AP_MPMQ_MAX_THREADS);
    let server = software::facts();
    let start = Start {
        header: Header::of::<Start<'_>>(),
        executable: found.python.executable.as_os_str().as_bytes().into(),
        log: LogSink::of::<ServerLog>(),
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
        server_version: server.version,
        server_description: (&*server.description).into(),
        mpm_name: (&*server.mpm_name).into(),
        server_built: (&*server.built).into(),
    };
    // SAFETY: the caller's word.
    unsafe { Runtime::start(&found.python, &found.runtime, module, &start) }
}

/// httpd's log, for what belongs to no request.
struct ServerLog;

impl Log for ServerLog {
    fn write(level: Level, line: &[u8]) {
        log::server_line(directives::main_server(), level, line);
    }
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
