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
        self.current.host()
    }

    fn name(&self, wanted: Host) -> Option<&[u8]> {
        // A host is in httpd's list before what stands in it is read.
        self.main.and_next().find(|server| server.host() == wanted).and_then(Server::hostname)
    }
}
