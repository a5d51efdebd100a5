//! Python in the server's own process: its shared library and the runtime, loaded into a child after the fork, and the
//! calls across the border to the runtime. Knows no server. Of a server whose own processes run no Python only the module's
//! [folder](own_folder) is asked for.

mod folder;
#[cfg(feature = "apache")]
mod library;
#[cfg(feature = "apache")]
mod runtime;

pub use folder::own_folder;
#[cfg(feature = "apache")]
pub use runtime::{LoadError, Runtime};
