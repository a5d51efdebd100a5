//! What the gateway keeps for one interpreter, and how it prepares a new one.

use std::cell::RefCell;
use std::ffi::CStr;

use oxwsgi_core::report::{Level, Number};

use crate::python::{Attached, Held, Obj, PyResult};
use crate::wsgi::application::Scripts;
use crate::wsgi::callbacks::{Callbacks, Event};
use crate::wsgi::embedded_module;
use crate::wsgi::environ::EnvironTemplate;
use crate::wsgi::error_log::Log;
use crate::wsgi::place::Place;
use crate::wsgi::report::Report;
use crate::wsgi::restrict::{Restricted, SignalIntercept};
use crate::wsgi::settings::Settings;
use crate::wsgi::stack_dump;
use crate::wsgi::toolkit::Toolkit;
use crate::wsgi::types::Types;

/// More sets than threads serve requests at once are never idle; more than this are not kept.
const MOST_TOOLKITS: usize = 256;

/// State of one interpreter. Used attached to it.
#[derive(Debug)]
pub struct Host {
    place: Place,
    types: Types,
    close: Held,
    environ: EnvironTemplate,
    scripts: Scripts,
    callbacks: Callbacks,
    toolkits: RefCell<Vec<Toolkit>>,
}

impl Host {
    /// Prepares the interpreter that the thread is attached to for application group `group`.
    pub fn new<'py>(py: Attached<'py>, settings: &'static Settings, group: &[u8]) -> PyResult<'py, Self> {
        let place = Place::new(settings, group);
        let action = if group.is_empty() { "Attaching to Python" } else { "Creating" };
        Report::Process(settings).write(py, Level::Info, vec![format!("{action} {}.", place.describe())]);

        let types = Types::new(py)?;
        if group.is_empty() {
            // The thread that imports it first is the main thread to it. Were that a server's thread, which has gone by
            // the time Python ends, the end would wait for it forever.
            py.import("threading")?;
        }
        replace_streams(py, settings, &types)?;
        py.set_sys(c"argv", &py.list(&[&py.text("mod_wsgi")?])?)?;
        if settings.restrict_signal {
            intercept_signals(py, settings, &types)?;
        }
        if let Some(directory) = &settings.python_eggs {
            let variables = py.import("os")?.attribute(c"environ")?;
            variables.call_method(c"__setitem__", &[&py.text("PYTHON_EGG_CACHE")?, &py.path(directory)?])?;
        }
        if settings.switch_interval > 0.0 {
            py.import("sys")?.call_method(c"setswitchinterval", &[&py.float(settings.switch_interval)?])?;
        }
        add_python_path(py, &place);
        if let Some(home) = &settings.home {
            embedded_module::add_home(py, home)?;
        }
        if settings.is_daemon() && !settings.is_service() {
            stack_dump::prepare(py)?;
        }
        let callbacks = embedded_module::add(py, settings, group, &types)?;
        Ok(Self {
            environ: EnvironTemplate::new(py, settings, types.file_wrapper.object(py))?,
            scripts: Scripts::new(py)?,
            close: py.name(c"close")?.hold(),
            toolkits: RefCell::default(),
            callbacks,
            place,
            types,
        })
    }

    /// Which interpreter this is.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// The classes.
    pub const fn types(&self) -> &Types {
        &self.types
    }

    /// What makes environs.
    pub const fn environ(&self) -> &EnvironTemplate {
        &self.environ
    }

    /// The scripts.
    pub const fn scripts(&self) -> &Scripts {
        &self.scripts
    }

    /// `"close"`.
    pub const fn close_name<'a, 'py>(&'a self, py: Attached<'py>) -> &'a Obj<'py> {
        self.close.get(py)
    }

    /// The objects for a request.
    pub fn take_toolkit<'py>(&self, py: Attached<'py>) -> PyResult<'py, Toolkit> {
        let kept = self.toolkits.borrow_mut().pop();
        kept.map_or_else(|| Toolkit::new(py, self.place.settings(), &self.types), Ok)
    }

    /// Takes the objects of a finished request back.
    pub fn give_back(&self, py: Attached<'_>, toolkit: Toolkit) {
        if toolkit.is_reusable(py, &self.types) && self.toolkits.borrow().len() < MOST_TOOLKITS {
            self.toolkits.borrow_mut().push(toolkit);
        } else {
            toolkit.release(py);
        }
    }

    /// Tells the application of something that happens to its process.
    pub fn publish(&self, py: Attached<'_>, event: Event<'_>) {
        self.callbacks.publish(py, self.place.settings(), event);
    }
}

fn replace_streams<'py>(py: Attached<'py>, settings: &'static Settings, types: &Types) -> PyResult<'py, ()> {
    let stream = |name: &'static CStr| {
        let log = types.log.instance(py, Log::of_thread(settings, name))?;
        types.text_stream.make(py, &log)
    };
    py.set_sys(c"stderr", &stream(c"<stderr>")?)?;
    if settings.single_process {
        return Ok(());
    }
    if settings.restrict_stdout {
        py.set_sys(c"stdout", &types.restricted.instance(py, Restricted { name: "sys.stdout" })?)?;
    } else {
        py.set_sys(c"stdout", &stream(c"<stdout>")?)?;
    }
    if settings.restrict_stdin {
        py.set_sys(c"stdin", &types.restricted.instance(py, Restricted { name: "sys.stdin" })?)?;
    }
    Ok(())
}

fn intercept_signals<'py>(
    py: Attached<'py>,
    settings: &'static Settings,
    types: &Types,
) -> PyResult<'py, ()> {
    let signal = py.import("signal")?;
    let original = signal.attribute(c"signal")?.hold();
    let intercept = types.signal_intercept.instance(py, SignalIntercept::new(settings, original))?;
    signal.set_attribute(c"signal", &intercept)
}

/// A directory that cannot be added is no reason to have no Python.
fn add_python_path(py: Attached<'_>, place: &Place) {
    let settings = place.settings();
    if settings.python_path.is_empty() {
        return;
    }
    if let Err(raised) = embedded_module::add_python_path(py, &settings.python_path) {
        let exception = raised.take();
        let source = if settings.is_daemon() {
            settings.dialect.option("python-path")
        } else {
            "WSGIPythonPath".into()
        };
        let mut lines = vec![format!(
            "{}: A directory of {source} could not be added to sys.path of {}.",
            Number(91),
            place.describe()
        )];
        lines.extend(exception.lines());
        Report::Process(settings).write(py, Level::Error, lines);
    }
}

/// Runs what the application registered with `atexit`, and writes what its streams hold.
pub fn run_exit_handlers(py: Attached<'_>, host: &'static Host) {
    let report = |result: PyResult<'_, ()>| {
        if let Err(raised) = result {
            Report::Process(host.place.settings()).write(py, Level::Error, raised.take().lines());
        }
    };
    report(py.import("atexit").and_then(|atexit| atexit.call_method(c"_run_exitfuncs", &[])).map(drop));
    for name in [c"stdout", c"stderr"] {
        let Some(stream) = py.sys(name) else { continue };
        if host.types.restricted.value(&stream).is_some() {
            // It has nothing to write, and would raise when Python flushes it at its end, which makes a process of `python`
            // exit with status 120.
            report(py.set_sys(name, &py.none()));
        } else {
            report(stream.call_method(c"flush", &[]).map(drop));
        }
    }
}
