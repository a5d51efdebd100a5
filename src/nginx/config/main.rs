//! Settings of `http { }`: the daemon groups, and what is common to all their processes.

#![allow(unsafe_code, reason = "nginx keeps the blocks by address")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oxwsgi_core::config::{ImportScript, ProcessSettings, Script};

use super::group::{Group, IMPLICIT, Variable};
use super::named::Named;
use crate::nginx::ffi;
use crate::nginx::record::{Cycle, Reading, Request};

/// Blocks that this process and those it was forked from have made.
static CREATED: AtomicU64 = AtomicU64::new(0);

/// The block of `http { }`.
#[derive(Debug)]
pub struct MainConfig {
    /// Of which there is one only in the life of a process, while an address may be given out again.
    pub number: u64,
    /// `wsgi_python_*`, `wsgi_restrict_*`, `wsgi_socket_prefix`, and in `imports` those of `wsgi_import`. Its own list of
    /// daemon groups is empty: they are in [`MainConfig::groups`].
    pub process: ProcessSettings,
    /// What `os.environ` of all processes gets, in order (`wsgi_env`).
    pub environment: Vec<Variable>,
    /// Daemon groups, in order; an implied one comes last.
    pub groups: Vec<Group>,
    /// `wsgi_shutdown_timeout`: for groups that do not say it themselves.
    pub shutdown_timeout: Option<Duration>,
    /// `wsgi_import`, as written; [`MainConfig::finish`] makes [`ProcessSettings::imports`] of it.
    pub imports: Vec<Import>,
    /// Zones of `wsgi_cache_path`, as nginx keeps them.
    pub(super) caches: Caches,
}

/// What `wsgi_import` says.
#[derive(Clone, Debug)]
pub struct Import {
    /// The file or module.
    pub script: Script,
    /// Callable behind the last colon, which must then be there.
    pub callable: Option<Box<[u8]>>,
    /// `daemon=`.
    pub process_group: Option<Named>,
    /// `group=`; empty is the main interpreter.
    pub application_group: Box<[u8]>,
}

impl Import {
    fn complete(self, process_group: &[u8]) -> ImportScript {
        ImportScript {
            script: self.script.name().into(),
            script_kind: self.script.kind(),
            callable: self.callable.unwrap_or_default(),
            factory: false,
            process_group: process_group.into(),
            application_group: self.application_group,
            needs_python: true,
        }
    }
}

/// nginx's array of cache zones.
#[repr(transparent)]
pub struct Caches(ffi::ngx_array_t);

impl std::fmt::Debug for Caches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Caches").field(&self.0.nelts).finish()
    }
}

impl MainConfig {
    /// Where `wsgi_cache_path` adds to.
    pub const CACHES: usize = std::mem::offset_of!(Self, caches);

    /// An empty block, in the pool of the configuration; null when there is no memory.
    pub fn create(reading: Reading<'_>) -> *mut Self {
        let element = size_of::<*mut ffi::ngx_http_file_cache_t>();
        // SAFETY: the pool of the configuration, which the array lies in.
        let caches = unsafe { ffi::ngx_array_create(reading.pool().as_raw(), 4, element) };
        // SAFETY: null, or the array just made, which nobody else refers to.
        let Some(caches) = (unsafe { caches.as_ref() }) else { return std::ptr::null_mut() };
        let block = Self {
            number: CREATED.fetch_add(1, Ordering::Relaxed),
            process: ProcessSettings::default(),
            environment: Vec::new(),
            groups: Vec::new(),
            shutdown_timeout: None,
            imports: Vec::new(),
            caches: Caches(*caches),
        };
        reading.pool().place(block).map_or(std::ptr::null_mut(), std::ptr::from_mut)
    }

    /// The block of a cycle; none when its configuration has no `http { }`.
    pub fn of_cycle(cycle: Cycle<'_>) -> Option<&Self> {
        // SAFETY: null, or what `create` made for the block; nobody changes it after it was read.
        unsafe { cycle.own_main().cast::<Self>().as_ref() }
    }

    /// The block behind a request.
    #[inline]
    pub fn of<'a>(request: Request<'a>) -> &'a Self {
        // SAFETY: what `create` made; nobody changes it while requests are served.
        unsafe { &*request.own_main().cast::<Self>() }
    }

    /// All is read and merged: groups take what they do not say themselves, and imports find their groups.
    ///
    /// # Errors
    /// What does not fit together, in words.
    pub fn finish(&mut self) -> Result<(), String> {
        if self.process.python_isolated == Some(true) && self.process.python_hash_seed.is_some() {
            // Python has no other way to be told than a variable of its environment.
            return Err(
                "\"wsgi_python_hash_seed\" has no effect with \"wsgi_python_isolated on\": leave one out"
                    .into(),
            );
        }
        for import in std::mem::take(&mut self.imports) {
            let group = match &import.process_group {
                None => self.implicit_group(),
                Some(wanted) => self.group_wanted(wanted)?,
            };
            self.process.imports.push(import.complete(self.groups[group].name()));
        }
        for group in &mut self.groups {
            group.inherit(&self.process, self.shutdown_timeout);
        }
        Ok(())
    }

    /// The place of the group that a directive names.
    ///
    /// # Errors
    /// There is none of that name.
    pub(super) fn group_wanted(&mut self, wanted: &Named) -> Result<usize, String> {
        if *wanted.name == *IMPLICIT.as_bytes() {
            return Ok(self.implicit_group());
        }
        self.group_named(&wanted.name).ok_or_else(|| {
            let shown = |name| String::from_utf8_lossy(name).into_owned();
            let known: Vec<_> = self.groups.iter().map(|group| format!("\"{}\"", shown(group.name()))).collect();
            let known = match known.as_slice() {
                [] => "none is defined".to_owned(),
                known => format!("defined: {}", known.join(", ")),
            };
            let name = shown(&wanted.name);
            format!(
                "the process group \"{name}\" in {} is not defined: define it with \"wsgi_daemon_process {name};\" in the \
                 http block, or name none ({known})",
                wanted.position
            )
        })
    }

    /// What `os.environ` of the processes of a group gets: each name once, the group's own value before that of all.
    pub fn environment_of(&self, group: &Group) -> Vec<Variable> {
        let is_replaced = |(name, _): &&Variable| group.environment.iter().any(|(own, _)| own == name);
        let common = self.environment.iter().filter(|variable| !is_replaced(variable));
        common.chain(&group.environment).cloned().collect()
    }

    /// The place of the group of that name in [`MainConfig::groups`].
    pub fn group_named(&self, name: &[u8]) -> Option<usize> {
        self.groups.iter().position(|group| group.name() == name)
    }

    /// The place of the group of locations that name none; there is one after this call.
    pub(super) fn implicit_group(&mut self) -> usize {
        self.group_named(IMPLICIT.as_bytes()).unwrap_or_else(|| {
            self.groups.push(Group::implicit());
            self.groups.len() - 1
        })
    }
}
