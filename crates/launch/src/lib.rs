//! The supervisor of one generation of a server, seen by the server's parent process: started with a plan, heard until its
//! groups are there, replaced when it is killed, and told when its generation ends. Blocking, on the parent's only thread;
//! knows no particular server and no Python.
//!
//! Modules, each importing only those before it: [`error`] why there is no supervisor; [`lifeline`] what tells it that the server
//! lives; [`replacing`] when it is replaced; [`program`] its process; [`generation`] all of it.

mod error;
mod generation;
mod lifeline;
mod program;
pub mod replacing;
#[cfg(test)]
mod tests;

pub use error::LaunchError;
pub use generation::{Generation, Leftovers};
pub use lifeline::Lifeline;
pub use program::look_at;
pub use replacing::Replacing;
