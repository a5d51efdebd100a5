//! What can go wrong between a server and a group's processes: for the operator a numbered line, for the client a
//! status. Options are called what they are in the configuration of the server.

use std::io;
use std::time::Duration;

use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::report::Number;
use oxwsgi_core::wire::WireError;

use crate::connecting::ConnectError;
use crate::ending::Ending;
use crate::settings::ClientSettings;

/// Why a request has no reply, or not all of it. [`Display`](std::fmt::Display) is the text for the log, without the
/// number.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The server's process has no descriptor, or no memory, left.
    #[error("no socket can be had for a connection to it: {0}")]
    Socket(io::Error),
    /// Its processes run scripts alone.
    #[error("it has threads=0, so that its processes run import scripts and serve no requests")]
    NoThreads,
    /// As many requests wait for a thread as may.
    #[error(
        "all its threads are busy and its queue is full ({}={}); the client is told to come again later",
        .1.option("listen-backlog"), .0
    )]
    QueueFull(u32, Dialect),
    /// Nobody takes connections.
    #[error(
        "none of its processes could be reached within {} seconds ({}) at {path}",
        limit.as_secs_f64(), dialect.connect_timeout()
    )]
    Unreachable {
        /// How long was tried.
        limit: Duration,
        /// The socket.
        path: String,
        /// The server's.
        dialect: Dialect,
    },
    /// The socket cannot be connected to.
    #[error("its socket {path} cannot be connected to as user with uid={uid}: {error}")]
    Connect {
        /// The socket.
        path: String,
        /// The user of the server's process.
        uid: u32,
        /// Why.
        error: io::Error,
    },
    /// It is longer than a worker would read.
    #[error("the request takes {0} bytes without its body, which is more than a process accepts")]
    LongRequest(usize),
    /// Process after process gives the request back.
    #[error(
        "{0} times in a row a process gave the request back, for its script had changed or it was ending"
    )]
    GivenBack(u32),
    /// Process after process closes the connection before it looks at the request.
    #[error("{0} times in a row a process closed the connection before it took the request")]
    NotTaken(u32),
    /// It has waited too long.
    #[error("the request has waited for a thread longer than {} allows", .0.option("queue-timeout"))]
    TooOld(Dialect),
    /// Nothing comes.
    #[error(
        "Timeout when reading response headers from its process{}; {} is {} seconds",
        by(*.0), .2.option("socket-timeout"), .1.as_secs()
    )]
    NoHead(Option<u32>, Duration, Dialect),
    /// Nothing comes any more.
    #[error(
        "Timeout when reading the response from its process{}; {} is {} seconds",
        by(*.0), .2.option("socket-timeout"), .1.as_secs()
    )]
    NoMore(Option<u32>, Duration, Dialect),
    /// The process has closed the connection or ended.
    #[error("{0}, and the client gets no reply")]
    GoneBeforeHead(Ending),
    /// The process has closed the connection or ended in the middle of the reply.
    #[error("{0}, and the client gets only a part of the reply")]
    GoneAfterHead(Ending),
    /// The connection cannot be read.
    #[error("the response cannot be read from its process{}: {}", by(*.0), .1)]
    Read(Option<u32>, io::Error),
    /// A header is longer than `header-buffer-size`.
    #[error(
        "a line of the response's head is longer than {} ({} bytes)", .1.option("header-buffer-size"), .0
    )]
    LongLine(usize, Dialect),
    /// What the process sends is no frame.
    #[error("its process{} sent {}, which is refused", by(*.0), .1)]
    Frame(Option<u32>, WireError),
    /// The frame has no place there.
    #[error("its process{} sent {}, which is refused", by(*.0), .1)]
    Order(Option<u32>, &'static str),
    /// The descriptor is not what it should be.
    #[error("its process{} sent {} for a file wrapper, which is refused", by(*.0), .1)]
    File(Option<u32>, &'static str),
    /// The descriptor of a file could not be received.
    #[error(
        "the file that its process{} sent cannot be taken: the server's process has as many open as it may \
         (ulimit -n), or is not allowed to have this one", by(*.0)
    )]
    Descriptor(Option<u32>),
    /// The server could not write.
    #[error("the response cannot be written to the client: {0}")]
    Write(String),
    /// The group cannot see the script.
    #[error("the script {script} is outside of its root {root} (chroot)")]
    OutsideRoot {
        /// The script.
        script: String,
        /// The root.
        root: String,
    },
    /// A script or its folder is someone else's.
    #[error(transparent)]
    Owner(crate::ownership::Offence),
}

