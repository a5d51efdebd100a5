//! What the processes of daemon mode hand each other outside of requests: the plan of a server's groups, the messages
//! between server, supervisor and workers, and the board of counters that they share.
//!
//! No process is started here; that is the supervisor's.

pub mod board;
mod message;
mod plan;

pub use message::{
    FromSupervisor, FromWorker, LONGEST_MESSAGE, Reason, ToSupervisor, ToWorker, decode, encode,
};
pub use plan::{Account, Group, Import, Limits, LogTarget, Plan, Python, Resources, Server};
