//! Where lines of text go that belong to no request: the server's error log, in the server's own format.

#![forbid(unsafe_code)]

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::report::Level;

/// A server's error log. What is named by number is an inherited descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogTarget {
    /// httpd's: a descriptor, and the least severe level that is written.
    Descriptor(i32, Level),
    /// httpd's `ErrorLog syslog`: `syslog(3)` with this facility, and the level.
    Syslog(i32, Level),
    /// nginx's: a line goes to each of its `error_log`s that takes its level.
    Nginx(Vec<NginxLog>),
}

/// One `error_log` of nginx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NginxLog {
    /// The least severe level that is written.
    pub level: Level,
    /// Where.
    pub place: NginxPlace,
}

/// Where an `error_log` of nginx writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NginxPlace {
    /// A descriptor, and the path of its file: another file in its place is written to from then on, as nginx does when it is
    /// told that logs were rotated. None for what has no name.
    File(i32, Option<Vec<u8>>),
    /// A server of the system's log, which nginx sends datagrams.
    Syslog(SyslogServer),
}

/// `error_log syslog:server=...` of nginx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyslogServer {
    /// `server`.
    pub address: SyslogAddress,
    /// `facility`, as a number from 0 to 23.
    pub facility: u8,
    /// `tag`.
    pub tag: Vec<u8>,
    /// The name of this machine; none with `nohostname`.
    pub hostname: Option<Vec<u8>>,
}

/// The address of a server of the system's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SyslogAddress {
    /// By UDP.
    Internet(SocketAddr),
    /// The path of a socket.
    Unix(Vec<u8>),
}

impl LogTarget {
    /// The least severe level that is written anywhere.
    pub fn level(&self) -> Level {
        match self {
            Self::Descriptor(_, level) | Self::Syslog(_, level) => *level,
            Self::Nginx(logs) => logs.iter().map(|log| log.level).max().unwrap_or(Level::Emergency),
        }
    }

    /// The descriptors that are to be inherited, the main one first.
    pub fn descriptors(&self) -> impl Iterator<Item = i32> {
        let (single, logs) = match self {
            Self::Descriptor(number, _) => (Some(*number), &[][..]),
            Self::Syslog(..) => (None, &[][..]),
            Self::Nginx(logs) => (None, &**logs),
        };
        single.into_iter().chain(logs.iter().filter_map(|log| match log.place {
            NginxPlace::File(number, _) => Some(number),
            NginxPlace::Syslog(_) => None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_that_of_the_log_that_takes_most() {
        let log = |number, level| NginxLog { level, place: NginxPlace::File(number, None) };
        let server = SyslogServer {
            address: SyslogAddress::Internet(([127, 0, 0, 1], 514).into()),
            facility: 23,
            tag: b"nginx".to_vec(),
            hostname: None,
        };
        let syslog = NginxLog { level: Level::Info, place: NginxPlace::Syslog(server) };
        let target = LogTarget::Nginx(vec![log(7, Level::Error), syslog, log(9, Level::Warning)]);
        assert_eq!(target.level(), Level::Info);
        assert_eq!(target.descriptors().collect::<Vec<_>>(), [7, 9]);
        assert_eq!(LogTarget::Descriptor(2, Level::Debug).descriptors().collect::<Vec<_>>(), [2]);
    }
}
