//! Which Python the children will run: asked by httpd's parent process, once a start.
//!
//! httpd reads its configuration twice at start. Only in the first pass does an error reach the terminal and the exit
//! status, for httpd then detaches; so the home is asked in the first pass, and the second one takes the answer over.
//! In between httpd unloads this module: what is to outlast that is plain bytes in httpd's own memory.

#![allow(unsafe_code, reason = "hooks that httpd calls, and memory that outlasts this module")]

use std::ffi::{CStr, CString, OsStr, c_int, c_void};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use oxwsgi_core::config::ProcessSettings;
use oxwsgi_core::home::{Python, Question, RuntimeFiles};
use oxwsgi_core::os::Account;
use oxwsgi_core::report::{Level, Number};

use crate::apache::pool::Pool;
use crate::apache::record::{self, Server};
use crate::apache::{directives, ffi, log};
use crate::embed;

/// The level of compatibility, first in the server's banner, for what looks for it there.
const COMPATIBLE: &CStr = c"mod_wsgi/6.0.5";
/// Ourselves.
const OWN: &str = concat!("oxwsgi/", env!("CARGO_PKG_VERSION"));

/// Under this name the first pass leaves its answer in the pool of the process.
const KEPT: &CStr = c"oxwsgi-python";

/// What the last reading of the configuration has led to; in the pool of that configuration.
static CONCLUSION: AtomicPtr<Conclusion> = AtomicPtr::new(ptr::null_mut());

/// What the children are to do.
#[derive(Debug)]
enum Conclusion {
    /// Start this Python.
    Use(Found),
    /// Do without; this is why.
    Lack(Level, String),
}

/// The Python that was asked for and the runtime that fits it.
#[derive(Debug)]
pub struct Found {
    /// The Python.
    pub python: Python,
    /// The runtime's file.
    pub runtime: PathBuf,
    /// The folder of this module, for messages.
    pub module: PathBuf,
}

/// The Python that children are to start.
pub fn found<'a>() -> Option<&'a Found> {
    match conclusion() {
        Some(Conclusion::Use(found)) => Some(found),
        _ => None,
    }
}

fn conclusion<'a>() -> Option<&'a Conclusion> {
    // SAFETY: null, or in the pool of the configuration in force, and never changed.
    unsafe { CONCLUSION.load(Ordering::Acquire).as_ref() }
}

/// Registers the hooks.
pub fn register_hooks() {
    // SAFETY: a function of the type that the hook calls; there are no neighbours to name.
    unsafe { ffi::ap_hook_check_config(Some(check_config), ptr::null(), ptr::null(), ffi::APR_HOOK_LAST) }
    // SAFETY: as above.
    unsafe { ffi::ap_hook_post_config(Some(post_config), ptr::null(), ptr::null(), ffi::APR_HOOK_MIDDLE) }
}

/// Where httpd is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// `httpd -t`.
    Test,
    /// Prints something about the configuration.
    Other,
    /// The first pass of a start.
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
        let mode = state(ffi::AP_SQ_RUN_MODE);
        let (trial, generation) = (ffi::AP_SQ_MS_CREATE_PRE_CONFIG, state(ffi::AP_SQ_CONFIG_GEN));
        match state(ffi::AP_SQ_MAIN_STATE) {
            _ if mode == ffi::AP_SQ_RM_CONFIG_TEST => Self::Test,
            _ if mode != ffi::AP_SQ_RM_NORMAL => Self::Other,
            pass if pass == trial => Self::Trial,
            // The trial is generation 0.
            _ if generation <= 1 => Self::Start,
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
    catch!(ffi::HTTP_INTERNAL_SERVER_ERROR, conclude(pool, main, Phase::now()))
}

fn conclude(pool: Pool<'_>, main: Server<'_>, phase: Phase) -> c_int {
    const NUMBER: Number = Number(1102);
    CONCLUSION.store(ptr::null_mut(), Ordering::Release);
    let settings = directives::process(main);
    if phase == Phase::Other || !settings.needs_embedded_python() {
        return ffi::OK;
    }
    let kept = Kept::of(main, settings);
    let module = embed::own_folder(|folder| !RuntimeFiles::beside(folder).is_empty());
    let known = if phase == Phase::Start { kept.take() } else { None };
    let answer =
        known.unwrap_or_else(|| question(settings, &module).ask().map_err(|error| error.to_string()));

    // A home that was named or is needed for sure stops a start. Otherwise, and at a restart, other sites go on.
    let is_used = settings.python_home.is_some() || !settings.imports.is_empty() || has_aliases(main);
    if let Err(text) = &answer
        && is_used
        && phase != Phase::Restart
    {
        log::server(main, Level::Critical, format_args!("{NUMBER}: {text}"));
        return ffi::HTTP_INTERNAL_SERVER_ERROR;
    }
    if phase == Phase::Trial {
        kept.leave(&answer);
        return ffi::OK;
    }
    let conclusion = match answer {
        Ok((python, runtime)) => Conclusion::Use(Found { python, runtime, module }),
        Err(text) => {
            let level = if is_used { Level::Critical } else { Level::Warning };
            Conclusion::Lack(level, format!("{NUMBER}: {text}; WSGI requests will be answered with 500"))
        }
    };
    CONCLUSION.store(pool.place(conclusion), Ordering::Release);
    ffi::OK
}

