//! A server's way to the processes of a daemon group. Knows no particular server and no Python.
//!
//! [`GroupClient`] takes a request where the runtime would take it in embedded mode, and drives the same exchange: blocking,
//! on the request's own thread. A server with an event loop moves the bytes itself, and uses the parts that never wait: which
//! connection to take, what a reply's frames mean, what went wrong, and whether to try again.
//!
//! Modules, each importing only those before it: [`settings`] of a group; [`exchange`] what is needed of a server;
//! [`ownership`] whose scripts a group runs, and what its [`root`] makes of paths; [`connecting`], [`received`] bytes and
//! descriptors, [`socket`], [`buffers`] and [`spool`]; [`ending`] of a process; [`connection`], [`waiting`] and [`pool`] which
//! connection to use; [`problem`] what went wrong; [`fields`] and [`pieces`] of a reply; [`body`] and [`reply`] the two
//! directions; [`patience`] with a worker; [`relief`] of a client that sends and does not read, [`departure`] of one that
//! goes; [`retries`]; [`attempt`] one request on one connection; [`client`] the request until it is answered.

#![forbid(unsafe_code)]

mod attempt;
pub mod body;
mod buffers;
mod client;
pub mod connecting;
pub mod connection;
mod departure;
pub mod ending;
mod exchange;
mod fields;
pub mod ownership;
mod patience;
mod pieces;
mod pool;
mod problem;
pub mod received;
mod relief;
pub mod reply;
pub mod retries;
pub mod root;
mod settings;
mod socket;
mod spool;
#[cfg(test)]
mod tests;
pub mod waiting;

pub use client::GroupClient;
pub use exchange::{ReplySink, ServerExchange};
pub use problem::Problem;
pub use settings::ClientSettings;
