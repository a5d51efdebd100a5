//! Where to listen: a host name or address becomes socket addresses, and each is tried before the server gets it.

#![forbid(unsafe_code)]

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use crate::problem::Problem;

/// How many ports above a busy one are tried for a free one to suggest.
const SUGGESTIONS: u16 = 20;

/// The addresses that the server listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    host: String,
    addresses: Vec<SocketAddr>,
}

impl Listen {
    /// Resolves `host` and finds out that all of it can be listened on; port 0 becomes a free one.
    ///
    /// # Errors
    /// Unknown host, an address of another machine, a busy port, or one that needs root.
    pub fn reserve(host: &str, port: u16) -> Result<Self, Problem> {
        let resolved = resolve(host, port)?;
        let mut addresses: Vec<SocketAddr> = Vec::new();
        let mut unusable = None;
        // Held until all are tried: a name with two addresses gets one free port for both.
        let mut held = Vec::new();
        for mut address in resolved {
            if let Some(first) = addresses.first() {
                address.set_port(first.port());
            }
            match TcpListener::bind(address) {
                Ok(listener) => {
                    addresses.push(listener.local_addr().unwrap_or(address));
                    held.push(listener);
                }
                // A name such as localhost may have an IPv6 address on a machine without IPv6.
                Err(error) if error.kind() == ErrorKind::AddrNotAvailable => unusable = Some(error),
                Err(error) => return Err(refused(host, address, &error)),
            }
        }
        match unusable {
            Some(error) if addresses.is_empty() => {
                Err(Problem::new(format!("{host} is not an address of this machine: {error}"))
                    .cure("listen on this machine only: --host 127.0.0.1")
                    .cure("listen on all its addresses: --host 0.0.0.0"))
            }
            _ => Ok(Self { host: host.to_owned(), addresses }),
        }
    }

    /// Without looking at the machine: for a configuration that is only shown.
    ///
    /// # Errors
    /// Unknown host.
    pub fn unchecked(host: &str, port: u16) -> Result<Self, Problem> {
        Ok(Self { host: host.to_owned(), addresses: resolve(host, port)? })
    }

    /// All of them.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// An address that reaches the server from this machine.
    pub fn reachable(&self) -> SocketAddr {
        let mut address = self.addresses[0];
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        address
    }

    /// What to type into a browser on this machine, with `path` at its end.
    pub fn url(&self, path: &str) -> String {
        let address = self.reachable();
        let is_name = self.host.parse::<IpAddr>().is_err() && !self.host.starts_with('[');
        let host = if is_name { format!("{}:{}", self.host, address.port()) } else { address.to_string() };
        let slash = if path.ends_with('/') { "" } else { "/" };
        format!("http://{host}{path}{slash}")
    }
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Problem> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found: Vec<SocketAddr> = (bare, port).to_socket_addrs().map(Iterator::collect).unwrap_or_default();
    if found.is_empty() {
        return Err(Problem::new(format!("The host {host} is not known"))
            .cure("give an address of this machine, for example --host 127.0.0.1 or --host 0.0.0.0"));
    }
    let mut unique: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    Ok(unique)
}

fn refused(host: &str, address: SocketAddr, error: &std::io::Error) -> Problem {
    let port = address.port();
    match error.kind() {
        ErrorKind::AddrInUse => {
            let problem = Problem::new(format!("Port {port} of {host} is in use by another program"))
                .cure(format!("stop that program; `ss -ltnp sport = :{port}` names it"));
            match free_port_above(address) {
                Some(free) => problem.cure(format!("choose another port, such as --port {free}")),
                None => problem.cure("choose another port, or let the system choose: --port 0"),
            }
        }
        ErrorKind::PermissionDenied => Problem::new(format!("Port {port} of {host} is reserved for root"))
            .cure("choose a port from 1024 up, such as --port 8000")
            .cure("run this command as root; the application itself then runs as an ordinary user"),
        _ => Problem::new(format!("{address} cannot be listened on: {error}"))
            .cure("choose another --host or --port"),
    }
}

fn free_port_above(address: SocketAddr) -> Option<u16> {
    let above = address.port().checked_add(1)?..=address.port().saturating_add(SUGGESTIONS);
    above.into_iter().find(|port| TcpListener::bind((address.ip(), *port)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_zero_becomes_a_real_port() {
        let listen = Listen::reserve("127.0.0.1", 0).expect("a free port");
        let port = listen.reachable().port();
        assert_ne!(port, 0);
        assert_eq!(listen.url("/"), format!("http://127.0.0.1:{port}/"));
        assert_eq!(listen.url("/shop"), format!("http://127.0.0.1:{port}/shop/"));
    }

    #[test]
    fn all_addresses_are_reached_by_the_local_one() {
        let listen = Listen::unchecked("0.0.0.0", 80).expect("an address");
        assert_eq!(listen.url("/"), "http://127.0.0.1:80/");
        assert_eq!(Listen::unchecked("[::1]", 80).expect("an address").url("/"), "http://[::1]:80/");
    }

    #[test]
    fn a_busy_port_is_named_and_another_suggested() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a listener");
        let port = taken.local_addr().expect("its address").port();
        let problem = Listen::reserve("127.0.0.1", port).expect_err("busy").to_string();
        assert!(problem.starts_with(&format!("Port {port} of 127.0.0.1 is in use")), "{problem}");
        assert!(problem.contains("--port"), "{problem}");
    }

    #[test]
    fn foreign_and_unknown_hosts_are_told_apart() {
        let foreign = Listen::reserve("192.0.2.1", 8000).expect_err("documentation address").to_string();
        assert!(foreign.contains("not an address of this machine"), "{foreign}");
        let unknown = Listen::reserve("no such host", 8000).expect_err("no name").to_string();
        assert!(unknown.contains("is not known"), "{unknown}");
    }
}
