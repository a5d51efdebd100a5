//! A script file and the module that was made of it: loads it, and loads it again when it has changed.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;

use md5::{Digest, Md5};
use oxwsgi_core::report::{Level, Number};
use oxwsgi_core::request::ScriptTitle;

use crate::python::{Attached, Held, Obj, PyResult};
use crate::wsgi::loading::{self, Loaded, Search};
use crate::wsgi::place::Place;
use crate::wsgi::report::Report;
use crate::wsgi::traceback::{self, Event};

/// The names that the gateway looks for in a script's module.
#[derive(Debug)]
pub struct ScriptNames {
    mtime: Held,
    reload_required: Held,
}

/// A script, as one interpreter knows it. Used attached.
#[derive(Debug)]
pub struct Script {
    names: Rc<ScriptNames>,
    path: Box<[u8]>,
    module_name: Held,
    loadings: Cell<u64>,
}

/// Whether the loaded module will do.
enum State<'py> {
    /// The globals of a module that is loaded and up to date.
    Ready(Obj<'py>),
    /// The globals of a module that is being loaded, or whose application has taken the mark away.
    Unmarked(Obj<'py>),
    /// The script has changed since, or its module says so.
    Stale,
    /// Not loaded.
    Missing,
}

impl ScriptNames {
    /// For the interpreter that the thread is attached to.
    pub fn new<'py>(py: Attached<'py>) -> PyResult<'py, Self> {
        Ok(Self {
            mtime: py.name(c"__mtime__")?.hold(),
            reload_required: py.name(c"reload_required")?.hold(),
        })
    }
}

impl Script {
    /// The script at `path`, not loaded.
    pub fn new<'py>(
        py: Attached<'py>,
        names: &Rc<ScriptNames>,
        path: &[u8],
        case_sensitive: bool,
    ) -> PyResult<'py, Self> {
        let module_name = py.latin1(module_name(path, case_sensitive).as_bytes())?;
        Ok(Self {
            names: Rc::clone(names),
            path: path.into(),
            module_name: module_name.hold(),
            loadings: Cell::new(0),
        })
    }

    /// Where the file is.
    pub const fn path(&self) -> &[u8] {
        &self.path
    }

    /// How often it was loaded. Another number means that its globals are others.
    pub fn loadings(&self) -> u64 {
        self.loadings.get()
    }

    /// The globals of the module, loaded if need be.
    pub fn globals<'py>(&self, py: Attached<'py>, search: &Search<'_>) -> PyResult<'py, Loaded<'py>> {
        match self.state(py, search)? {
            State::Ready(globals) => Ok(Loaded::Ready(globals)),
            // What looks stale may be just being loaded, by another thread.
            _ => self.load(py, search),
        }
    }

    fn state<'py>(&self, py: Attached<'py>, search: &Search<'_>) -> PyResult<'py, State<'py>> {
        let Search { place, report, target } = *search;
        let Some(module) = py.modules().item(self.module_name.get(py))? else { return Ok(State::Missing) };
        let globals = module.module_dict()?;
        let loaded = globals.item(self.names.mtime.get(py))?.and_then(|mtime| mtime.to_int());
        if !target.script_reloading {
            return Ok(if loaded.is_some() { State::Ready(globals) } else { State::Unmarked(globals) });
        }
        let told = (target.script_mtime >= 0).then_some(target.script_mtime);
        // A daemon process ends over it, so it looks for itself: the server may have looked some time ago.
        let is_certain = told == loaded || (told.is_some() && !place.settings().is_daemon());
        let current = if is_certain { told } else { self.current_mtime(py) };
        if loaded.is_none() || loaded != current {
            return Ok(State::Stale);
        }
        let Some(callback) = globals.item(self.names.reload_required.get(py))? else {
            return Ok(State::Ready(globals));
        };
        match callback.call(&[&py.path(&target.resource)?]).and_then(|answer| answer.is_true()) {
            Ok(true) => return Ok(State::Stale),
            Ok(false) => {}
            Err(raised) => {
                let doing = "in reload_required() of";
                let event =
                    Event { number: Number(109), exit_number: Number(108), doing, script: self.title() };
                traceback::report(py, place, report, event, &raised.take());
            }
        }
        Ok(State::Ready(globals))
    }

    fn load<'py>(&self, py: Attached<'py>, search: &Search<'_>) -> PyResult<'py, Loaded<'py>> {
        let Search { place, report, .. } = *search;
        let _loading = loading::take_turn(py);
        // Another thread may have done it meanwhile.
        let verb = match self.state(py, search)? {
            State::Ready(globals) | State::Unmarked(globals) => return Ok(Loaded::Ready(globals)),
            State::Stale if place.settings().is_daemon() => return Ok(self.outdated(py, place, report)),
            State::Stale => {
                py.modules().remove_item(self.module_name.get(py))?;
                "Reloading"
            }
            State::Missing => "Loading",
        };
        let (file, title, place_name) = (self.file(), self.title(), place.describe());
        report.write(py, Level::Info, vec![format!("{verb} {title} into {place_name}.")]);
        let (source, mtime) = match py.detach(|| read(file)) {
            Ok(read) => read,
            Err(error) => {
                let text = format!("{}: Unable to read {title} for {place_name}: {error}", Number(105));
                report.write(py, Level::Error, vec![text]);
                return Ok(Loaded::Failed);
            }
        };
        self.loadings.set(self.loadings.get() + 1);
        match py.run_script(self.module_name.get(py), &py.path(&self.path)?, &source) {
            Ok(module) => {
                let globals = module.module_dict()?;
                globals.set_item(self.names.mtime.get(py), &py.int(mtime)?)?;
                Ok(Loaded::Ready(globals))
            }
            Err(raised) => Ok(loading::failed(py, place, report, "loading", title, &raised.take())),
        }
    }

    fn outdated<'py>(&self, py: Attached<'py>, place: &Place, report: Report<'_>) -> Loaded<'py> {
        let text = format!(
            "Forcing restart of daemon process '{}' due to modification of script '{}'.",
            place.settings().group_name(),
            self.file().display()
        );
        report.write(py, Level::Info, vec![text]);
        Loaded::Outdated
    }

    fn current_mtime(&self, py: Attached<'_>) -> Option<i64> {
        let file = self.file();
        py.detach(|| std::fs::metadata(file).ok().map(|metadata| microseconds(&metadata)))
    }

    fn title(&self) -> ScriptTitle<'_> {
        ScriptTitle::file(&self.path)
    }

    fn file(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }
}

/// The name under which a script's module stands in `sys.modules`.
fn module_name(path: &[u8], case_sensitive: bool) -> String {
    let digest = if case_sensitive { Md5::digest(path) } else { Md5::digest(path.to_ascii_lowercase()) };
    digest.iter().fold("_mod_wsgi_".to_owned(), |mut name, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(name, "{byte:02x}");
        name
    })
}

fn read(path: &Path) -> io::Result<(Vec<u8>, i64)> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut source = Vec::new();
    file.read_to_end(&mut source)?;
    Ok((source, microseconds(&metadata)))
}

/// Modification time as httpd counts it: microseconds since the epoch.
fn microseconds(metadata: &Metadata) -> i64 {
    metadata.mtime() * 1_000_000 + metadata.mtime_nsec() / 1000
}
