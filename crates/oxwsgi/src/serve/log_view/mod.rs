//! What the terminal shows of a server's two logs.
//!
//! The rooms of the servers make a [`line`] of what each writes, and [`text`] undoes its escapes; [`block`] keeps a
//! traceback together, [`echo`] drops what every process of a group says, [`paint`] writes what is left after the prefixes
//! nobody reads. Nothing here does I/O.

mod block;
mod echo;
mod line;
mod paint;
mod text;

use std::fmt;

pub use block::{Block, Blocks, Piece};
pub use echo::Echoes;
pub use line::{AccessLine, ErrorLine};
pub use paint::{access, block};
pub use text::{printable, readable};

/// The user agent of the request that finds out whether httpd answers; it is not shown.
pub const READY_AGENT: &str = "oxwsgi-ready";

/// How many requests are worked on at once, for messages that speak of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The application's processes.
    pub processes: u16,
    /// Threads in each.
    pub threads: u16,
    /// Whether these are httpd's own.
    pub is_embedded: bool,
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = if self.threads == 1 { "thread" } else { "threads" };
        match self.processes {
            1 => write!(f, "{} {threads}", self.threads)?,
            several => write!(f, "{several} processes with {} {threads} each", self.threads)?,
        }
        if self.is_embedded { f.write_str(" inside httpd") } else { Ok(()) }
    }
}
