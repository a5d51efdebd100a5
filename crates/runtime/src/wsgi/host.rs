//! What the gateway keeps for one interpreter, and how it prepares a new one.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;

use oxwsgi_core::report::{Level, Number};

use crate::python::{Attached, Held, Obj, PyResult, RaisedException, Type};
use crate::wsgi::application::Scripts;
use crate::wsgi::embedded_module;
use crate::wsgi::environ::EnvironTemplate;
use crate::wsgi::error_log::Log;
use crate::wsgi::file_wrapper::FileWrapper;
use crate::wsgi::input::Input;
use crate::wsgi::process::{Process, context};
use crate::wsgi::restrict::{Restricted, SignalIntercept};
use crate::wsgi::start_response::{StartResponse, Write};
use crate::wsgi::toolkit::Toolkit;
use crate::wsgi::traceback::Report;

/// More sets than threads serve requests at once are never idle; more than this are not kept.
const MOST_TOOLKITS: usize = 256;

/// The classes of the gateway, as one interpreter has them.
#[derive(Debug)]
#[allow(missing_docs, reason = "each is the class of its name")]
pub struct Types {
    pub input: Type<Input>,
    pub log: Type<Log>,
    pub start_response: Type<StartResponse>,
    pub write: Type<Write>,
    pub file_wrapper: Type<FileWrapper>,
    pub restricted: Type<Restricted>,
    pub signal_intercept: Type<SignalIntercept>,
}

/// State of one interpreter. Used attached to it.
#[derive(Debug)]
pub struct Host {
    process: &'static Process,
    group: Box<[u8]>,
    types: Types,
    text_wrapper: Held,
    text_options: Held,
    close: Held,
    environ: EnvironTemplate,
    scripts: Scripts,
    toolkits: RefCell<Vec<Toolkit>>,
    cure_told: Cell<bool>,
}

impl Host {
    /// Prepares the interpreter that the thread is attached to for application group `group`.
    pub fn new<'py>(py: Attached<'py>, process: &'static Process, group: &[u8]) -> PyResult<'py, Self> {
        let settings = process.settings();
        let place = context(&settings.process_group, Some(group));
        let action = if group.is_empty() { "Attaching to Python" } else { "Creating" };
        Report::Process(process).write(py, Level::Info, vec![format!("{action} {place}.")]);

        let types = Types {
            input: Type::new(py)?,
            log: Type::new(py)?,
            start_response: Type::new(py)?,
            write: Type::new(py)?,
            file_wrapper: Type::new(py)?,
            restricted: Type::new(py)?,
            signal_intercept: Type::new(py)?,
        };
        let io = py.import("io")?;
        let options = py.dict()?;
        options.set_entry(c"encoding", &py.text("utf-8")?)?;
        options.set_entry(c"errors", &py.text("replace")?)?;
        options.set_entry(c"line_buffering", &py.bool(true))?;
        options.set_entry(c"write_through", &py.bool(true))?;
        let environ = EnvironTemplate::new(py, settings, types.file_wrapper.object(py))?;
        let host = Self {
            process,
            group: group.into(),
            types,
            text_wrapper: io.attribute(c"TextIOWrapper")?.hold(),
            text_options: options.hold(),
            close: py.name(c"close")?.hold(),
            environ,
            scripts: Scripts::new(py)?,
            toolkits: RefCell::default(),
            cure_told: Cell::new(false),
        };
        host.replace_streams(py)?;
        py.set_sys(c"argv", &py.list(&[&py.text("mod_wsgi")?])?)?;
        if settings.restrict_signal {
            host.intercept_signals(py)?;
        }
        if let Some(directory) = &settings.python_eggs {
            let variables = py.import("os")?.attribute(c"environ")?;
            variables.call_method(c"__setitem__", &[&py.text("PYTHON_EGG_CACHE")?, &py.path(directory)?])?;
        }
        if settings.switch_interval > 0.0 {
            py.import("sys")?.call_method(c"setswitchinterval", &[&py.float(settings.switch_interval)?])?;
        }
        host.add_python_path(py);
        embedded_module::add(py, settings, group, &host.types)?;
        Ok(host)
    }

    /// The process.
    pub const fn process(&self) -> &'static Process {
        self.process
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

    /// "main interpreter in embedded mode", for log lines.
    pub fn place(&self) -> String {
        context(&self.process.settings().process_group, Some(&self.group))
    }

