//! What the standard library lacks of the operating system: facts about a descriptor, a thread without signals,
//! dropping privileges, running a program of someone else's within bounds. Knows no server and no Python.

mod account;
mod errand;
pub mod file;
mod obstacle;
mod running;
mod shared;
pub mod signals;

pub use account::Account;
pub use errand::Errand;
pub use obstacle::{Obstacle, Step};
pub use running::{End, Report, Running};
pub use shared::SharedWords;
