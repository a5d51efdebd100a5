//! `mod_wsgi.LogHandler`: Python's `logging` into the server's error log.

use std::ffi::CStr;

use oxwsgi_core::report::Level;

use crate::python::{Args, Attached, Class, Exception, Obj, PyResult, Slots};
use crate::wsgi::error_log::current;
use crate::wsgi::report::Report;
use crate::wsgi::settings::Settings;

const SOURCE: &str = include_str!("log_handler.py");

/// `__getattr__` of the `mod_wsgi` module (PEP 562): makes what is made when asked for.
#[derive(Debug)]
pub struct LateAttributes {
    /// The process's settings.
    pub settings: &'static Settings,
}

/// `_write(levelno, text)` for the handler's source.
#[derive(Debug)]
pub struct WriteRecord {
    settings: &'static Settings,
}

impl LateAttributes {
    fn call<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        let name = args.expect(py, "__getattr__", 1, 1)?[0].to_text_lossy();
        if name != "LogHandler" {
            return Err(
                py.raise(Exception::Attribute, format!("module 'mod_wsgi' has no attribute '{name}'"))
            );
        }
        let write = crate::python::Type::<WriteRecord>::new(py)?;
        let globals = py.dict()?;
        globals.set_entry(c"__name__", &py.text("mod_wsgi")?)?;
        globals.set_entry(c"_write", &write.instance(py, WriteRecord { settings: self.settings })?)?;
        py.import("builtins")?.call_method(c"exec", &[&py.text(SOURCE)?, &globals])?;
        let handler = globals.item(&py.name(c"LogHandler")?)?.unwrap_or_else(|| py.none());
        // From now on the module has it.
        py.import("mod_wsgi")?.set_attribute(c"LogHandler", &handler)?;
        Ok(handler)
    }
}

impl Class for LateAttributes {
    const NAME: &'static CStr = c"mod_wsgi.LateAttributes";
    const DOC: &'static CStr = c"Makes attributes of the module when they are asked for.";
    const SLOTS: Slots<Self> = Slots { call: Some(Self::call), ..Slots::NONE };
}

impl WriteRecord {
    fn call<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        let args = args.expect(py, "_write", 2, 2)?;
        let level = match args[0].to_int().unwrap_or_default() {
            50.. => Level::Critical,
            40.. => Level::Error,
            30.. => Level::Warning,
            20.. => Level::Info,
            _ => Level::Debug,
        };
        let text = args[1].to_text_lossy();
        let lines = text.lines().map(str::to_owned).collect();
        match current() {
            Some(transaction) if transaction.is_open() => {
                Report::Request(&transaction).write(py, level, lines)
            }
            _ => Report::Process(self.settings).write(py, level, lines),
        }
        Ok(py.none())
    }
}

impl Class for WriteRecord {
    const NAME: &'static CStr = c"mod_wsgi.WriteRecord";
    const DOC: &'static CStr = c"_write(levelno, text) writes to the server's error log.";
    const SLOTS: Slots<Self> = Slots { call: Some(Self::call), ..Slots::NONE };
}
