//! Finds the application of a request among the scripts of an interpreter.

use std::cell::RefCell;
use std::rc::Rc;

use oxwsgi_core::exchange::{Outcome, RetryReason};
use oxwsgi_core::report::{Level, Number};
use oxwsgi_core::request::Target;

use crate::python::{Attached, Obj, PyResult};
use crate::wsgi::place::Place;
use crate::wsgi::report::Report;
use crate::wsgi::script::{Loaded, Script, ScriptNames};
use crate::wsgi::traceback::{self, Event};

/// The scripts of one interpreter. Used attached.
#[derive(Debug)]
pub struct Scripts {
    names: ScriptNames,
    known: RefCell<Vec<Rc<Script>>>,
}

/// Why there is no application for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request is refused with this status, the reason logged.
    Status(u16),
    /// Another process has it.
    Retry(RetryReason),
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Status(status) => Self::Refused(status),
            Refusal::Retry(reason) => Self::Retry(reason),
        }
    }
}

impl Scripts {
    /// None yet.
    pub fn new<'py>(py: Attached<'py>) -> PyResult<'py, Self> {
        Ok(Self { names: ScriptNames::new(py)?, known: RefCell::default() })
    }

    /// The application that `target` names, its script loaded if need be.
    pub fn find<'py>(
        &self,
        py: Attached<'py>,
        place: &Place,
        report: Report<'_>,
        target: &Target<'_>,
    ) -> Result<Obj<'py>, Refusal> {
        self.look_up(py, place, report, target).unwrap_or_else(|raised| {
            let doing = "looking for WSGI script";
            let event =
                Event { number: Number(106), exit_number: Number(107), doing, script: &target.script };
            traceback::report(py, place, report, event, &raised.take());
            Err(Refusal::Status(500))
        })
    }

    /// Loads a script before the first request; failures are logged. True when the script wants the process to end.
    pub fn import(&self, py: Attached<'_>, place: &Place, script: &[u8]) -> bool {
        let target = Target { script: script.into(), script_mtime: -1, ..Target::default() };
        let report = Report::Process(place.settings());
        let loaded = self
            .script(py, place, script)
            .and_then(|script| script.globals(py, &self.names, place, report, &target));
        loaded.map(|loaded| matches!(loaded, Loaded::Exit)).unwrap_or_else(|raised| {
            report.write(py, Level::Error, raised.take().lines());
            false
        })
    }

    fn look_up<'py>(
        &self,
        py: Attached<'py>,
        place: &Place,
        report: Report<'_>,
        target: &Target<'_>,
    ) -> PyResult<'py, Result<Obj<'py>, Refusal>> {
        let script = self.script(py, place, &target.script)?;
        let globals = match script.globals(py, &self.names, place, report, target)? {
            Loaded::Ready(globals) => globals,
            Loaded::Failed | Loaded::Exit => return Ok(Err(Refusal::Status(500))),
            Loaded::Outdated => return Ok(Err(Refusal::Retry(RetryReason::Reload))),
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
        Ok(Err(Refusal::Status(404)))
    }

    fn script<'py>(&self, py: Attached<'py>, place: &Place, path: &[u8]) -> PyResult<'py, Rc<Script>> {
        if let Some(script) = self.known.borrow().iter().find(|script| *script.path() == *path) {
            return Ok(Rc::clone(script));
        }
        let script = Rc::new(Script::new(py, path, place.settings().case_sensitivity)?);
        self.known.borrow_mut().push(Rc::clone(&script));
        Ok(script)
    }
}
