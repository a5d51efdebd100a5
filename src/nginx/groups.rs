//! The daemon groups of a configuration: started before it comes into force, known to the processes that serve requests, and
//! left to end when it goes.
//!
//! nginx's master ends when `init_module` fails, at a reload too. So the groups are started where a failure only means that
//! the old configuration stays: when the memory that it shares is made. They own a zone of it, for that alone.
//!
//! On nginx's only thread: in the master, and [`enter_process`] and [`ends`] in those that it forks.

#![allow(unsafe_code, reason = "called by nginx")]

mod blueprint;
mod core_settings;
mod discovery;
mod error_log;
mod running;

use std::ffi::{CStr, c_void};

use oxwsgi_client::ClientSettings;
use oxwsgi_core::daemon::board::Board;
use oxwsgi_core::os::signals::with_children_unnoticed;
use oxwsgi_core::report::Level;

use crate::nginx::config::MainConfig;
use crate::nginx::record::{self, Cycle, Reading};
use crate::nginx::{ffi, text};

use blueprint::Blueprint;
use core_settings::CoreSettings;
use running::Running;

/// The zone's name.
const ZONE: &CStr = c"oxwsgi";
/// Pages of a zone, which nginx has its own records in.
const PAGES: usize = 8;

/// A group as a process that serves requests reaches it.
#[derive(Debug)]
pub struct End {
    /// What a client needs to know of it.
    pub settings: ClientSettings,
    /// What all share that reach it.
    pub board: Option<Board>,
}

/// All of `http { }` has been read: has the groups started when the configuration is about to come into force.
///
/// # Errors
/// There is no memory.
pub fn announce(reading: Reading<'_>, settings: &MainConfig) -> Result<(), String> {
    if settings.groups.is_empty() {
        return Ok(());
    }
    let mut name = text::fixed(ZONE);
    // SAFETY: read by value; set when nginx starts.
    let size = PAGES * unsafe { ffi::ngx_pagesize };
    let tag = (&raw mut crate::nginx::ngx_http_oxwsgi_module).cast();
    // SAFETY: nginx is reading a configuration; it keeps a copy of the name's two words, whose text lasts for ever.
    let zone = unsafe { ffi::ngx_shared_memory_add(reading.as_raw(), &raw mut name, size, tag) };
    if zone.is_null() {
        return Err("no memory is left".to_owned());
    }
    // SAFETY: a record of the configuration that is being read, which nobody else has the address of.
    unsafe { (*zone).data = reading.cycle().as_raw().cast() };
    // SAFETY: as above.
    unsafe { (*zone).init = Some(start) };
    Ok(())
}

/// The configuration's logs are open, and its shared memory is being made. In the process that keeps the others, before it
/// becomes a daemon, and at a reload; also by `nginx -t`, which starts nothing.
unsafe extern "C" fn start(zone: *mut ffi::ngx_shm_zone_t, _before: *mut c_void) -> ffi::ngx_int_t {
    let body = || {
        // SAFETY: nginx passes the zone that `announce` made, whose data is the cycle that is being made.
        let cycle = unsafe { Cycle::from_raw((*zone).data.cast()) };
        let Some(settings) = MainConfig::of_cycle(cycle) else { return ffi::NGX_OK };
        match with_children_unnoticed(|| start_groups(cycle, settings)) {
            Ok(()) => ffi::NGX_OK,
            Err(failures) => {
                failures.iter().for_each(|failure| cycle.log().write(Level::Emergency, failure));
                ffi::NGX_ERROR
            }
        }
    };
    catch!(ffi::NGX_ERROR, body())
}

fn start_groups(cycle: Cycle<'_>, settings: &MainConfig) -> Result<(), Vec<String>> {
    let blueprint = Blueprint::new(cycle, settings)?;
    if record::is_test() {
        return Ok(());
    }
    let running = Running::launch(blueprint)?;
    running::install(cycle, settings, running).map_err(|error| vec![error.to_string()])
}

/// A process of nginx begins: a worker, one that cares for caches, or the only one of `master_process off`. It lets go of what
/// is the master's alone, and of what it does not need.
pub fn enter_process(cycle: Cycle<'_>) {
    if CoreSettings::of(cycle).has_master() {
        let served = MainConfig::of_cycle(cycle).filter(|_| record::serves_requests());
        // SAFETY: a process of a server with a master, which calls this once, is a copy of the master.
        unsafe { running::enter_child(served) };
    }
}

/// The groups of a configuration, in order, for a process that serves requests.
pub fn ends(settings: &MainConfig) -> Vec<End> {
    running::with(settings, |running| {
        let end = |(place, group)| {
            let board = running.board(place).and_then(|board| Board::open(board).ok());
            End { settings: blueprint::client(group, running.socket(place)), board }
        };
        settings.groups.iter().enumerate().map(end).collect()
    })
    .unwrap_or_default()
}
