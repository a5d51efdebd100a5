//! A module that a request names instead of a script file: imported on first use, through `sys.path`.
//!
//! It is looked for where any import looks, has no modification time that would be watched, and once it is imported it
//! stays. An import that fails is tried again by the next request.

use std::cell::RefCell;

use oxwsgi_core::report::{Level, Number};
use oxwsgi_core::request::ScriptTitle;

use crate::python::{Attached, Held, Obj, RaisedException};
use crate::wsgi::loading::{self, Loaded};
use crate::wsgi::place::Place;
use crate::wsgi::report::Report;

/// A module, as one interpreter knows it. Used attached.
#[derive(Debug)]
pub struct Imported {
    name: Box<[u8]>,
    module: RefCell<Option<Held>>,
}

impl Imported {
    /// The module of this name, not imported.
    pub fn new(name: &[u8]) -> Self {
        Self { name: name.into(), module: RefCell::default() }
    }

    /// Its name.
    pub const fn name(&self) -> &[u8] {
        &self.name
    }

    /// The module, imported if need be.
    pub fn module<'py>(&self, py: Attached<'py>, place: &Place, report: Report<'_>) -> Loaded<'py> {
        if let Some(module) = self.known(py) {
            return Loaded::Ready(module);
        }
        let _loading = loading::take_turn(py);
        // Another thread may have done it meanwhile.
        if let Some(module) = self.known(py) {
            return Loaded::Ready(module);
        }
        let title = ScriptTitle::module(&self.name);
        report.write(py, Level::Info, vec![format!("Loading {title} into {}.", place.describe())]);
        match py.import(&self.text()) {
            Ok(module) => {
                self.module.replace(Some(module.clone().hold()));
                Loaded::Ready(module)
            }
            Err(raised) => {
                let exception = raised.take();
                if self.is_missing(&exception) {
                    report.write(py, Level::Error, self.missing(py, place, &exception));
                    return Loaded::Failed;
                }
                loading::failed(py, place, report, "loading", title, &exception)
            }
        }
    }

    fn known<'py>(&self, py: Attached<'py>) -> Option<Obj<'py>> {
        self.module.borrow().as_ref().map(|module| module.share(py))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }

    /// Whether there is no such module, or no package that it would be in; an import inside of it that fails is its own.
    fn is_missing(&self, exception: &RaisedException<'_>) -> bool {
        let name = exception.value.attribute(c"name").map(|name| name.to_text());
        let name = name.unwrap_or_else(|raised| {
            raised.clear();
            None
        });
        let is_part = |name: &str| {
            let rest = self.name.strip_prefix(name.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
        };
        exception.name() == "ModuleNotFoundError" && name.is_some_and(|name| is_part(&name))
    }

    fn missing(&self, py: Attached<'_>, place: &Place, exception: &RaisedException<'_>) -> Vec<String> {
        let path = py.sys(c"path").map_or_else(String::new, |path| path.repr());
        let first = format!(
            "{}: Unable to find {} for {}: sys.path is {path}.",
            Number(105),
            ScriptTitle::module(&self.name),
            place.describe()
        );
        std::iter::once(first).chain(exception.lines()).collect()
    }
}
