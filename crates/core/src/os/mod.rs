//! What the standard library lacks of the operating system: facts about a descriptor, a thread without signals,
//! packets with descriptors, signals as bytes, the name of a process, the user database, dropping privileges, running a
//! program of someone else's within bounds. Knows no server and no Python.

mod account;
mod child;
mod environment;
mod errand;
pub mod file;
mod forked;
mod inherited;
mod launch;
mod local_time;
mod obstacle;
pub mod packet;
mod poller;
pub mod process;
mod ready;
mod running;
mod shared;
pub mod signals;
mod status;
pub mod syslog;
pub mod title;
pub mod users;
pub mod withheld;

pub use account::Account;
pub use child::{Process, is_running, watch};
pub use environment::environment;
pub use errand::Errand;
pub use forked::reset_signals;
pub use inherited::inherited;
pub use launch::{Launch, Launched, Limit, LimitKind, Notes, raise_descriptor_limit};
pub use local_time::LocalTime;
pub use obstacle::{Obstacle, Step};
pub use poller::Poller;
pub use ready::ready;
pub use running::{End, Report, Running};
pub use shared::SharedWords;
pub use status::WaitStatus;
