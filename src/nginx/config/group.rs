//! A group of daemon processes, defined by `wsgi_daemon_process` or implied by a `wsgi_pass` that names none.

use oxwsgi_core::config::{DaemonGroup, Host, ProcessSettings};

/// The group of locations that name none. A `wsgi_daemon_process` of this name says how it is.
pub const IMPLICIT: &str = "default";

/// One group.
#[derive(Clone, Debug)]
pub struct Group {
    /// All its options.
    pub settings: DaemonGroup,
    /// No directive defines it.
    pub is_implicit: bool,
}

impl Group {
    /// The group of locations that name none, where no directive defines it.
    pub fn implicit() -> Self {
        Self { settings: DaemonGroup::new(IMPLICIT.as_bytes(), Host::Main), is_implicit: true }
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.settings.name
    }

    /// Takes from the settings of all processes what it does not say itself. nginx's own processes run no Python, so these
    /// are for the groups.
    pub fn inherit(&mut self, common: &ProcessSettings) {
        let own = &mut self.settings;
        if own.python_home.is_none() {
            own.python_home.clone_from(&common.python_home);
        }
        if own.python_path.is_empty() {
            own.python_path = common.python_path.clone().unwrap_or_default();
        }
        if own.python_eggs.is_none() {
            own.python_eggs.clone_from(&common.python_eggs);
        }
    }
}
