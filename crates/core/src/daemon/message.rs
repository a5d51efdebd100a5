//! Messages between server, supervisor and workers: one packet each on a `SOCK_SEQPACKET` socket, descriptors beside it.
//!
//! What a worker sends is a site's word: bounded by [`LONGEST_MESSAGE`], and nothing in it names another process.

#![forbid(unsafe_code)]

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::plan::{Group, Server};
use crate::report::Level;

/// A longer packet is not read, in bytes. Logged lines are cut to half of it.
pub const LONGEST_MESSAGE: usize = 32 * 1024;

/// From the server's parent process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToSupervisor {
    /// The server has a new generation or ends: serve until the drain pipe ends, then end.
    Drain,
}

/// To the server's parent process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromSupervisor {
    /// The group of this index has its socket and its board, which come with the packet in this order.
    Group(u32),
    /// The group of this index, or [all](super::ALL_GROUPS), cannot start: cause and cure, without its name.
    Failed(u32, String),
    /// All groups that can start have started.
    Ready,
}

/// From the supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// What to be. With it come the listening socket, the board, the lifeline and the read end of the drain pipe.
    Start {
        /// The group; its `socket`, `account` and `resources` are done already.
        group: Box<Group>,
        /// Facts for the application.
        server: Server,
        /// The slot of the board that is this process's.
        slot: u32,
        /// The epoch of its supervisor; the process ends when the board says that it [is past](super::board::Board::is_past).
        epoch: u32,
        /// The users that may connect.
        peers: Vec<u32>,
    },
}

/// From a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromWorker {
    /// Python runs, import scripts are loaded, and requests are being taken.
    Ready,
    /// No further requests are taken; a replacement is wanted.
    Ending(Reason),
    /// Requests are done or given up; the process ends within its shutdown timeout.
    Stopping,
    /// A line of text outside of any request.
    Log(Level, Vec<u8>),
}

/// Why a process ends; [`Display`](fmt::Display) is mod_wsgi's `shutdown_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is the limit or event it is named after")]
pub enum Reason {
    ShutdownSignal,
    GracefulSignal,
    EvictionSignal,
    MaximumRequests,
    RestartInterval,
    InactivityTimeout,
    RequestTimeout,
    StartupTimeout,
    DeadlockTimeout,
    CpuTimeLimit,
    ScriptReload,
    /// The supervisor was replaced, and its successor has workers of its own; or it has ended, and no request can come any more.
    Superseded,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ShutdownSignal => "shutdown_signal",
            Self::GracefulSignal => "graceful_signal",
            Self::EvictionSignal => "eviction_signal",
            Self::MaximumRequests => "maximum_requests",
            Self::RestartInterval => "restart_interval",
            Self::InactivityTimeout => "inactivity_timeout",
            Self::RequestTimeout => "request_timeout",
            Self::StartupTimeout => "startup_timeout",
            Self::DeadlockTimeout => "deadlock_timeout",
            Self::CpuTimeLimit => "cpu_time_limit",
            Self::ScriptReload => "script_reload",
            Self::Superseded => "superseded",
        })
    }
}

/// A message, or a plan, as bytes.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("these types have no part that cannot be written")
}

/// What [`encode`] wrote; none when the bytes are something else.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back() {
        let message = FromWorker::Log(Level::Info, b"line".to_vec());
        assert_eq!(decode(&encode(&message)), Some(message));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let mut bytes = encode(&FromWorker::Ending(Reason::ScriptReload));
        assert_eq!(decode::<FromWorker>(&[]), None);
        assert_eq!(decode::<FromWorker>(&[200]), None);
        bytes.push(0);
        assert_eq!(decode::<FromWorker>(&bytes), None);
    }
}
