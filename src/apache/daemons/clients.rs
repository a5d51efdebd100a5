//! The clients of the daemon groups in a process that serves requests.

use oxwsgi_core::config::DaemonGroup;
use oxwsgi_core::daemon::board::Board;
use oxwsgi_core::dialect::Dialect;

use super::blueprint;
use crate::apache::record::Server;
use crate::daemon::client::{ClientSettings, GroupClient};
use crate::daemon::groups::Groups;

/// Adds the client of a group, which has its socket there and, if it could be started, this board.
pub fn add(groups: &mut Groups, main: Server<'_>, group: &DaemonGroup, socket: &[u8], board: Option<Board>) {
    let host = blueprint::host(main, group);
    // As in the group's plan: zero is for ever.
    let timeout = Some(host.timeout()).filter(|timeout| !timeout.is_zero());
    let settings = ClientSettings::of(group, socket, timeout, Dialect::Httpd);
    groups.add(&group.name, group.host, GroupClient::new(settings, board));
}
