//! A group of daemon processes as `WSGIDaemonProcess` defines it. Options are rows of a table, as directives are.

mod limits;
mod options;
mod value;

pub use limits::{Limits, Resources};
pub use options::{DaemonOption, OPTIONS};

use std::time::Duration;

use crate::config::{ConfigError, Host};
use crate::os::users::User;

/// What is set for a group, defaults applied where they do not depend on the server.
#[derive(Clone, Debug, PartialEq)]
pub struct DaemonGroup {
    /// Its name.
    pub name: Box<[u8]>,
    /// The server that defines it.
    pub host: Host,
    /// How many processes.
    pub processes: u32,
    /// Whether the number was given: then `wsgi.multiprocess` is true, be it 1.
    pub multiprocess: bool,
    /// Threads in each that serve requests; 0 runs import scripts alone.
    pub threads: u32,
    /// Who runs them; without it the server's user.
    pub user: Option<User>,
    /// The group they run as; without it the server's.
    pub group: Option<u32>,
    /// Supplementary groups; without it those of the user.
    pub supplementary_groups: Option<Vec<u32>>,
    /// Mask of the modes of new files.
    pub umask: Option<u32>,
    /// Root of their file system.
    pub chroot: Option<Box<[u8]>>,
    /// Working directory, and then `sys.path[0]`.
    pub home: Option<Box<[u8]>>,
    /// `LANG`.
    pub lang: Option<Box<[u8]>>,
    /// `LC_ALL`.
    pub locale: Option<Box<[u8]>>,
    /// What `ps` shows.
    pub display_name: Option<Box<[u8]>>,
    /// Prefix or virtual environment; without it `WSGIPythonHome`.
    pub python_home: Option<Box<[u8]>>,
    /// Directories for `site.addsitedir`.
    pub python_path: Vec<Box<[u8]>>,
    /// `PYTHON_EGG_CACHE`.
    pub python_eggs: Option<Box<[u8]>>,
    /// Seconds; without it Python's own.
    pub switch_interval: Option<f64>,
    /// What the kernel limits.
    pub resources: Resources,
    /// What we limit.
    pub limits: Limits,
    /// How long the server's process tries to hand over a request.
    pub connect_timeout: Duration,
    /// Time for each write of a reply to the client; without it that of the socket.
    pub response_socket_timeout: Option<Duration>,
    /// Longest header line of a reply, in bytes.
    pub header_buffer_size: u32,
    /// Length of the queue of requests that no thread has taken.
    pub listen_backlog: u32,
    /// Who owns the socket; without it the server's user.
    pub socket_user: Option<u32>,
    /// `SO_SNDBUF` and `SO_RCVBUF`, in bytes; 0 leaves the system's.
    pub socket_buffers: (u32, u32),
    /// To whom scripts and their directories must belong.
    pub script_owner: Option<ScriptOwner>,
    /// What is to be said of options that have no effect.
    pub notices: Vec<&'static str>,
}

/// To whom a script and its directory must belong, with nobody else being able to write to either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptOwner {
    /// This user (`script-user`).
    User(u32),
    /// This group (`script-group`).
    Group(u32),
}

/// Longest header line of a reply where nothing else is set, in bytes.
const HEADER_BUFFER_SIZE: u32 = 32_768;

impl DaemonGroup {
    /// A group without options.
    pub fn new(name: &[u8], host: Host) -> Self {
        Self {
            name: name.into(),
            host,
            processes: 1,
            multiprocess: false,
            threads: 15,
            user: None,
            group: None,
            supplementary_groups: None,
            umask: None,
            chroot: None,
            home: None,
            lang: None,
            locale: None,
            display_name: None,
            python_home: None,
            python_path: Vec::new(),
            python_eggs: None,
            switch_interval: None,
            resources: Resources::default(),
            limits: Limits::DEFAULT,
            connect_timeout: Duration::from_secs(15),
            response_socket_timeout: None,
            header_buffer_size: HEADER_BUFFER_SIZE,
            listen_backlog: 100,
            socket_user: None,
            socket_buffers: (0, 0),
            script_owner: None,
            notices: Vec::new(),
        }
    }

    /// Reads a name and its options.
    pub fn parse(words: &[&[u8]], host: Host) -> Result<Self, ConfigError> {
        let (name, options) = match words {
            [] | [b"", ..] => return Err(ConfigError::Missing("Name of WSGI daemon process not supplied.")),
            [name, options @ ..] => (*name, options),
        };
        if name.starts_with(b"%{") {
            let reason =
                "a name that does not begin with '%{', for WSGIProcessGroup would take it for an expression";
            return Err(ConfigError::value(name, reason));
        }
        let mut group = Self::new(name, host);
        for word in options {
            let known = word.iter().position(|byte| *byte == b'=').and_then(|at| {
                let option = OPTIONS.iter().find(|option| option.name.as_bytes() == &word[..at])?;
                Some((option, &word[at + 1..]))
            });
            let Some((option, text)) = known else {
                let names: Vec<_> = OPTIONS.iter().map(|option| format!("{}=", option.name)).collect();
                let names = names.join(", ");
                let reason = format!("Invalid option to WSGI daemon process definition. One of {names}");
                return Err(ConfigError::value(word, reason));
            };
            option.set(&mut group, text).map_err(|reason| ConfigError::value(word, reason))?;
        }
        Ok(group)
    }

    /// What `ps` shows, `%{GROUP}` expanded.
    pub fn display_name(&self) -> Option<Vec<u8>> {
        const GROUP: &[u8] = b"%{GROUP}";
        let mut rest = self.display_name.as_deref()?;
        let mut shown = Vec::new();
        while let Some((first, after)) = rest.split_first() {
            rest = match rest.strip_prefix(GROUP) {
                Some(after) => {
                    shown.extend_from_slice(b"(wsgi:");
                    shown.extend_from_slice(&self.name);
                    shown.push(b')');
                    after
                }
                None => {
                    shown.push(*first);
                    after
                }
            };
        }
        Some(shown)
    }
}

#[cfg(test)]
mod tests;
