//! The environ of a request (PEP 3333, "environ Variables").
//!
//! Most of what it holds is the same from one request to the next. So the interpreter keeps a template with the
//! constant keys and the variables as they were last seen; a request compares its variables with those, corrects the
//! template where they differ, and gets a copy of it. That costs a comparison where it would cost an object.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::CStr;
use std::hash::BuildHasherDefault;
use std::time::{SystemTime, UNIX_EPOCH};

use oxwsgi_core::borrowed::MaybeBytes;
use oxwsgi_core::request::{RequestView, Variable};

use crate::python::{Attached, Held, Obj, PyResult};
use crate::wsgi::header_keys::{HeaderKeys, NameHasher};
use crate::wsgi::settings::Settings;
use crate::wsgi::toolkit::Toolkit;

/// Names of configured variables that are remembered.
const MOST_EXTRA_NAMES: usize = 512;

/// The level of mod_wsgi's interface that the gateway offers.
pub const COMPATIBILITY: [u32; 3] = [6, 0, 5];

/// Makes environs in one interpreter. Used attached.
#[derive(Debug)]
pub struct EnvironTemplate {
    template: Held,
    variables: Vec<Key>,
    // No borrow of these lasts while Python code can run.
    last: RefCell<Vec<Last>>,
    headers: RefCell<HeaderKeys>,
    extra: RefCell<HashMap<Box<[u8]>, ExtraKey, BuildHasherDefault<NameHasher>>>,
    // Rises with every correction of the template.
    version: Cell<u64>,
    input: Held,
    errors: Held,
    url_scheme: Held,
    https: Held,
    thread_id: Held,
    request_start: Held,
    queue_start: Held,
    daemon_start: Held,
    application_start: Held,
}

#[derive(Debug)]
struct Key {
    variable: Variable,
    key: Held,
}

/// A variable as the template has it.
#[derive(Debug, Default)]
struct Last {
    bytes: Vec<u8>,
    present: bool,
}

#[derive(Debug)]
struct ExtraKey {
    key: Held,
    // A variable that the server computes; that wins.
    variable: Option<Variable>,
    reserved: bool,
}

impl EnvironTemplate {
    /// For the interpreter that the thread is attached to.
    pub fn new<'py>(py: Attached<'py>, settings: &Settings, file_wrapper: &Obj<'py>) -> PyResult<'py, Self> {
        let template = py.dict()?;
        let set = |key: &CStr, value: Obj<'py>| template.set_item(&py.name(key)?, &value);
        set(c"wsgi.version", py.numbers(&[1, 0])?)?;
        set(c"wsgi.url_scheme", py.name(c"http")?)?;
        set(c"wsgi.multithread", py.bool(settings.multithread))?;
        set(c"wsgi.multiprocess", py.bool(settings.multiprocess))?;
        set(c"wsgi.run_once", py.bool(settings.run_once))?;
        set(c"wsgi.input_terminated", py.bool(true))?;
        set(c"wsgi.file_wrapper", file_wrapper.clone())?;
        set(c"wsgi.input", py.none())?;
        set(c"wsgi.errors", py.none())?;
        set(c"mod_wsgi.version", py.numbers(&COMPATIBILITY)?)?;
        if settings.is_httpd() {
            set(c"apache.version", py.numbers(&settings.server_version)?)?;
        }
        set(c"mod_wsgi.thread_id", py.none())?;
        set(c"mod_wsgi.request_start", py.none())?;
        set(c"mod_wsgi.application_start", py.none())?;
        // Stamps of daemon mode's way to the process; in embedded mode there is none.
        set(c"mod_wsgi.queue_start", py.float(0.0)?)?;
        set(c"mod_wsgi.daemon_start", py.float(0.0)?)?;

        let key = |variable: &Variable| {
            let name = std::ffi::CString::new(variable.key()).unwrap_or_default();
            Ok(Key { variable: *variable, key: py.name(&name)?.hold() })
        };
        let name = |name: &CStr| py.name(name).map(Obj::hold);
        Ok(Self {
            template: template.hold(),
            variables: Variable::ALL.iter().map(key).collect::<PyResult<'py, _>>()?,
            last: RefCell::new(Variable::ALL.iter().map(|_| Last::default()).collect()),
            headers: RefCell::default(),
            extra: RefCell::default(),
            version: Cell::new(0),
            input: name(c"wsgi.input")?,
            errors: name(c"wsgi.errors")?,
            url_scheme: name(c"wsgi.url_scheme")?,
            https: name(c"https")?,
            thread_id: name(c"mod_wsgi.thread_id")?,
            request_start: name(c"mod_wsgi.request_start")?,
            queue_start: name(c"mod_wsgi.queue_start")?,
            daemon_start: name(c"mod_wsgi.daemon_start")?,
            application_start: name(c"mod_wsgi.application_start")?,
        })
    }

