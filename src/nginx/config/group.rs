//! A group of daemon processes, defined by `wsgi_daemon_process` or implied by a `wsgi_pass` that names none.

use std::time::Duration;

use oxwsgi_core::config::{DaemonGroup, Host, ProcessSettings};

/// Name and value of a variable of the environment.
pub type Variable = (Box<[u8]>, Box<[u8]>);

/// The group of locations that name none. A `wsgi_daemon_process` of this name says how it is.
pub const IMPLICIT: &str = "default";

/// One group.
#[derive(Clone, Debug)]
pub struct Group {
    /// All its options.
    pub settings: DaemonGroup,
    /// What its processes' `os.environ` gets besides that of all, and in its place (`env=`).
    pub environment: Vec<Variable>,
    /// No directive defines it.
    pub is_implicit: bool,
    /// `shutdown_timeout=` is among its options.
    pub sets_shutdown_timeout: bool,
}

impl Group {
    /// A group without options.
    pub fn new(name: &[u8]) -> Self {
        Self {
            settings: DaemonGroup::new(name, Host::Main),
            environment: Vec::new(),
            is_implicit: false,
            sets_shutdown_timeout: false,
        }
    }

    /// The group of locations that name none, where no directive defines it.
    pub fn implicit() -> Self {
        Self { is_implicit: true, ..Self::new(IMPLICIT.as_bytes()) }
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.settings.name
    }

    /// Takes from the settings of all processes what it does not say itself. nginx's own processes run no Python, so these
    /// are for the groups. The home is not among them: who looks for a Python says which directive named it.
    pub(super) fn inherit(&mut self, common: &ProcessSettings, shutdown_timeout: Option<Duration>) {
        let own = &mut self.settings;
        if own.python_path.is_empty() {
            own.python_path = common.python_path.clone().unwrap_or_default();
        }
        if own.python_eggs.is_none() {
            own.python_eggs.clone_from(&common.python_eggs);
        }
        if let Some(timeout) = shutdown_timeout
            && !self.sets_shutdown_timeout
        {
            own.limits.shutdown = (!timeout.is_zero()).then_some(timeout);
        }
    }
}
