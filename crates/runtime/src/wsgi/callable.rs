//! The name of a callable in a script or module, and the application that was found by it once and for all.

use std::cell::RefCell;

use crate::python::{Attached, Held, Obj, PyResult};

/// A name, as one interpreter knows it. Used attached.
#[derive(Debug)]
pub struct Callable {
    name: Box<[u8]>,
    factory: bool,
    key: Held,
    /// The parts of a name with dots; none of one without.
    parts: Vec<Held>,
    settled: RefCell<Option<Settled>>,
}

/// An application that is not looked for again, and the loading of the script that it is of.
#[derive(Debug)]
struct Settled {
    loading: u64,
    application: Held,
}

impl Callable {
    /// The callable of this name, which is the application or makes it.
    pub fn new<'py>(py: Attached<'py>, name: &[u8], factory: bool) -> PyResult<'py, Self> {
        let parts = if name.contains(&b'.') {
            name.split(|byte| *byte == b'.')
                .map(|part| identifier(py, part).map(Obj::hold))
                .collect::<PyResult<'py, _>>()?
        } else {
            Vec::new()
        };
        let key = identifier(py, name)?.hold();
        Ok(Self { name: name.into(), factory, key, parts, settled: RefCell::default() })
    }

    /// Whether this is the one of that name.
    #[inline]
    pub fn is(&self, name: &[u8], factory: bool) -> bool {
        *self.name == *name && self.factory == factory
    }

    /// Whether it makes the application.
    pub const fn is_factory(&self) -> bool {
        self.factory
    }

    /// The object among the globals of a script. A name with dots may be a global's, whole; else its first part is.
    #[inline]
    pub fn in_globals<'py>(&self, py: Attached<'py>, globals: &Obj<'py>) -> PyResult<'py, Option<Obj<'py>>> {
        let found = globals.item(self.key.get(py))?;
        match self.parts.split_first() {
            Some((first, rest)) if found.is_none() => match globals.item(first.get(py))? {
                Some(object) => attribute_of(py, object, rest),
                None => Ok(None),
            },
            _ => Ok(found),
        }
    }

    /// The object among the attributes of a module.
    pub fn in_module<'py>(&self, py: Attached<'py>, module: Obj<'py>) -> PyResult<'py, Option<Obj<'py>>> {
        let key = std::slice::from_ref(&self.key);
        attribute_of(py, module, if self.parts.is_empty() { key } else { &self.parts })
    }

    /// The application that is settled for this loading of its script.
    #[inline]
    pub fn settled<'py>(&self, py: Attached<'py>, loading: u64) -> Option<Obj<'py>> {
        let settled = self.settled.borrow();
        settled
            .as_ref()
            .filter(|settled| settled.loading == loading)
            .map(|settled| settled.application.share(py))
    }

    /// Settles the application for this loading of its script.
    pub fn settle<'py>(&self, py: Attached<'py>, loading: u64, application: Obj<'py>) {
        let settled = Settled { loading, application: application.hold() };
        // Releasing may run Python code, so it comes after the borrow.
        let before = self.settled.borrow_mut().replace(settled);
        if let Some(before) = before {
            before.application.release(py);
        }
    }
}

fn attribute_of<'py>(
    py: Attached<'py>,
    mut object: Obj<'py>,
    names: &[Held],
) -> PyResult<'py, Option<Obj<'py>>> {
    for name in names {
        match object.attribute_if_any(name.get(py))? {
            Some(attribute) => object = attribute,
            None => return Ok(None),
        }
    }
    Ok(Some(object))
}

/// A configuration may be in any encoding, and source files are in UTF-8 most often.
fn identifier<'py>(py: Attached<'py>, name: &[u8]) -> PyResult<'py, Obj<'py>> {
    str::from_utf8(name).map_or_else(|_| py.latin1(name), |name| py.text(name))
}