fn by(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid={pid})")).unwrap_or_default()
}

impl Problem {
    /// There is no connection to the group, and it was tried for as long as is to be (`limit`).
    pub fn unconnected(error: ConnectError, settings: &ClientSettings, limit: Duration) -> Self {
        let (path, dialect) = (|| settings.socket.display().to_string(), settings.dialect);
        match error {
            ConnectError::Socket(error) => Self::Socket(error),
            ConnectError::QueueFull => Self::QueueFull(settings.backlog, dialect),
            ConnectError::Refused => Self::Unreachable { limit, path: path(), dialect },
            ConnectError::Other(error) => {
                Self::Connect { path: path(), uid: rustix::process::geteuid().as_raw(), error }
            }
        }
    }

    /// The number of its message.
    pub const fn number(&self) -> Number {
        Number(match self {
            Self::Socket(_) => 115,
            Self::QueueFull(..) | Self::Unreachable { .. } => 116,
            Self::Connect { .. } => 117,
            Self::GoneAfterHead(_) => 119,
            Self::Write(_) => 120,
            Self::LongRequest(_) => 121,
            Self::GivenBack(_) => 124,
            Self::OutsideRoot { .. } => 81,
            Self::TooOld(_) => 84,
            Self::LongLine(..) => 144,
            Self::NoHead(..) => 145,
            Self::GoneBeforeHead(_) => 146,
            Self::Read(..) => 147,
            Self::Frame(..) | Self::Order(..) => 1120,
            Self::File(..) => 1121,
            Self::NoMore(..) => 1122,
            Self::NotTaken(_) => 1123,
            Self::Descriptor(_) => 1124,
            Self::NoThreads => 1125,
            Self::Owner(offence) => offence.number().0,
        })
    }

    /// What the client gets when nothing of the reply is on its way.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Socket(_)
            | Self::LongRequest(_)
            | Self::LongLine(..)
            | Self::Write(_)
            | Self::Descriptor(_)
            | Self::NoThreads
            | Self::OutsideRoot { .. } => 500,
            Self::QueueFull(..) | Self::Unreachable { .. } | Self::Connect { .. } | Self::GivenBack(_) => 503,
            Self::TooOld(_) | Self::NoHead(..) | Self::NoMore(..) => 504,
            Self::GoneBeforeHead(_)
            | Self::GoneAfterHead(_)
            | Self::Read(..)
            | Self::Frame(..)
            | Self::Order(..)
            | Self::File(..)
            | Self::NotTaken(_) => 502,
            Self::Owner(_) => 403,
        }
    }

    /// When the client may come again, where that helps.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::QueueFull(..) | Self::Unreachable { .. } | Self::GivenBack(_) => {
                Some(Duration::from_secs(5))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_called_what_they_are_in_the_configuration() {
        let texts = |dialect| {
            let (limit, path) = (Duration::from_secs(5), "/run/s".to_owned());
            [
                Problem::QueueFull(100, dialect),
                Problem::Unreachable { limit, path, dialect },
                Problem::TooOld(dialect),
                Problem::NoHead(Some(7), limit, dialect),
                Problem::NoMore(None, limit, dialect),
                Problem::LongLine(9, dialect),
            ]
            .map(|problem| problem.to_string())
        };
        let httpd = [
            "all its threads are busy and its queue is full (listen-backlog=100); the client is told to come again later",
            "none of its processes could be reached within 5 seconds (connect-timeout) at /run/s",
            "the request has waited for a thread longer than queue-timeout allows",
            "Timeout when reading response headers from its process (pid=7); socket-timeout is 5 seconds",
            "Timeout when reading the response from its process; socket-timeout is 5 seconds",
            "a line of the response's head is longer than header-buffer-size (9 bytes)",
        ];
        assert_eq!(texts(Dialect::Httpd), httpd);
        let nginx =
            httpd.map(|text| text.replace("connect-timeout", "wsgi_connect_timeout").replace('-', "_"));
        assert_eq!(texts(Dialect::Nginx), nginx);
    }
}
