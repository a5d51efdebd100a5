//! Finds the application of a request: loads its script, loads it again when it has changed, looks the callable up.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Condvar, Mutex, PoisonError};

use md5::{Digest, Md5};
use oxwsgi_core::report::{Level, Number};
use oxwsgi_core::request::Target;

use crate::python::{Attached, Held, Obj, PyResult};
use crate::wsgi::host::Host;
use crate::wsgi::traceback::{self, Report};
use crate::wsgi::transaction::Transaction;

/// The scripts of one interpreter. Used attached.
#[derive(Debug)]
pub struct Scripts {
    known: RefCell<Vec<Rc<Script>>>,
    mtime: Held,
    reload_required: Held,
}

/// A script file and the names under which Python knows it and what is in it.
#[derive(Debug)]
struct Script {
    path: Box<[u8]>,
    module_name: Held,
    callables: RefCell<Vec<(Box<[u8]>, Held)>>,
}

/// The status with which a request is refused, its reason logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal(pub u16);

/// Whether the loaded module will do.
enum State<'py> {
    /// The globals of a module that is loaded and up to date.
    Ready(Obj<'py>),
    /// The script has changed since, or its module says so.
    Stale,
    /// Not loaded.
    Missing,
}

/// One loader at a time in the process: scripts import modules, and two interpreters may share those of extensions.
static LOADING: LoadLock = LoadLock { busy: Mutex::new(false), free: Condvar::new() };

struct LoadLock {
    busy: Mutex<bool>,
    free: Condvar,
}

/// The right to load, on whichever thread holds it.
struct Loading;

impl Loading {
    /// Waits, detached: the loader runs Python code.
    fn acquire(py: Attached<'_>) -> Self {
        py.detach(|| {
            let mut busy = LOADING.busy.lock().unwrap_or_else(PoisonError::into_inner);
            while *busy {
                busy = LOADING.free.wait(busy).unwrap_or_else(PoisonError::into_inner);
            }
            *busy = true;
        });
        Self
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        *LOADING.busy.lock().unwrap_or_else(PoisonError::into_inner) = false;
        LOADING.free.notify_one();
    }
}

/// The application of a request.
pub fn find<'py>(
    py: Attached<'py>,
    host: &Host,
    transaction: &Transaction,
    target: &Target<'_>,
) -> Result<Obj<'py>, Refusal> {
    look_up(py, host, transaction, target).unwrap_or_else(|raised| {
        let exception = raised.take();
        let script = String::from_utf8_lossy(&target.script);
        let numbers = (Number(106), Number(107));
        traceback::report(
            py,
            host,
            Report::Request(transaction),
            numbers,
            &exception,
            "finding WSGI script",
            &script,
        );
        Err(Refusal(500))
    })
}

/// Loads a script before the first request; failures are logged.
pub fn import(py: Attached<'_>, host: &Host, script: &[u8]) {
    let target = Target { script: script.into(), script_mtime: -1, ..Target::default() };
    let report = Report::Process(host.process());
    let loaded =
        host.scripts().script(py, host, script).and_then(|script| script.load(py, host, report, &target));
    if let Err(raised) = loaded {
        traceback::log_outside_request(py, host.process(), &raised.take());
    }
}

fn look_up<'py>(
    py: Attached<'py>,
    host: &Host,
    transaction: &Transaction,
    target: &Target<'_>,
) -> PyResult<'py, Result<Obj<'py>, Refusal>> {
    let script = host.scripts().script(py, host, &target.script)?;
    let report = Report::Request(transaction);
    let globals = match script.state(py, host, report, target)? {
        State::Ready(globals) => globals,
        State::Stale | State::Missing => match script.load(py, host, report, target)? {
            Some(globals) => globals,
            None => return Ok(Err(Refusal(500))),
        },
    };
    if let Some(callable) = globals.item(&script.callable_name(py, &target.callable)?)? {
        return Ok(Ok(callable));
    }
    let text = format!(
        "{}: Target WSGI script '{}' does not contain WSGI application '{}'.",
        Number(89),
        String::from_utf8_lossy(&target.script),
        String::from_utf8_lossy(&target.callable)
    );
    report.write(py, Level::Error, vec![text]);
    Ok(Err(Refusal(404)))
}

