//! Objects of classes that are not ours, made by us, and the question whether they are still as they were made.

use crate::python::{Attached, Held, Obj, PyResult};

/// A class and the keyword arguments with which its instances are made.
#[derive(Debug)]
pub struct Maker {
    class: Held,
    keywords: Held,
    additions: Option<Additions>,
}

/// Where instances of a class keep what others may have added to them, in bytes from their start.
#[derive(Clone, Copy, Debug)]
struct Additions {
    dict: isize,
    weak_references: isize,
}

impl Maker {
    /// Makes instances by `class(argument, **keywords)`.
    pub fn new<'py>(class: Obj<'py>, keywords: Obj<'py>) -> PyResult<'py, Self> {
        let offset = |name| {
            let offset = class.attribute(name)?.to_int();
            Ok(offset.and_then(|offset| isize::try_from(offset).ok()).filter(|offset| *offset > 0))
        };
        // Classes written in Python keep them elsewhere; those written in C say where.
        let (dict, weak_references) = (offset(c"__dictoffset__")?, offset(c"__weakrefoffset__")?);
        let additions =
            dict.zip(weak_references).map(|(dict, weak_references)| Additions { dict, weak_references });
        Ok(Self { class: class.hold(), keywords: keywords.hold(), additions })
    }

    /// An instance.
    pub fn make<'py>(&self, py: Attached<'py>, argument: &Obj<'py>) -> PyResult<'py, Obj<'py>> {
        self.class.get(py).call_with_dict(&[argument], self.keywords.get(py))
    }

    /// Whether `object` is an instance of the class, no subclass, without attributes of its own and without weak
    /// references to it.
    #[inline]
    pub fn is_as_made(&self, py: Attached<'_>, object: &Obj<'_>) -> bool {
        let Some(additions) = self.additions.filter(|_| object.is_exactly(self.class.get(py))) else {
            return false;
        };
        let is_null = |offset: isize| {
            // SAFETY: the class says that a pointer stands there in each of its instances, and this is one.
            unsafe { object.as_raw().byte_offset(offset).cast::<*const ()>().read().is_null() }
        };
        is_null(additions.dict) && is_null(additions.weak_references)
    }
}