fn has_aliases(main: Server<'_>) -> bool {
    let mut hosts = std::iter::successors(Some(main), |server| server.next());
    hosts.any(|server| !directives::server(server).script_aliases.is_empty())
}

fn question(settings: &ProcessSettings, module: &Path) -> Question {
    let home = settings.python_home.as_deref().map(|home| Path::new(OsStr::from_bytes(home)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let question = Question::new("WSGIPythonHome", home, &path, RuntimeFiles::beside(module));
    if !Account::may_change() {
        return question;
    }
    let unixd = user();
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

/// `User`, `Group` and `ChrootDir`.
fn user() -> ffi::unixd_config_rec {
    // SAFETY: read by value, on the thread that reads the configuration.
    unsafe { ffi::ap_unixd_config }
}

type Answer = Result<(Python, PathBuf), String>;

/// The place where the first pass leaves its answer for the second.
#[derive(Clone, Copy)]
struct Kept<'a> {
    process: Pool<'a>,
    /// Of the home and the account: a configuration that reads differently the second time has a question of its own.
    key: u64,
}

impl<'a> Kept<'a> {
    fn of(main: Server<'a>, settings: &ProcessSettings) -> Self {
        // SAFETY: the handle's record is alive, and the process's record lasts for ever.
        let process = unsafe { (*(*main.as_raw()).process).pool };
        let unixd = user();
        let mut hasher = DefaultHasher::new();
        (&settings.python_home, unixd.user_id, unixd.group_id).hash(&mut hasher);
        // SAFETY: the parent's only thread reads the configuration.
        Self { process: unsafe { Pool::from_raw(process) }, key: hasher.finish() }
    }

    /// One text: the key, the runtime's path and the Python, or what is wrong.
    fn leave(self, answer: &Answer) {
        let mut text = format!("{:016x}", self.key).into_bytes();
        match answer {
            Ok((python, runtime)) => {
                text.push(b'+');
                text.extend_from_slice(runtime.as_os_str().as_bytes());
                text.push(b'\n');
                text.extend_from_slice(&python.to_text());
            }
            Err(error) => {
                text.push(b'-');
                text.extend_from_slice(error.as_bytes());
            }
        }
        self.set(self.process.c_text(&text).cast());
    }

    fn take(self) -> Option<Answer> {
        let mut data: *mut c_void = ptr::null_mut();
        // SAFETY: C text, and our own variable.
        unsafe { ffi::apr_pool_userdata_get(&raw mut data, KEPT.as_ptr(), self.process.as_raw()) };
        self.set(ptr::null());
        // SAFETY: null, or the C text that `leave` has put there.
        let text = unsafe { record::bytes(data.cast()) }?;
        let (key, text) = text.split_at_checked(16)?;
        if key != format!("{:016x}", self.key).as_bytes() {
            return None;
        }
        match text.split_first()? {
            (b'+', text) => {
                let (runtime, python) = text.split_at(text.iter().position(|byte| *byte == b'\n')?);
                Some(Ok((Python::from_text(python)?, OsStr::from_bytes(runtime).into())))
            }
            (_, text) => Some(Err(String::from_utf8_lossy(text).into_owned())),
        }
    }

    fn set(self, data: *const c_void) {
        // SAFETY: data of the same pool, and no cleanup, which would be code of ours.
        unsafe { ffi::apr_pool_userdata_set(data, KEPT.as_ptr(), None, self.process.as_raw()) };
    }
}

/// The logs are open: says what is lacking, and adds to the server's banner.
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
    catch!(ffi::HTTP_INTERNAL_SERVER_ERROR, announce(pool, main))
}

fn announce(pool: Pool<'_>, main: Server<'_>) -> c_int {
    if Phase::now() == Phase::Trial {
        return ffi::OK;
    }
    let mut components = vec![COMPATIBLE.to_bytes().to_vec(), OWN.into()];
    match conclusion() {
        Some(Conclusion::Use(found)) => {
            let (major, minor, _) = found.python.version;
            components.push(format!("Python/{major}.{minor}").into());
        }
        Some(Conclusion::Lack(level, text)) => log::server(main, *level, text),
        None => {}
    }
    for component in components {
        let component = pool.c_text(&component);
        // SAFETY: both are alive; httpd copies the component.
        unsafe { ffi::ap_add_version_component(pool.as_raw(), component) };
    }
    ffi::OK
}
