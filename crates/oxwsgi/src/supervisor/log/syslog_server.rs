//! A server of the system's log that nginx's configuration names: it gets datagrams, and nobody waits for it.

#![forbid(unsafe_code)]

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use oxwsgi_core::daemon::SyslogAddress;
use rustix::net::SendFlags;

/// The way to a server of the system's log. Opened when there is something to say, and anew after a failure.
#[derive(Debug)]
pub struct SyslogSocket {
    address: SyslogAddress,
    socket: Option<OwnedFd>,
}

impl SyslogSocket {
    /// Not opened yet.
    pub const fn new(address: SyslogAddress) -> Self {
        Self { address, socket: None }
    }

    /// Sends a message; whether the server may have got it.
    pub fn send(&mut self, message: &[u8]) -> bool {
        // One that was restarted is reached by a new socket only.
        (0..2).any(|_| self.try_send(message))
    }

    fn try_send(&mut self, message: &[u8]) -> bool {
        if self.socket.is_none() {
            self.socket = open(&self.address).ok();
        }
        let Some(socket) = &self.socket else { return false };
        let sent = rustix::net::send(socket, message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        if sent.is_err() {
            self.socket = None;
        }
        sent.is_ok()
    }
}

fn open(address: &SyslogAddress) -> std::io::Result<OwnedFd> {
    match address {
        SyslogAddress::Internet(server) => {
            let own = if server.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
            let socket = UdpSocket::bind(SocketAddr::new(own, 0))?;
            socket.connect(server)?;
            Ok(socket.into())
        }
        SyslogAddress::Unix(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.connect(Path::new(std::ffi::OsStr::from_bytes(path)))?;
            Ok(socket.into())
        }
    }
}
