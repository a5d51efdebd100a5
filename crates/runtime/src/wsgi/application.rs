//! Finds the application of a request among the scripts and modules of an interpreter.

use std::cell::RefCell;
use std::rc::Rc;

use oxwsgi_core::abi::Import;
use oxwsgi_core::exchange::{Outcome, RetryReason};
use oxwsgi_core::report::{Level, Number};
use oxwsgi_core::request::{ScriptKind, Target};

use crate::python::{Attached, Obj, PyResult};
use crate::wsgi::callable::Callable;
use crate::wsgi::imported::Imported;
use crate::wsgi::loading::{self, Loaded, Search};
use crate::wsgi::place::Place;
use crate::wsgi::report::Report;
use crate::wsgi::script::{Script, ScriptNames};
use crate::wsgi::traceback::{self, Event};

/// A module is loaded once.
const ONLY_LOADING: u64 = 0;

/// The scripts and modules of one interpreter. Used attached.
#[derive(Debug)]
pub struct Scripts {
    names: Rc<ScriptNames>,
    known: RefCell<Vec<Rc<Known>>>,
}

/// One of them, with the callables that were asked for.
#[derive(Debug)]
struct Known {
    source: Source,
    callables: RefCell<Vec<Rc<Callable>>>,
}

#[derive(Debug)]
enum Source {
    File(Script),
    Module(Imported),
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
        Ok(Self { names: Rc::new(ScriptNames::new(py)?), known: RefCell::default() })
    }

    /// The application that the target names, its script loaded if need be.
    pub fn find<'py>(&self, py: Attached<'py>, search: &Search<'_>) -> Result<Obj<'py>, Refusal> {
        let Search { place, report, target } = *search;
        let found = self.look_up(py, search).unwrap_or_else(|raised| {
            let event = Event {
                number: Number(106),
                exit_number: Number(107),
                doing: "looking for",
                script: target.title(),
            };
            traceback::report(py, place, report, event, &raised.take());
            Some(Loaded::Failed)
        });
        match found {
            Some(Loaded::Ready(application)) => Ok(application),
            Some(Loaded::Failed | Loaded::Exit) => Err(Refusal::Status(500)),
            Some(Loaded::Outdated) => Err(Refusal::Retry(RetryReason::Reload)),
            None => Err(Refusal::Status(match target.script_kind {
                ScriptKind::File => 404,
                // Which no request can have named.
                ScriptKind::Module => 500,
            })),
        }
    }

    /// Loads a script before the first request, and its application when one is named; failures are logged. True when the
    /// script wants the process to end.
    pub fn import(&self, py: Attached<'_>, place: &Place, import: &Import<'_>) -> bool {
        let Import { script, script_kind, callable, factory, .. } = *import;
        let target = Target { script, script_kind, callable, factory, script_mtime: -1, ..Target::default() };
        let report = Report::Process(place.settings());
        let search = Search { place, report, target: &target };
        let loaded = if callable.is_empty() {
            self.known(py, place, &target)
                .and_then(|known| known.load(py, &search))
                .inspect(|loaded| {
                    if matches!(loaded, Loaded::Ready(_)) {
                        loading::note_loaded();
                    }
                })
                .map(Some)
        } else {
            self.look_up(py, &search)
        };
        loaded.map(|loaded| matches!(loaded, Some(Loaded::Exit))).unwrap_or_else(|raised| {
            report.write(py, Level::Error, raised.take().lines());
            false
        })
    }

    /// The application; none where the script has no such callable, which is logged.
    fn look_up<'py>(&self, py: Attached<'py>, search: &Search<'_>) -> PyResult<'py, Option<Loaded<'py>>> {
        let Search { place, report, target } = *search;
        let known = self.known(py, place, target)?;
        let callable = known.callable(py, &target.callable, target.factory)?;
        if let Source::Module(_) = known.source
            && let Some(application) = callable.settled(py, ONLY_LOADING)
        {
            return Ok(Some(Loaded::Ready(application)));
        }
        let scope = match known.load(py, search)? {
            Loaded::Ready(scope) => scope,
            other => return Ok(Some(other)),
        };
        let (loading, found) = match &known.source {
            Source::File(script) => {
                let loading = script.loadings();
                if callable.is_factory()
                    && let Some(application) = callable.settled(py, loading)
                {
                    return Ok(Some(Loaded::Ready(application)));
                }
                (loading, callable.in_globals(py, &scope)?)
            }
            Source::Module(_) => (ONLY_LOADING, callable.in_module(py, scope)?),
        };
        let loaded = match found {
            None => {
                let text = format!(
                    "{}: Target {} does not contain WSGI application '{}'.",
                    Number(89),
                    target.title(),
                    String::from_utf8_lossy(&target.callable)
                );
                report.write(py, Level::Error, vec![text]);
                None
            }
            Some(factory) if callable.is_factory() => Some(make(py, search, &callable, loading, &factory)?),
            Some(application) => {
                if let Source::Module(_) = known.source {
                    callable.settle(py, loading, application.clone());
                }
                Some(Loaded::Ready(application))
            }
        };
        if !matches!(loaded, Some(Loaded::Failed | Loaded::Exit)) {
            loading::note_loaded();
        }
        Ok(loaded)
    }

    fn known<'py>(&self, py: Attached<'py>, place: &Place, target: &Target<'_>) -> PyResult<'py, Rc<Known>> {
        let (kind, name) = (target.script_kind, target.script.as_slice());
        if let Some(known) = self.known.borrow().iter().find(|known| known.source.is(kind, name)) {
            return Ok(Rc::clone(known));
        }
        let source = match kind {
            ScriptKind::File => {
                Source::File(Script::new(py, &self.names, name, place.settings().case_sensitivity)?)
            }
            ScriptKind::Module => Source::Module(Imported::new(name)),
        };
        let known = Rc::new(Known { source, callables: RefCell::default() });
        self.known.borrow_mut().push(Rc::clone(&known));
        Ok(known)
    }
}

