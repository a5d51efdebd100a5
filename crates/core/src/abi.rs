//! The C contract between a server's module and the Python runtime: two shared objects, built apart, possibly of
//! different versions. Each hands the other a function table whose version and size are checked first.
//!
//! The request and the exchange cross as the types of [`crate::request`] and [`crate::exchange`], which have a C layout.

#![allow(unsafe_code, reason = "calls a C function pointer with a slice's parts")]

use std::fmt;

use crate::borrowed::{Bytes, MaybeBytes, Slice};
use crate::boundary::guard;
use crate::exchange::{Outcome, RemoteExchange};
use crate::report::Level;
use crate::request::{RequestView, ScriptKind};

/// Rises with every change of a type that crosses.
pub const ABI_VERSION: u32 = 4;

/// The symbol a runtime exports; its type is [`Entry`].
pub const ENTRY_SYMBOL: &std::ffi::CStr = c"oxwsgi_runtime";

/// Gives the runtime's table; callable before Python is initialised.
pub type Entry = extern "C" fn() -> *const RuntimeTable;

/// First fields of every table: they never move.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// [`ABI_VERSION`] of the side that made the table.
    pub abi_version: u32,
    /// `size_of` the whole table on that side.
    pub size: u32,
    /// Package version of that side.
    pub package_version: Bytes<'static>,
}

impl Header {
    /// The header of this build's table `T`.
    pub const fn of<T>() -> Self {
        Self {
            abi_version: ABI_VERSION,
            size: size_of::<T>() as u32,
            package_version: Bytes::new(env!("CARGO_PKG_VERSION").as_bytes()),
        }
    }

    /// Whether a table `T` with this header can be used by this build.
    pub const fn fits<T>(&self) -> bool {
        self.abi_version == ABI_VERSION && self.size as usize == size_of::<T>()
    }
}

/// What the runtime does for a server process. Calls may come from any thread unless a field says otherwise.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RuntimeTable {
    /// Version and size.
    pub header: Header,
    /// Starts Python in this process: once, after the last fork, on the thread that will call `stop`. Returns whether
    /// it runs; when not, the message says why. The calling thread is left detached.
    pub start: unsafe extern "C" fn(*const Start<'_>, *mut Message) -> bool,
    /// Loads a script before the first request. Failures are logged. Same thread as `start`.
    pub import: unsafe extern "C" fn(*const Import<'_>),
    /// Serves one request, start to finish, on the calling thread.
    pub serve: unsafe extern "C" fn(*const RequestView<'_>, *mut RemoteExchange<'_>) -> Outcome,
    /// Runs the exit handlers and ends Python. No request is being served, or it is given up. Same thread as `start`.
    pub stop: unsafe extern "C" fn(),
}

impl fmt::Debug for RuntimeTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeTable").field("header", &self.header).finish_non_exhaustive()
    }
}

/// Text that a call leaves for its caller.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Message {
    length: usize,
    bytes: [u8; 1024],
}

impl Message {
    /// No text.
    pub const EMPTY: Self = Self { length: 0, bytes: [0; 1024] };

    /// Replaces the text; what does not fit is cut.
    pub fn set(&mut self, text: &str) {
        self.length = text.floor_char_boundary(self.bytes.len());
        self.bytes[..self.length].copy_from_slice(&text.as_bytes()[..self.length]);
    }

    /// The text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes[..self.length.min(self.bytes.len())]).into_owned()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().fmt(f)
    }
}

/// A server's log, for what belongs to no request.
pub trait Log {
    /// Writes one line of text (no newline). May block; callable from any thread.
    fn write(level: Level, line: &[u8]);
}

/// A [`Log`] of the other side.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct LogSink(unsafe extern "C" fn(Level, *const u8, usize));

impl LogSink {
    /// Lends `L` to the other side.
    pub const fn of<L: Log>() -> Self {
        Self(write::<L>)
    }

    /// Writes one line of text (no newline). May block.
    pub fn write(self, level: Level, line: &[u8]) {
        // SAFETY: the function that `of` put in takes a slice's parts, for the call only.
        unsafe { (self.0)(level, line.as_ptr(), line.len()) }
    }
}

