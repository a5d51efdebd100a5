//! The Python runtime loaded into this process, and the calls to it.

#![allow(unsafe_code, reason = "calls the functions of another shared object")]

use std::path::{Path, PathBuf};

use oxwsgi_core::abi::{ABI_VERSION, ENTRY_SYMBOL, Entry, Header, Import, Message, RuntimeTable, Start};
use oxwsgi_core::exchange::{Outcome, RemoteExchange};
use oxwsgi_core::home::Python;
use oxwsgi_core::request::RequestView;

use crate::embed::library::{Library, Scope, is_defined};

/// Why Python does not run in this process.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Another module has brought one along.
    #[error("another module has loaded a Python into this process already; only one fits in")]
    OtherPython,
    /// This Python can be executed, and not be loaded.
    #[error("this Python has no shared library")]
    NoLibrary,
    /// The loader refuses a file.
    #[error("{} cannot be loaded: {reason}", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// The loader's words.
        reason: String,
    },
    /// The file is no runtime.
    #[error("{} is not oxwsgi's Python runtime: it lacks the symbol {}", file.display(), ENTRY_SYMBOL.to_string_lossy())]
    NoEntry {
        /// The file.
        file: PathBuf,
    },
    /// The two files do not belong together.
    #[error(
        "the runtime {} (version {runtime_version}, interface {runtime_abi}) does not fit the server's module in {} \
         (version {}, interface {ABI_VERSION}); install both from the same release",
        file.display(), module.display(), env!("CARGO_PKG_VERSION")
    )]
    Mismatch {
        /// The runtime's file.
        file: PathBuf,
        /// The folder of the server's module.
        module: PathBuf,
        /// The runtime's package version.
        runtime_version: String,
        /// The runtime's interface version.
        runtime_abi: u32,
    },
    /// Python did not start.
    #[error("Python {version} of {} does not start: {reason}", executable.display())]
    NotStarted {
        /// Its version.
        version: String,
        /// Its program.
        executable: PathBuf,
        /// What the runtime says.
        reason: String,
    },
}

/// Python, running in this process.
#[derive(Debug)]
pub struct Runtime {
    table: &'static RuntimeTable,
}

impl Runtime {
    /// Loads `python` and the runtime in `file`, and starts it. `module` is the folder of the server's module, for an
    /// error to name.
    ///
    /// # Safety
    /// The process will not fork again, its privileges are dropped, and the caller's thread is the one that will call
    /// [`Runtime::stop`].
    pub unsafe fn start(
        python: &Python,
        file: &Path,
        module: &Path,
        start: &Start<'_>,
    ) -> Result<Self, LoadError> {
        if is_defined(c"Py_Initialize") {
            return Err(LoadError::OtherPython);
        }
        let refused = |file: &Path| {
            let file = file.to_owned();
            move |reason| LoadError::Refused { file, reason }
        };
        let library = python.library.as_deref().ok_or(LoadError::NoLibrary)?;
        // SAFETY: privileges are dropped by the caller's word, so the site's code may run.
        unsafe { Library::load(library, Scope::Everyone) }.map_err(refused(library))?;
        // SAFETY: our own code.
        let library = unsafe { Library::load(file, Scope::Handle) }.map_err(refused(file))?;
        let Some(entry) = library.symbol(ENTRY_SYMBOL) else {
            return Err(LoadError::NoEntry { file: file.to_owned() });
        };
        // SAFETY: the runtime exports a function of this type under this name.
        let entry: Entry = unsafe { std::mem::transmute(entry) };
        let table = entry();
        // SAFETY: a table starts with a header, in every version.
        let header = unsafe { *table.cast::<Header>() };
        if !header.fits::<RuntimeTable>() {
            return Err(LoadError::Mismatch {
                file: file.to_owned(),
                module: module.to_owned(),
                runtime_version: String::from_utf8_lossy(&header.package_version).into_owned(),
                runtime_abi: header.abi_version,
            });
        }
        // SAFETY: version and size are ours, so it is a table of this type; the library stays loaded.
        let table = unsafe { &*table };

        let mut message = Message::EMPTY;
        // SAFETY: called once, for a process has one runtime; the rest is the caller's word.
        if unsafe { (table.start)(start, &raw mut message) } {
            Ok(Self { table })
        } else {
            let (major, minor, patch) = python.version;
            Err(LoadError::NotStarted {
                version: format!("{major}.{minor}.{patch}"),
                executable: python.executable.clone(),
                reason: message.text(),
            })
        }
    }

    /// Loads a script ahead of the first request; a failure is logged. On the thread that started Python.
    pub fn import(&self, import: &Import<'_>) {
        // SAFETY: the table is that of a runtime that has started; what is passed is borrowed for the call.
        unsafe { (self.table.import)(import) }
    }

    /// Serves a request on this thread, start to finish.
    #[inline]
    pub fn serve(&self, request: &RequestView<'_>, exchange: &mut RemoteExchange<'_>) -> Outcome {
        // SAFETY: the table is that of a runtime that has started; what is passed is borrowed for the call.
        unsafe { (self.table.serve)(request, exchange) }
    }

    /// Runs Python's exit handlers and ends it. On the thread that started it; requests still being served are given
    /// up.
    pub fn stop(&self) {
        // SAFETY: the table is that of a runtime that has started.
        unsafe { (self.table.stop)() }
    }
}