    /// The environ of `view`'s request.
    pub fn build<'py>(
        &self,
        py: Attached<'py>,
        view: &RequestView<'_>,
        toolkit: &Toolkit,
        thread_id: u32,
    ) -> PyResult<'py, Obj<'py>> {
        let environ = loop {
            self.correct_template(py, view)?;
            let version = self.version.get();
            let copy = self.template.get(py).copy_dict()?;
            // Copying may run the cycle collector, and with it Python code of other requests, which then have corrected
            // the template for themselves.
            if self.version.get() == version {
                break copy;
            }
        };
        for extra in view.extra.iter() {
            self.set_extra(py, &environ, &extra.name, extra.value, view)?;
        }
        {
            // Strings and dictionary entries only: no Python code runs in here.
            let mut headers = self.headers.borrow_mut();
            for field in view.headers.iter() {
                headers.set(py, &environ, &field.name, &field.value, view.authorization)?;
            }
        }
        environ.set_item(self.input.get(py), toolkit.input(py))?;
        environ.set_item(self.errors.get(py), toolkit.errors(py))?;
        if view.https {
            environ.set_item(self.url_scheme.get(py), self.https.get(py))?;
        }
        environ.set_item(self.thread_id.get(py), &py.int(i64::from(thread_id))?)?;
        let stamp = |key: &Held, microseconds: i64| {
            environ.set_item(key.get(py), &py.float(microseconds as f64 / 1e6)?)
        };
        stamp(&self.request_start, view.request_start)?;
        if view.daemon_start != 0 {
            stamp(&self.queue_start, view.queue_start)?;
            stamp(&self.daemon_start, view.daemon_start)?;
        }
        environ.set_item(self.application_start.get(py), &py.float(now())?)?;
        Ok(environ)
    }

    /// Makes the template's variables those of `view`. Runs no Python code.
    fn correct_template<'py>(&self, py: Attached<'py>, view: &RequestView<'_>) -> PyResult<'py, ()> {
        let mut last = self.last.borrow_mut();
        for (key, last) in self.variables.iter().zip(last.iter_mut()) {
            match view.variables.get(key.variable) {
                Some(bytes) if last.present && last.bytes == bytes => {}
                Some(bytes) => {
                    self.version.set(self.version.get() + 1);
                    let text = if key.variable.is_path() { py.path(bytes) } else { py.latin1(bytes) }?;
                    self.template.get(py).set_item(key.key.get(py), &text)?;
                    last.bytes.clear();
                    last.bytes.extend_from_slice(bytes);
                    last.present = true;
                }
                None if last.present => {
                    self.version.set(self.version.get() + 1);
                    self.template.get(py).remove_item(key.key.get(py))?;
                    last.present = false;
                }
                None => {}
            }
        }
        Ok(())
    }

    fn set_extra<'py>(
        &self,
        py: Attached<'py>,
        environ: &Obj<'py>,
        name: &[u8],
        value: MaybeBytes<'_>,
        view: &RequestView<'_>,
    ) -> PyResult<'py, ()> {
        let value = value.get().map_or_else(|| Ok(py.none()), |bytes| py.latin1(bytes))?;
        let mut extra = self.extra.borrow_mut();
        if let Some(known) = extra.get(name) {
            return known.set(py, environ, &value, view);
        }
        let known = ExtraKey {
            key: py.latin1(name)?.hold(),
            variable: Variable::ALL.iter().copied().find(|variable| variable.key().as_bytes() == name),
            reserved: name.starts_with(b"wsgi.")
                || name.starts_with(b"mod_wsgi.")
                || name == b"apache.version",
        };
        let set = known.set(py, environ, &value, view);
        if extra.len() < MOST_EXTRA_NAMES {
            extra.insert(name.into(), known);
        } else {
            known.key.release(py);
        }
        set
    }
}

impl ExtraKey {
    fn set<'py>(
        &self,
        py: Attached<'py>,
        environ: &Obj<'py>,
        value: &Obj<'py>,
        view: &RequestView<'_>,
    ) -> PyResult<'py, ()> {
        let computed = self.variable.is_some_and(|variable| view.variables.get(variable).is_some());
        if computed || self.reserved { Ok(()) } else { environ.set_item(self.key.get(py), value) }
    }
}

/// Seconds since the epoch.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_micros() as f64 / 1e6)
}
