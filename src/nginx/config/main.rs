//! Settings of `http { }`: the daemon groups, and what is common to all their processes.

#![allow(unsafe_code, reason = "nginx keeps the blocks by address")]

use oxwsgi_core::config::ProcessSettings;

use super::group::{Group, IMPLICIT};
use crate::nginx::ffi;
use crate::nginx::record::{Cycle, Reading, Request};

/// The block of `http { }`.
#[derive(Debug)]
pub struct MainConfig {
    /// `wsgi_python_*`, `wsgi_restrict_*`, `wsgi_socket_prefix`, and in `imports` those of `wsgi_import`. Its own list of
    /// daemon groups is empty: they are in [`MainConfig::groups`].
    pub process: ProcessSettings,
    /// What `os.environ` of all processes gets, in order (`wsgi_env`).
    pub environment: Vec<Variable>,
    /// Daemon groups, in order; an implied one comes last.
    pub groups: Vec<Group>,
    /// Zones of `wsgi_cache_path`, as nginx keeps them.
    pub(super) caches: Caches,
}

/// A variable of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: Box<[u8]>,
    /// Its value.
    pub value: Box<[u8]>,
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
            process: ProcessSettings::default(),
            environment: Vec::new(),
            groups: Vec::new(),
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
