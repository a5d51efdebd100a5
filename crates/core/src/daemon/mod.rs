//! What the processes of daemon mode hand each other outside of requests: the plan of a server's groups, the messages
//! between server, supervisor and workers, and the board of counters that they share.
//!
//! No process is started here; that is the supervisor's.

pub mod board;
pub mod bootstrap;
mod draft;
mod handover;
mod log_target;
mod mark;
mod message;
mod plan;

pub use crate::config::{Limits, Resources};
pub use draft::Draft;
pub use handover::{ALL_GROUPS, Handover, Role};
pub use log_target::{LogTarget, NginxLog, NginxPlace, SyslogAddress, SyslogServer};
pub use message::{
    FromSupervisor, FromWorker, LONGEST_MESSAGE, Reason, ToSupervisor, ToWorker, decode, encode,
};
pub use plan::{Account, Group, Import, Plan, Python, Server};
