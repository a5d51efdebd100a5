//! Arguments with which Python calls what is written in Rust.

use std::ffi::CStr;

use crate::python::{Attached, Exception, Obj, PyResult};

/// Positional arguments of a call.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a, 'py> {
    pub(super) items: &'a [Obj<'py>],
}

impl<'a, 'py> Args<'a, 'py> {
    /// The arguments when there are `at_least` to `at_most`; else the `TypeError` that Python itself would raise.
    pub fn expect(
        self,
        py: Attached<'py>,
        name: &str,
        at_least: usize,
        at_most: usize,
    ) -> PyResult<'py, &'a [Obj<'py>]> {
        let given = self.items.len();
        if (at_least..=at_most).contains(&given) {
            return Ok(self.items);
        }
        let (word, bound) = if given < at_least { ("least", at_least) } else { ("most", at_most) };
        let word = if at_least == at_most { "exactly" } else { &format!("at {word}") };
        let plural = if bound == 1 { "" } else { "s" };
        Err(py.raise(
            Exception::Type,
            format!("{name}() takes {word} {bound} argument{plural} ({given} given)"),
        ))
    }
}

/// Keyword arguments of a call.
#[derive(Debug)]
pub struct Keywords<'a, 'py> {
    pub(super) names: Option<&'a Obj<'py>>,
}

impl<'py> Keywords<'_, 'py> {
    /// The value of argument number `index`, given by position or by name.
    pub fn argument(&self, args: &[Obj<'py>], index: usize, name: &CStr) -> PyResult<'py, Option<Obj<'py>>> {
        if let Some(value) = args.get(index) {
            return Ok(Some(value.clone()));
        }
        self.names.map_or(Ok(None), |names| names.item(&names.py().name(name)?))
    }

    /// Raises `TypeError` when a name is none of `known`.
    pub fn only(&self, function: &str, known: &[&str]) -> PyResult<'py, ()> {
        let Some(names) = self.names else { return Ok(()) };
        let mut unknown = None;
        names.for_each_item(|name, _| {
            unknown =
                unknown.take().or_else(|| name.to_text().filter(|name| !known.contains(&name.as_str())));
        });
        unknown.map_or(Ok(()), |name| {
            let message = format!("{function}() got an unexpected keyword argument '{name}'");
            Err(names.py().raise(Exception::Type, message))
        })
    }
}
