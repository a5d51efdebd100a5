//! Which interpreter of which process this is, in the words of log lines.

use std::cell::Cell;

use oxwsgi_core::report::Number;

use crate::python::RaisedException;
use crate::wsgi::settings::Settings;

/// An interpreter's place among the others.
#[derive(Debug)]
pub struct Place {
    settings: &'static Settings,
    group: Box<[u8]>,
    cure_told: Cell<bool>,
}

impl Place {
    /// The interpreter of application group `group`.
    pub fn new(settings: &'static Settings, group: &[u8]) -> Self {
        Self { settings, group: group.into(), cure_told: Cell::new(false) }
    }

    /// The process's settings.
    pub const fn settings(&self) -> &'static Settings {
        self.settings
    }

    /// "main interpreter in embedded mode".
    pub fn describe(&self) -> String {
        let interpreter = if self.group.is_empty() {
            "main interpreter".to_owned()
        } else {
            format!("sub-interpreter '{}'", String::from_utf8_lossy(&self.group))
        };
        if self.settings.is_daemon() {
            format!("{interpreter} of daemon process '{}'", self.settings.group_name())
        } else {
            format!("{interpreter} in embedded mode")
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
                 main interpreter: {} %{{GLOBAL}}",
                Number(1003),
                String::from_utf8_lossy(&self.group),
                self.settings.dialect.application_group()
            )
        })
    }
}