unsafe extern "C" fn write<L: Log>(level: Level, start: *const u8, length: usize) {
    // SAFETY: called by `LogSink::write` only, with a slice's parts.
    let line = unsafe { std::slice::from_raw_parts(start, length) };
    guard(|| L::write(level, line), |_| ());
}

/// How Python runs in this process. Borrowed for the call of `start` only, except where a field says otherwise.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// Version and size.
    pub header: Header,
    /// The `python` whose `sys.prefix` and site-packages to use (of a venv: the venv's).
    pub executable: Bytes<'a>,
    /// The server's log, outside any request. Kept.
    pub log: LogSink,
    /// The least severe level that `log` writes, to leave out what nobody reads.
    pub log_level: Level,
    /// Directories for `site.addsitedir`, moved to the front of `sys.path` (`WSGIPythonPath`).
    pub python_path: Slice<'a, Bytes<'a>>,
    /// `PYTHON_EGG_CACHE` (`WSGIPythonEggs`).
    pub python_eggs: MaybeBytes<'a>,
    /// Filter specifications, in order (`WSGIPythonWarnings`).
    pub python_warnings: Slice<'a, Bytes<'a>>,
    /// 0, 1 or 2 (`WSGIPythonOptimize`).
    pub python_optimize: u8,
    /// `WSGIPythonHashSeed`: absent, `random`, or a number.
    pub python_hash_seed: MaybeBytes<'a>,
    /// No `.pyc` files (`WSGIDontWriteBytecode`).
    pub dont_write_bytecode: bool,
    /// `sys.setswitchinterval` in seconds; 0 leaves Python's own (`WSGISwitchInterval`).
    pub switch_interval: f64,
    /// `WSGIRestrictStdin`.
    pub restrict_stdin: bool,
    /// `WSGIRestrictStdout`.
    pub restrict_stdout: bool,
    /// `WSGIRestrictSignal`.
    pub restrict_signal: bool,
    /// The process is the server's only one (`httpd -X`): stdin and stdout stay what they are, for a debugger.
    pub single_process: bool,
    /// Off: interpreters are not ended at exit (`WSGIDestroyInterpreter`).
    pub destroy_interpreter: bool,
    /// Off: script paths count in lower case (`WSGICaseSensitivity`).
    pub case_sensitivity: bool,
    /// `wsgi.multithread`.
    pub multithread: bool,
    /// `wsgi.multiprocess`.
    pub multiprocess: bool,
    /// `mod_wsgi.process_group`; empty is embedded mode.
    pub process_group: Bytes<'a>,
    /// `mod_wsgi.maximum_processes`.
    pub maximum_processes: u32,
    /// `mod_wsgi.threads_per_process`.
    pub threads_per_process: u32,
    /// `apache.version`: major, minor, patch.
    pub server_version: [u32; 3],
    /// `apache.description`.
    pub server_description: Bytes<'a>,
    /// `apache.mpm_name`.
    pub mpm_name: Bytes<'a>,
    /// `apache.build_date`.
    pub server_built: Bytes<'a>,
}

impl fmt::Debug for Start<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start").field("executable", &self.executable).finish_non_exhaustive()
    }
}

/// A script to load at process start (`WSGIImportScript`, or a script alias with both groups given).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Import<'a> {
    /// Path of the script, or name of the module.
    pub script: Bytes<'a>,
    /// What `script` names.
    pub script_kind: ScriptKind,
    /// The callable that must be there; empty loads the script and looks for none.
    pub callable: Bytes<'a>,
    /// Whether the callable is called, to make the application.
    pub factory: bool,
    /// Interpreter; empty is the main one.
    pub application_group: Bytes<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_another_version_or_size_does_not_fit() {
        let header = Header::of::<RuntimeTable>();
        assert!(header.fits::<RuntimeTable>());
        assert!(!Header { abi_version: ABI_VERSION + 1, ..header }.fits::<RuntimeTable>());
        assert!(!Header { size: header.size - 8, ..header }.fits::<RuntimeTable>());
    }

    #[test]
    fn a_message_is_cut_at_a_character() {
        let mut message = Message::EMPTY;
        message.set(&"é".repeat(1000));
        assert_eq!(message.text(), "é".repeat(512));
    }
}
