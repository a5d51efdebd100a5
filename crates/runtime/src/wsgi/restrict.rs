//! Stand-ins for what an application under a server must not use: standard input, standard output, signal handlers.

use std::ffi::CStr;

use oxwsgi_core::report::Level;

use crate::python::{Args, Attached, Class, Exception, Held, Obj, PyResult, Slots};
use crate::wsgi::report::Report;
use crate::wsgi::settings::Settings;

/// `sys.stdin` or `sys.stdout` when restricted: any use raises.
#[derive(Debug)]
pub struct Restricted {
    /// `sys.stdin`
    pub name: &'static str,
}

impl Restricted {
    fn attribute<'py>(&self, name: &Obj<'py>) -> PyResult<'py, Obj<'py>> {
        let py = name.py();
        if name.to_text().as_deref() == Some("__class__") {
            // What `type()` says anyway; the interpreter's own tools ask for it.
            return Err(py.raise(Exception::Attribute, "__class__"));
        }
        Err(py.raise(Exception::Os, format!("{} access restricted by mod_wsgi", self.name)))
    }
}

impl Class for Restricted {
    const NAME: &'static CStr = c"mod_wsgi.Restricted";
    const DOC: &'static CStr = c"A stream that must not be used here.";
    const SLOTS: Slots<Self> = Slots { attribute: Some(Self::attribute), ..Slots::NONE };
}

/// `signal.signal` when restricted: the server handles the signals of its processes.
#[derive(Debug)]
pub struct SignalIntercept {
    settings: &'static Settings,
    // Processes that the application forks handle their own signals.
    pid: u32,
    original: Held,
}

impl SignalIntercept {
    /// Stands in for `original`.
    pub fn new(settings: &'static Settings, original: Held) -> Self {
        Self { settings, pid: std::process::id(), original }
    }

    fn call<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        let args = args.expect(py, "signal", 2, 2)?;
        if std::process::id() != self.pid {
            return self.original.get(py).call(&[&args[0], &args[1]]);
        }
        let number = args[0].to_index()?;
        if self.settings.log_level >= Level::Info {
            let mut lines = vec![format!(
                "Ignoring Python signal handler registration for signal {number} in WSGI process; mod_wsgi manages \
                 signals."
            )];
            lines.extend(py.stack_lines());
            Report::Process(self.settings).write(py, Level::Info, lines);
        }
        Ok(args[1].clone())
    }
}

impl Class for SignalIntercept {
    const NAME: &'static CStr = c"mod_wsgi.SignalIntercept";
    const DOC: &'static CStr = c"signal(number, handler) returns the handler and installs nothing.";
    const SLOTS: Slots<Self> = Slots { call: Some(Self::call), ..Slots::NONE };

    fn release(self, py: Attached<'_>) {
        self.original.release(py);
    }
}
