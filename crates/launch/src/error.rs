//! Why there is no supervisor, for the operator.

#![forbid(unsafe_code)]

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use oxwsgi_core::os::WaitStatus;

/// A supervisor that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The program is not there or cannot be run.
    #[error("the supervisor {} cannot be run: {error}; install oxwsgi again, which puts it beside the server's module", program.display())]
    Program {
        /// The file.
        program: PathBuf,
        /// The operating system's reason.
        error: io::Error,
    },
    /// A descriptor could not be made.
    #[error("the supervisor of the daemon process groups cannot be prepared: {0}")]
    Prepare(io::Error),
    /// What it hands over does not fit in.
    #[error(
        "the sockets of the daemon process groups cannot be taken over: raise the server's limit of open files (ulimit -n)"
    )]
    Descriptors,
    /// It says why it cannot go on.
    #[error("{}", .0.join("; "))]
    Failed(Vec<String>),
    /// It ended without a word.
    #[error("the supervisor {} ended before its daemon process groups were ready: {status}", program.display())]
    Ended {
        /// The file.
        program: PathBuf,
        /// How; a keeper's is [unknown](WaitStatus::UNKNOWN).
        status: WaitStatus,
    },
    /// It said nothing for too long.
    #[error("the supervisor of the daemon process groups was not ready within {} seconds", .0.as_secs())]
    Silent(Duration),
    /// Its words make no sense.
    #[error(
        "the supervisor {} answers something that is not understood; install it from the same release as the server's \
         module",
        program.display()
    )]
    Garbled {
        /// The file.
        program: PathBuf,
    },
}
