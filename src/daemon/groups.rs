//! The daemon groups of this process's generation, by name. Filled once when a process starts to serve; looked up by
//! the handler, on the threads of requests.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use oxwsgi_core::config::{Host, Hosts};

use crate::daemon::client::GroupClient;

/// All groups; replaced whole. What was there before stays, for its requests may last (a server of one process reads
/// its configuration anew in that process).
static GROUPS: RwLock<Option<&'static Groups>> = RwLock::new(None);

/// The groups of one configuration.
#[derive(Debug, Default)]
pub struct Groups {
    by_name: HashMap<Box<[u8]>, Entry>,
}

#[derive(Debug)]
struct Entry {
    client: GroupClient,
    host: Host,
}

/// Why a request has no group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoGroup {
    /// There is none of that name.
    Unknown,
    /// It belongs to another virtual host.
    Foreign,
}

impl Groups {
    /// Adds a group that `host` has defined.
    pub fn add(&mut self, name: &[u8], host: Host, client: GroupClient) {
        self.by_name.insert(name.into(), Entry { client, host });
    }

    /// Makes these the groups of this process, for good.
    pub fn install(self) {
        *GROUPS.write().unwrap_or_else(PoisonError::into_inner) = Some(Box::leak(Box::new(self)));
    }
}

/// The client of the group `name`, for a request that has come to the current one of `hosts`.
#[inline]
pub fn find(name: &[u8], hosts: &dyn Hosts) -> Result<&'static GroupClient, NoGroup> {
    let groups = *GROUPS.read().unwrap_or_else(PoisonError::into_inner);
    let entry = groups.and_then(|groups| groups.by_name.get(name)).ok_or(NoGroup::Unknown)?;
    entry.host.admits(hosts).map_err(|_| NoGroup::Foreign)?;
    Ok(&entry.client)
}
