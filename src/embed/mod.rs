//! Python in the server's own process: its shared library and the runtime, loaded into a child after the fork, and the
//! calls across the border to the runtime. Knows no server.

mod library;
mod runtime;

pub use library::own_folder;
pub use runtime::{LoadError, Runtime};
