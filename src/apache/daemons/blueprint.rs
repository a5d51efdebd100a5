//! The plan of the daemon groups, from what is configured and what httpd knows besides.

#![allow(unsafe_code, reason = "asks httpd where files of its own go")]

use std::ffi::c_char;
use std::path::PathBuf;

use oxwsgi_core::config::{DaemonGroup, ProcessSettings};
use oxwsgi_core::daemon::{Draft, Handover, Plan};

use crate::apache::phase::Phase;
use crate::apache::pool::Pool;
use crate::apache::record::{self, Server};
use crate::apache::{account, discovery, error_log, ffi, software};
use crate::daemon::launch;
use crate::embed;

/// Longest path of a socket in bytes, with its NUL (`sockaddr_un`, `unix(7)`).
const LONGEST_SOCKET: usize = 108;

/// What a generation is started with.
#[derive(Debug)]
pub struct Blueprint {
    /// The supervisor's program.
    pub program: PathBuf,
    /// Its plan.
    pub plan: Plan,
    /// For each group of the configuration its place in the plan; none when it has no Python and is not there.
    pub places: Vec<Option<usize>>,
}

impl Blueprint {
    /// The blueprint of a generation, whose groups have these sockets.
    ///
    /// # Errors
    /// As [`check`]; or a group that root would run, which [`discovery`] refuses before.
    pub fn new(
        main: Server<'_>,
        settings: &ProcessSettings,
        sockets: &[Vec<u8>],
        phase: Phase,
    ) -> Result<Self, String> {
        check(settings, sockets)?;
        let (server_user, _) = account::server();
        let mut groups = Vec::new();
        let mut places = Vec::new();
        for (place, (group, socket)) in settings.daemon_groups.iter().zip(sockets).enumerate() {
            let Some(found) = discovery::of_group(place) else {
                places.push(None);
                continue;
            };
            let host = host(main, group);
            let draft = Draft {
                account: account::of_group(group)?,
                server_user,
                socket: socket.clone(),
                log: error_log::of(host),
                timeout: host.timeout(),
                executable: &found.python.executable,
                runtime: &found.runtime,
                environment: Vec::new(),
            };
            places.push(Some(groups.len()));
            groups.push(draft.complete(group, settings));
        }
        let plan = Plan {
            package_version: env!("CARGO_PKG_VERSION").to_owned(),
            strict: phase == Phase::Start,
            parent: Some(std::process::id()),
            server_user,
            log: error_log::of(main),
            server: software::facts(),
            groups,
        };
        Ok(Self { program: program(), plan, places })
    }
}

/// The server that defines a group, which has its log.
pub fn host<'a>(main: Server<'a>, group: &DaemonGroup) -> Server<'a> {
    main.and_next().find(|server| server.host() == group.host).unwrap_or(main)
}

/// Path of the socket of each group, of the generation that httpd is in.
pub fn sockets(pool: Pool<'_>, settings: &ProcessSettings) -> Vec<Vec<u8>> {
    let mut generation = 0;
    // SAFETY: writes to our own variable.
    unsafe { ffi::ap_mpm_query(ffi::AP_MPMQ_GENERATION, &raw mut generation) };
    let prefix = prefix(pool, settings);
    let parent = std::process::id();
    let name = |number| format!(".{parent}.{generation}.{number}.sock");
    (1..=settings.daemon_groups.len()).map(|number| [prefix, name(number).as_bytes()].concat()).collect()
}

fn prefix<'p>(pool: Pool<'p>, settings: &ProcessSettings) -> &'p [u8] {
    let relative = |place: unsafe extern "C" fn(*mut ffi::apr_pool_t, *const c_char) -> *mut c_char,
                    path: &[u8]| {
        let path = pool.c_text(path);
        // SAFETY: the pool is alive, and the path is C text in it.
        let whole = unsafe { place(pool.as_raw(), path) };
        // SAFETY: null, or C text in the pool.
        unsafe { record::bytes::<'p>(whole) }.or_else(|| {
            // SAFETY: C text in the pool. What httpd cannot make absolute is refused when it is used.
            unsafe { record::bytes::<'p>(path) }
        })
    };
    match &settings.socket_prefix {
        Some(prefix) => relative(ffi::ap_server_root_relative, prefix),
        None => relative(ffi::ap_runtime_dir_relative, b"wsgi"),
    }
    .unwrap_or_default()
}

/// What would keep the supervisor from starting, as far as it can be seen.
///
/// # Errors
/// Says what, and what to do about it.
pub fn check(settings: &ProcessSettings, sockets: &[Vec<u8>]) -> Result<(), String> {
    let longest = sockets.iter().max_by_key(|socket| socket.len()).map(Vec::as_slice).unwrap_or_default();
    let shown = String::from_utf8_lossy(longest);
    if longest.len() >= LONGEST_SOCKET || !longest.starts_with(b"/") {
        let what = match &settings.socket_prefix {
            Some(prefix) => format!("Invalid WSGISocketPrefix '{}'.", String::from_utf8_lossy(prefix)),
            None => "WSGISocketPrefix is not set.".to_owned(),
        };
        return Err(format!(
            "{what} The path of a socket would be {shown}, and must be absolute and shorter than {LONGEST_SOCKET} \
             bytes: set WSGISocketPrefix to a shorter one"
        ));
    }
    launch::look_at(&program()).map_err(|wrong| format!("WSGIDaemonProcess needs {wrong}"))
}

fn program() -> PathBuf {
    embed::own_folder(|folder| folder.join(Handover::PROGRAM).is_file()).join(Handover::PROGRAM)
}