    /// A text stream that writes to `log`.
    pub fn text_stream<'py>(&self, py: Attached<'py>, log: &Obj<'py>) -> PyResult<'py, Obj<'py>> {
        self.text_wrapper.get(py).call_with_dict(&[log], self.text_options.get(py))
    }

    /// The objects for a request.
    pub fn take_toolkit<'py>(&self, py: Attached<'py>) -> PyResult<'py, Toolkit> {
        let kept = self.toolkits.borrow_mut().pop();
        kept.map_or_else(|| Toolkit::new(py, self), Ok)
    }

    /// Takes the objects of a finished request back.
    pub fn give_back(&self, py: Attached<'_>, toolkit: Toolkit) {
        if toolkit.is_reusable(py) && self.toolkits.borrow().len() < MOST_TOOLKITS {
            self.toolkits.borrow_mut().push(toolkit);
        } else {
            toolkit.release(py);
        }
    }

    /// A line that names the cure, the first time that an extension module refuses a sub-interpreter.
    pub fn cure(&self, exception: &RaisedException<'_>, lines: &[String]) -> Option<String> {
        // The words of CPython, PyO3, Cython and numpy.
        const WORDS: [&str; 5] = [
            "subinterpreter",
            "sub-interpreter",
            "once per process",
            "once per interpreter process",
            "one interpreter per process",
        ];
        let refused = !self.group.is_empty()
            && (exception.is_import_error() || exception.name() == "RuntimeError")
            && lines.iter().any(|line| WORDS.iter().any(|words| line.contains(words)));
        (refused && !self.cure_told.replace(true)).then(|| {
            format!(
                "{}: An extension module refuses to be used in sub-interpreter '{}'. Let the application run in the \
                 main interpreter: WSGIApplicationGroup %{{GLOBAL}}",
                Number(1003),
                String::from_utf8_lossy(&self.group)
            )
        })
    }

    fn replace_streams<'py>(&self, py: Attached<'py>) -> PyResult<'py, ()> {
        let settings = self.process.settings();
        let stream = |name: &'static CStr| {
            let log = self.types.log.instance(py, Log::of_thread(self.process, name))?;
            self.text_stream(py, &log)
        };
        py.set_sys(c"stderr", &stream(c"<stderr>")?)?;
        if settings.single_process {
            return Ok(());
        }
        if settings.restrict_stdout {
            py.set_sys(c"stdout", &self.types.restricted.instance(py, Restricted { name: "sys.stdout" })?)?;
        } else {
            py.set_sys(c"stdout", &stream(c"<stdout>")?)?;
        }
        if settings.restrict_stdin {
            py.set_sys(c"stdin", &self.types.restricted.instance(py, Restricted { name: "sys.stdin" })?)?;
        }
        Ok(())
    }

    fn intercept_signals<'py>(&self, py: Attached<'py>) -> PyResult<'py, ()> {
        let signal = py.import("signal")?;
        let original = signal.attribute(c"signal")?.hold();
        let intercept =
            self.types.signal_intercept.instance(py, SignalIntercept::new(self.process, original))?;
        signal.set_attribute(c"signal", &intercept)
    }

    /// A directory that cannot be added is no reason to have no Python.
    fn add_python_path(&self, py: Attached<'_>) {
        let directories = &self.process.settings().python_path;
        if directories.is_empty() {
            return;
        }
        if let Err(raised) = embedded_module::add_python_path(py, directories) {
            let exception = raised.take();
            let mut lines = vec![format!(
                "{}: A directory of WSGIPythonPath could not be added to sys.path of {}.",
                Number(91),
                self.place()
            )];
            lines.extend(exception.lines());
            Report::Process(self.process).write(py, Level::Error, lines);
        }
    }
}

/// Runs what the application registered with `atexit`, and writes what its streams hold.
pub fn run_exit_handlers(py: Attached<'_>, host: &'static Host) {
    let handlers = py.import("atexit").and_then(|atexit| atexit.call_method(c"_run_exitfuncs", &[]));
    let streams = [c"stdout", c"stderr"]
        .map(|name| py.sys(name).map_or(Ok(()), |s| s.call_method(c"flush", &[]).map(drop)));
    for result in [handlers.map(drop)].into_iter().chain(streams) {
        if let Err(raised) = result {
            let exception = raised.take();
            Report::Process(host.process()).write(py, Level::Error, exception.lines());
        }
    }
}
