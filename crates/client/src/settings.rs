//! What a client knows of its group from the configuration.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use oxwsgi_core::config::{DaemonGroup, ScriptOwner};
use oxwsgi_core::dialect::Dialect;

/// The settings of one daemon group (`WSGIDaemonProcess`) that its clients need, defaults applied.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// What messages call its options.
    pub dialect: Dialect,
    /// Its name.
    pub name: Box<[u8]>,
    /// Path of its socket.
    pub socket: PathBuf,
    /// How many processes it has (`processes`).
    pub processes: u32,
    /// How many requests may wait for a thread (`listen-backlog`).
    pub backlog: u32,
    /// How long to try to reach a process (`connect-timeout`).
    pub connect_timeout: Duration,
    /// How long a process may leave a read or write waiting (`socket-timeout`, or else the server's own `Timeout`);
    /// `None` waits for ever.
    pub socket_timeout: Option<Duration>,
    /// The longest line of a reply's head in bytes (`header-buffer-size`).
    pub header_buffer_size: usize,
    /// How long the server's client may leave a write of the reply waiting (`response-socket-timeout`, or else
    /// `socket-timeout` when that is set); `None` leaves it as it is.
    pub response_socket_timeout: Option<Duration>,
    /// What it sees as the root of the file system (`chroot`).
    pub root: Option<Box<[u8]>>,
    /// Whose scripts run in it (`script-user`, `script-group`).
    pub script_owner: Option<ScriptOwner>,
}

impl ClientSettings {
    /// What is configured for `group`, which has its socket there. `timeout` is the server's own for what `socket-timeout`
    /// does not say; `None` is for ever.
    pub fn of(group: &DaemonGroup, socket: &[u8], timeout: Option<Duration>, dialect: Dialect) -> Self {
        Self {
            dialect,
            name: group.name.clone(),
            socket: OsStr::from_bytes(socket).into(),
            processes: group.processes,
            backlog: group.listen_backlog,
            connect_timeout: group.connect_timeout,
            socket_timeout: group.limits.socket.or(timeout),
            header_buffer_size: group.header_buffer_size as usize,
            response_socket_timeout: group.response_socket_timeout.or(group.limits.socket),
            root: group.chroot.clone(),
            script_owner: group.script_owner,
        }
    }
}
