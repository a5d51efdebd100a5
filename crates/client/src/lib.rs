//! A server's way to the processes of a daemon group: takes a request where the runtime would take it in embedded mode,
//! and drives the same exchange. Blocking, on the request's own thread; knows no particular server and no Python.
//!
//! Modules, each importing only those before it: [`settings`] of a group; [`exchange`] what is needed of a server;
//! [`ownership`] whose scripts a group runs, and what its [`root`] makes of paths; [`socket`], [`buffers`] and [`spool`];
//! [`ending`] of a process; [`connection`] and [`pool`] which connection to use; [`problem`] what went wrong; [`fields`]
//! and [`pieces`] of a reply; [`body`] and [`reply`] the two directions; [`patience`] with a worker; [`relief`] of a
//! client that sends and does not read; [`attempt`] one
//! request on one connection; [`client`] the request until it is answered.

#![forbid(unsafe_code)]

mod attempt;
mod body;
mod buffers;
mod client;
mod connection;
mod ending;
mod exchange;
mod fields;
mod ownership;
mod patience;
mod pieces;
mod pool;
mod problem;
mod relief;
mod reply;
mod root;
mod settings;
mod socket;
mod spool;
#[cfg(test)]
mod tests;

pub use client::GroupClient;
pub use exchange::ServerExchange;
pub use settings::ClientSettings;
