//! The clients of the daemon groups in a process that serves requests.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use oxwsgi_core::config::DaemonGroup;
use oxwsgi_core::daemon::board::Board;

use super::blueprint;
use crate::apache::record::Server;
use crate::daemon::client::{ClientSettings, GroupClient};
use crate::daemon::groups::Groups;

/// Adds the client of a group, which has its socket there and, if it could be started, this board.
pub fn add(groups: &mut Groups, main: Server<'_>, group: &DaemonGroup, socket: &[u8], board: Option<Board>) {
    let host = blueprint::host(main, group);
    // As in the group's plan: zero is for ever.
    let timeout = Some(host.timeout()).filter(|timeout| !timeout.is_zero());
    let settings = ClientSettings {
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
    };
    groups.add(&group.name, group.host, GroupClient::new(settings, board));
}
