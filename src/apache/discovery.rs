//! Which Python httpd's children and the daemon groups will run: asked by httpd's parent process, once a start.
//!
//! httpd reads its configuration twice at start. Only in the first pass does an error reach the terminal and the exit
//! status, for httpd then detaches; so homes are asked in the first pass, and the second one takes the answers over.

#![allow(unsafe_code, reason = "hooks that httpd calls, and what is in the pool of its configuration")]

use std::ffi::{CStr, c_int};
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use oxwsgi_core::config::ProcessSettings;
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::home::RuntimeFiles;
use oxwsgi_core::report::{Level, Number};

use crate::apache::kept::Kept;
use crate::apache::phase::Phase;
use crate::apache::pool::Pool;
use crate::apache::record::Server;
use crate::apache::{account, directives, ffi, log};
use crate::daemon::inquiry::{Answer, Answers, Found, Inquiry};
use crate::embed;

/// The level of compatibility, first in the server's banner, for what looks for it there.
const COMPATIBLE: &CStr = c"mod_wsgi/6.0.5";
/// Ourselves.
const OWN: &str = concat!("oxwsgi/", env!("CARGO_PKG_VERSION"));

/// Under this name the first pass leaves its answers.
const KEPT: &CStr = c"oxwsgi-pythons";

/// What the last reading of the configuration has led to; in the pool of that configuration.
static CONCLUSION: AtomicPtr<Conclusion> = AtomicPtr::new(ptr::null_mut());

#[derive(Debug)]
struct Conclusion {
    /// The folder of this module.
    module: PathBuf,
    children: Embedded,
    /// One for each daemon group, in order; none for a group that cannot run.
    groups: Vec<Option<Found>>,
}

/// What the children are to do.
#[derive(Debug)]
enum Embedded {
    /// Nothing needs Python there.
    Unwanted,
    /// Start this Python.
    Use(Found),
    /// Do without; this is why.
    Lack(Level, String),
}

/// The Python that children are to start, and the folder of this module for messages.
pub fn embedded<'a>() -> Option<(&'a Found, &'a PathBuf)> {
    match conclusion()? {
        Conclusion { module, children: Embedded::Use(found), .. } => Some((found, module)),
        _ => None,
    }
}

/// The Python of the daemon group of this place in the configuration; none when it has none that runs.
pub fn of_group<'a>(place: usize) -> Option<&'a Found> {
    conclusion()?.groups.get(place)?.as_ref()
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
    const EMBEDDED: Number = Number(1102);
    const GROUP: Number = Number(1150);
    CONCLUSION.store(ptr::null_mut(), Ordering::Release);
    if phase == Phase::Other {
        return ffi::OK;
    }
    let settings = directives::process(main);
    let module = embed::own_folder(|folder| !RuntimeFiles::beside(folder).is_empty());
    let mut inquiry = Inquiry::new(Dialect::Httpd, &module);
    let home = settings.python_home.as_deref();
    let embedded = settings.needs_embedded_python().then(|| inquiry.for_server(home, account::of_server()));
    let groups: Vec<_> = settings
        .daemon_groups
        .iter()
        .map(|group| Ok(inquiry.for_group(group, home, account::of_group(group)?.as_ref())))
        .collect();
    let kept = Kept::new(main, KEPT);
    // A configuration that reads differently the second time has questions of its own.
    let known = kept.get().filter(|_| phase == Phase::Start).map(Answers::from_bytes).unwrap_or_default();
    kept.clear();
    let answers = inquiry.ask(known);

    let mut has_failed = false;
    let children = match embedded.map(|place| answers.get(place)) {
        None => Embedded::Unwanted,
        Some(Ok(found)) => Embedded::Use(found),
        Some(Err(text)) => {
            // A home that was named or is needed for sure stops a start. Otherwise, and at a restart, other sites go on.
            let is_used = uses_embedded(main, settings);
            if is_used && phase != Phase::Restart {
                log::server(main, Level::Critical, format_args!("{EMBEDDED}: {text}"));
                has_failed = true;
            }
            let level = match is_used {
                true => Level::Critical,
                false if settings.daemon_groups.is_empty() => Level::Warning,
                false => Level::Info,
            };
            Embedded::Lack(
                level,
                format!("{EMBEDDED}: {text}; WSGI requests in embedded mode will be answered with 500"),
            )
        }
    };
    let groups = settings.daemon_groups.iter().zip(groups).map(|(group, place)| {
        let answer: Answer = place.and_then(|place| answers.get(place));
        answer
            .inspect_err(|text| {
                let name = String::from_utf8_lossy(&group.name);
                let text = format!("{GROUP}: WSGIDaemonProcess {name}: {text}");
                if phase == Phase::Restart {
                    log::server(
                        main,
                        Level::Critical,
                        format_args!("{text}; its requests will be answered with 503"),
                    );
                } else {
                    log::server(main, Level::Critical, text);
                    has_failed = true;
                }
            })
            .ok()
    });
    let groups = groups.collect();
    if has_failed {
        return ffi::HTTP_INTERNAL_SERVER_ERROR;
    }
    if phase == Phase::Trial {
        kept.set(&answers.to_bytes());
        return ffi::OK;
    }
    CONCLUSION.store(pool.place(Conclusion { module, children, groups }), Ordering::Release);
    ffi::OK
}

/// Whether an application is meant to run in httpd's own processes, as far as the configuration tells. With daemon groups an
/// alias may be for one of them, and `WSGIPythonHome` theirs.
fn uses_embedded(main: Server<'_>, settings: &ProcessSettings) -> bool {
    let has_groups = !settings.daemon_groups.is_empty();
    let mut aliases = main.and_next().flat_map(|server| &directives::server(server).script_aliases);
    (settings.python_home.is_some() && !has_groups)
        || settings.imports_of(b"").next().is_some()
        || aliases.any(|alias| match &alias.options.process_group {
            None => !has_groups,
            Some(group) => group.fixed() == Some(b""),
        })
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
    match conclusion().map(|conclusion| &conclusion.children) {
        Some(Embedded::Use(found)) => {
            let (major, minor, _) = found.python.version;
            components.push(format!("Python/{major}.{minor}").into());
        }
        Some(Embedded::Lack(level, text)) => log::server(main, *level, text),
        Some(Embedded::Unwanted) | None => {}
    }
    for component in components {
        let component = pool.c_text(&component);
        // SAFETY: both are alive; httpd copies the component.
        unsafe { ffi::ap_add_version_component(pool.as_raw(), component) };
    }
    ffi::OK
}
