//! The groups that run, of each configuration that this process knows, and what they are tied to the server with.
//!
//! nginx destroys a cycle's pool when another one is in force, when the cycle fails, and when a process ends: with it the groups
//! go. In the master they are told; they serve the requests of the cycle's workers to the end, whose copies of the drain
//! pipe tell them when that is.

#![allow(unsafe_code, reason = "called by nginx; descriptors of another process")]

use std::ffi::c_void;
use std::os::fd::BorrowedFd;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::blueprint::{Blueprint, LAUNCH};
use crate::daemon::launch::{Generation, LaunchError, Lifeline};
use crate::nginx::config::MainConfig;
use crate::nginx::ffi;
use crate::nginx::pool::OutOfMemory;
use crate::nginx::record::Cycle;

/// A keeper is ready when its supervisor is, which gets 40 seconds.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long the end of the server waits for groups whose own `shutdown_timeout` is off.
const LONGEST_FAREWELL: Duration = Duration::from_secs(30);

/// What this process holds. The lock is never waited for: there is one thread.
static HELD: Mutex<Held> = Mutex::new(Held { lifeline: None, generations: Vec::new() });

#[derive(Debug)]
struct Held {
    /// Made when it is first needed, and open as long as the process that reads configurations; none in others.
    lifeline: Option<Lifeline>,
    /// By the address of the settings that they are of, which is nobody else's before they end.
    generations: Vec<(usize, Running)>,
}

/// The groups of one configuration.
#[derive(Debug)]
pub struct Running(Generation);

fn held<'a>() -> MutexGuard<'a, Held> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    /// Starts the groups of a configuration, and waits until they are there.
    ///
    /// # Errors
    /// What keeps them from starting, for the log.
    pub fn launch(blueprint: Blueprint) -> Result<Self, Vec<String>> {
        let numbered = |text: String| format!("{LAUNCH}: {text}");
        let all = |text: String| vec![numbered(text)];
        let Blueprint { program, plan } = blueprint;
        let lifeline = lifeline().map_err(|error| all(format!("a pipe cannot be made: {error}")))?;
        let (generation, failures) =
            Generation::start_kept(&program, plan, lifeline, PATIENCE).map_err(|error| match error {
                LaunchError::Failed(failures) => failures.into_iter().map(numbered).collect(),
                error => all(error.to_string()),
            })?;
        // There are none where the first ends all.
        if failures.is_empty() {
            Ok(Self(generation))
        } else {
            Err(failures.into_iter().map(numbered).collect())
        }
    }

    /// The board of the group of this place in the configuration.
    pub fn board(&self, place: usize) -> Option<BorrowedFd<'_>> {
        self.0.board(place)
    }

    /// Path of the socket of the group of this place.
    pub fn socket(&self, place: usize) -> &[u8] {
        self.0.plan().groups.get(place).map_or(&[], |group| &group.socket)
    }

    /// The configuration goes, in the process that has started the groups.
    fn end(self) {
        let groups = &self.0.plan().groups;
        let own = groups.iter().map(|group| group.limits.shutdown.unwrap_or(LONGEST_FAREWELL));
        let longest = own.max().unwrap_or_default().min(LONGEST_FAREWELL);
        if is_ending() {
            // No process of nginx is left that could send a request. The supervisor ends after the last of its own.
            self.0.end_within(longest + Duration::from_secs(1));
        } else {
            self.0.end();
        }
    }
}

/// Keeps the groups of a cycle and its settings until these end.
///
/// # Errors
/// There is no memory; the groups end.
pub fn install(cycle: Cycle<'_>, settings: &MainConfig, running: Running) -> Result<(), OutOfMemory> {
    let key = key(settings);
    // SAFETY: the data is a number; the function ends what has that number, if anything has.
    let registered = unsafe { cycle.pool().on_destroy(ptr::without_provenance_mut(key), end_cycle) };
    match registered {
        Ok(()) => held().generations.push((key, running)),
        Err(_) => running.end(),
    }
    registered
}

fn key(settings: &MainConfig) -> usize {
    ptr::from_ref(settings).addr()
}

/// What `look` sees of the groups of these settings, when they run.
pub fn with<R>(settings: &MainConfig, look: impl FnOnce(&Running) -> R) -> Option<R> {
    let key = key(settings);
    held().generations.iter().find(|(other, _)| *other == key).map(|(_, running)| look(running))
}

/// For a process that the master has forked: keeps, of the groups of the settings that it serves requests of, the boards and
/// what tells that it lives, and nothing else.
///
/// # Safety
/// This process is a copy of the master's, and comes here once.
pub unsafe fn enter_child(served: Option<&MainConfig>) {
    let mut held = held();
    if let Some(lifeline) = held.lifeline.take() {
        // SAFETY: the caller's word.
        unsafe { lifeline.close() };
    }
    let own = served.map(key);
    for (_, Running(generation)) in &mut held.generations {
        generation.enter_child();
    }
    held.generations.retain(|(key, _)| Some(*key) == own);
}

/// The pool of a cycle is destroyed.
unsafe extern "C" fn end_cycle(data: *mut c_void) {
    let body = || {
        let mut held = held();
        let place = held.generations.iter().position(|(key, _)| *key == data.addr());
        let ended = place.map(|place| held.generations.swap_remove(place));
        drop(held);
        if let Some((_, running)) = ended {
            running.end();
        }
    };
    catch!((), body());
}

/// Whether nginx is on its way to its end, rather than to another configuration.
fn is_ending() -> bool {
    // SAFETY: set by signals and read by value.
    unsafe { ffi::ngx_quit != 0 || ffi::ngx_terminate != 0 }
}

/// The lifeline of this server.
fn lifeline() -> std::io::Result<Lifeline> {
    let mut held = held();
    if let Some(lifeline) = held.lifeline {
        return Ok(lifeline);
    }
    let lifeline = Lifeline::new()?;
    held.lifeline = Some(lifeline);
    Ok(lifeline)
}