impl Scripts {
    /// None yet.
    pub fn new<'py>(py: Attached<'py>) -> PyResult<'py, Self> {
        Ok(Self {
            known: RefCell::default(),
            mtime: py.name(c"__mtime__")?.hold(),
            reload_required: py.name(c"reload_required")?.hold(),
        })
    }

    fn script<'py>(&self, py: Attached<'py>, host: &Host, path: &[u8]) -> PyResult<'py, Rc<Script>> {
        if let Some(script) = self.known.borrow().iter().find(|script| *script.path == *path) {
            return Ok(Rc::clone(script));
        }
        let module_name =
            py.latin1(module_name(path, host.process().settings().case_sensitivity).as_bytes())?;
        let script = Rc::new(Script {
            path: path.into(),
            module_name: module_name.hold(),
            callables: RefCell::default(),
        });
        self.known.borrow_mut().push(Rc::clone(&script));
        Ok(script)
    }
}

impl Script {
    fn state<'py>(
        &self,
        py: Attached<'py>,
        host: &Host,
        report: Report<'_>,
        target: &Target<'_>,
    ) -> PyResult<'py, State<'py>> {
        let Some(module) = py.modules().item(self.module_name.get(py))? else { return Ok(State::Missing) };
        let globals = module.module_dict()?;
        if !target.script_reloading {
            return Ok(State::Ready(globals));
        }
        let loaded = globals.item(host.scripts().mtime.get(py))?.and_then(|mtime| mtime.to_int());
        let current = if target.script_mtime >= 0 {
            Some(target.script_mtime)
        } else {
            let path = self.as_path();
            py.detach(|| std::fs::metadata(path).ok().map(|metadata| microseconds(&metadata)))
        };
        if loaded.is_none() || loaded != current {
            return Ok(State::Stale);
        }
        if let Some(callback) = globals.item(host.scripts().reload_required.get(py))? {
            let resource = py.path(&target.resource)?;
            match callback.call(&[&resource]).and_then(|answer| answer.is_true()) {
                Ok(true) => return Ok(State::Stale),
                Ok(false) => {}
                Err(raised) => {
                    let exception = raised.take();
                    let event = "in reload_required() of WSGI script";
                    traceback::report(
                        py,
                        host,
                        report,
                        (Number(109), Number(108)),
                        &exception,
                        event,
                        &self.display(),
                    );
                }
            }
        }
        Ok(State::Ready(globals))
    }

    /// The globals of the loaded module; none when it could not be loaded, which is logged.
    fn load<'py>(
        &self,
        py: Attached<'py>,
        host: &Host,
        report: Report<'_>,
        target: &Target<'_>,
    ) -> PyResult<'py, Option<Obj<'py>>> {
        let _loading = Loading::acquire(py);
        // Another thread may have done it meanwhile.
        let verb = match self.state(py, host, report, target)? {
            State::Ready(globals) => return Ok(Some(globals)),
            State::Stale => {
                py.modules().remove_item(self.module_name.get(py))?;
                "Reloading"
            }
            State::Missing => "Loading",
        };
        let (path, place) = (self.display(), host.place());
        report.write(py, Level::Info, vec![format!("{verb} WSGI script '{path}' into {place}.")]);
        let file = self.as_path();
        let (source, mtime) = match py.detach(|| read(file)) {
            Ok(read) => read,
            Err(error) => {
                let text =
                    format!("{}: Unable to read WSGI script '{path}' for {place}: {error}", Number(105));
                report.write(py, Level::Error, vec![text]);
                return Ok(None);
            }
        };
        let module = match py.run_script(self.module_name.get(py), &py.path(&self.path)?, &source) {
            Ok(module) => module,
            Err(raised) => {
                let exception = raised.take();
                traceback::report(
                    py,
                    host,
                    report,
                    (Number(106), Number(107)),
                    &exception,
                    "loading WSGI script",
                    &path,
                );
                return Ok(None);
            }
        };
        let globals = module.module_dict()?;
        globals.set_item(host.scripts().mtime.get(py), &py.int(mtime)?)?;
        Ok(Some(globals))
    }

    fn callable_name<'py>(&self, py: Attached<'py>, name: &[u8]) -> PyResult<'py, Obj<'py>> {
        if let Some((_, known)) = self.callables.borrow().iter().find(|(known, _)| **known == *name) {
            return Ok(known.share(py));
        }
        let text = py.latin1(name)?;
        self.callables.borrow_mut().push((name.into(), text.clone().hold()));
        Ok(text)
    }

    fn as_path(&self) -> &Path {
        Path::new(std::ffi::OsStr::from_bytes(&self.path))
    }

    fn display(&self) -> String {
        self.as_path().display().to_string()
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
fn microseconds(metadata: &std::fs::Metadata) -> i64 {
    metadata.mtime() * 1_000_000 + metadata.mtime_nsec() / 1000
}