impl Source {
    #[inline]
    fn is(&self, kind: ScriptKind, name: &[u8]) -> bool {
        match (self, kind) {
            (Self::File(script), ScriptKind::File) => *script.path() == *name,
            (Self::Module(module), ScriptKind::Module) => *module.name() == *name,
            _ => false,
        }
    }
}

impl Known {
    /// The globals of a script, or a module; loaded if need be.
    fn load<'py>(&self, py: Attached<'py>, search: &Search<'_>) -> PyResult<'py, Loaded<'py>> {
        match &self.source {
            Source::File(script) => script.globals(py, search),
            Source::Module(module) => Ok(module.module(py, search.place, search.report)),
        }
    }

    fn callable<'py>(&self, py: Attached<'py>, name: &[u8], factory: bool) -> PyResult<'py, Rc<Callable>> {
        if let Some(callable) = self.callables.borrow().iter().find(|callable| callable.is(name, factory)) {
            return Ok(Rc::clone(callable));
        }
        let callable = Rc::new(Callable::new(py, name, factory)?);
        self.callables.borrow_mut().push(Rc::clone(&callable));
        Ok(callable)
    }
}

/// Has the factory make the application, unless another thread has meanwhile.
fn make<'py>(
    py: Attached<'py>,
    search: &Search<'_>,
    callable: &Callable,
    loading: u64,
    factory: &Obj<'py>,
) -> PyResult<'py, Loaded<'py>> {
    let Search { place, report, target } = *search;
    let _loading = loading::take_turn(py);
    if let Some(application) = callable.settled(py, loading) {
        return Ok(Loaded::Ready(application));
    }
    let name = String::from_utf8_lossy(&target.callable);
    match factory.call_no_args() {
        Ok(application) if application.is_callable() => {
            callable.settle(py, loading, application.clone());
            Ok(Loaded::Ready(application))
        }
        Ok(other) => {
            let text = format!(
                "{}: The factory '{name}' of {} must return a WSGI application, and has returned {}.",
                Number(1026),
                target.title(),
                other.repr()
            );
            report.write(py, Level::Error, vec![text]);
            Ok(Loaded::Failed)
        }
        Err(raised) => {
            let doing = format!("calling the factory '{name}' of");
            Ok(loading::failed(py, place, report, &doing, target.title(), &raised.take()))
        }
    }
}
