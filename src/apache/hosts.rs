//! httpd's servers as the owners of daemon groups: which one a directive or a request is in, and what its name is.

use oxwsgi_core::config::{Host, Hosts};

use crate::apache::record::Server;

/// The servers of one configuration, seen from one of them.
#[derive(Clone, Copy, Debug)]
pub struct ServerHosts<'a> {
    main: Server<'a>,
    current: Server<'a>,
}

impl<'a> ServerHosts<'a> {
    /// The servers from `main` on, seen from `current`.
    pub const fn new(main: Server<'a>, current: Server<'a>) -> Self {
        Self { main, current }
    }
}

impl Hosts for ServerHosts<'_> {
    fn current(&self) -> Host {
        host(self.main, self.current)
    }

    fn name(&self, wanted: Host) -> Option<&[u8]> {
        std::iter::successors(Some(self.main), |server| server.next())
            .find(|server| host(self.main, *server) == wanted)
            .and_then(Server::hostname)
    }
}

fn host(main: Server<'_>, server: Server<'_>) -> Host {
    if server.as_raw() == main.as_raw() { Host::Main } else { Host::Virtual(server.as_raw() as usize) }
}
