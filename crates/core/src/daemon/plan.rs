//! The plan of a server's daemon groups, as the server's module hands it to the supervisor and the supervisor, group by
//! group, to its workers. Paths and names are bytes: a file system knows no encoding.

#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use super::log_target::LogTarget;
use crate::config::{Limits, Resources};
use crate::dialect::Dialect;
use crate::request::ScriptKind;

/// All groups of one server, of one reading of its configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Package version of the module that wrote it; the supervisor must be of the same.
    pub package_version: String,
    /// A group that cannot start ends the supervisor, and with it the server's start. Off at a restart, when other sites
    /// are running.
    pub strict: bool,
    /// The process that must live, when its number is certain; the lifeline says so as well.
    pub parent: Option<u32>,
    /// The server's user, who connects to the sockets.
    pub server_user: u32,
    /// Where the supervisor's own lines go.
    pub log: LogTarget,
    /// What an application can learn of the server.
    pub server: Server,
    /// The runtime's `abi3` and version-specific files are named by each group.
    pub groups: Vec<Group>,
}

/// Facts about the server. What names httpd's own (`apache.version` and its like) is there under httpd only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// What it is, and so what its settings are called.
    pub dialect: Dialect,
    /// Major, minor, patch: `apache.version`.
    pub version: [u32; 3],
    /// `apache.description`; name and version of a server that is not httpd.
    pub description: Vec<u8>,
    /// `apache.mpm_name`.
    pub mpm_name: Vec<u8>,
    /// `apache.build_date`.
    pub built: Vec<u8>,
}

/// Who the workers of a group are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups, without `gid`'s own when that is the only one.
    pub groups: Vec<u32>,
    /// Name in the user database, when there is one: `USER`, `LOGNAME`.
    pub name: Option<Vec<u8>>,
    /// Home directory in the user database: `HOME`.
    pub home: Option<Vec<u8>>,
}

/// One daemon group (`WSGIDaemonProcess`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: Vec<u8>,
    /// How many processes.
    pub processes: u32,
    /// Threads in each that serve requests; 0 runs import scripts alone.
    pub threads: u32,
    /// `wsgi.multiprocess`.
    pub multiprocess: bool,
    /// Who runs them; none leaves them the supervisor's own.
    pub account: Option<Account>,
    /// Whether the account is not the server's own, so that the environment of the server is none of its business.
    pub foreign: bool,
    /// Path of the socket.
    pub socket: Vec<u8>,
    /// Who may connect, and owns the socket's file (`socket-user`, or the server's user).
    pub socket_user: u32,
    /// Length of the queue of requests that no thread has taken (`listen-backlog`).
    pub backlog: u32,
    /// `SO_SNDBUF` and `SO_RCVBUF` of the socket, in bytes; 0 leaves the system's.
    pub socket_buffers: (u32, u32),
    /// Its log outside of requests.
    pub log: LogTarget,
    /// `umask`.
    pub umask: Option<u32>,
    /// `chroot`.
    pub chroot: Option<Vec<u8>>,
    /// Working directory, and then `sys.path[0]` (`home`). Without it a foreign account gets its home directory.
    pub home: Option<Vec<u8>>,
    /// `LANG`.
    pub lang: Option<Vec<u8>>,
    /// `LC_ALL`, and the locale set with it.
    pub locale: Option<Vec<u8>>,
    /// Variables of the environment, names and values (nginx's `wsgi_env`); stronger than all others.
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
    /// What `ps` shows, `%{GROUP}` expanded.
    pub display_name: Option<Vec<u8>>,
    /// What the kernel limits.
    pub resources: Resources,
    /// What we limit.
    pub limits: Limits,
    /// Its Python.
    pub python: Python,
    /// Scripts to load at start, in order.
    pub imports: Vec<Import>,
}

/// A group's Python and how it starts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Python {
    /// The program to execute.
    pub executable: Vec<u8>,
    /// The runtime's file for it.
    pub runtime: Vec<u8>,
    /// Directories for `site.addsitedir` (`python-path`).
    pub path: Vec<Vec<u8>>,
    /// `PYTHON_EGG_CACHE` (`python-eggs`).
    pub eggs: Option<Vec<u8>>,
    /// Filter specifications (`WSGIPythonWarnings`).
    pub warnings: Vec<Vec<u8>>,
    /// It ignores its variables in the environment and the user's site-packages (nginx's `wsgi_python_isolated`).
    pub isolated: bool,
    /// 0, 1 or 2 (`WSGIPythonOptimize`).
    pub optimize: u8,
    /// Absent, `random` or a number (`WSGIPythonHashSeed`).
    pub hash_seed: Option<Vec<u8>>,
    /// `WSGIDontWriteBytecode`.
    pub dont_write_bytecode: bool,
    /// Seconds; 0 leaves Python's own (`switch-interval`).
    pub switch_interval: f64,
    /// `WSGIRestrictStdin`.
    pub restrict_stdin: bool,
    /// `WSGIRestrictStdout`.
    pub restrict_stdout: bool,
    /// `WSGIRestrictSignal`.
    pub restrict_signal: bool,
    /// `WSGIDestroyInterpreter`.
    pub destroy_interpreter: bool,
    /// `WSGICaseSensitivity`.
    pub case_sensitivity: bool,
}

/// A script to load when a process starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Path of the script, or name of the module.
    pub script: Vec<u8>,
    /// What `script` names.
    pub script_kind: ScriptKind,
    /// The callable that must be there; empty loads the script and looks for none.
    pub callable: Vec<u8>,
    /// Whether the callable is called, to make the application.
    pub factory: bool,
    /// Interpreter; empty is the main one.
    pub application_group: Vec<u8>,
}
