//! `list` and `tuple`.

use pyo3::ffi;

use crate::python::{Attached, Obj, PyResult};

impl<'py> Attached<'py> {
    /// A `list` of these.
    pub fn list(self, items: &[&Obj<'py>]) -> PyResult<'py, Obj<'py>> {
        // SAFETY: returns a new reference or null with an exception.
        let list = unsafe { Obj::from_owned(self, ffi::PyList_New(0)) }?;
        for item in items {
            list.append(item)?;
        }
        Ok(list)
    }

    /// A `tuple` of these.
    pub fn tuple(self, items: &[&Obj<'py>]) -> PyResult<'py, Obj<'py>> {
        let list = self.list(items)?;
        // SAFETY: a live list; returns a new reference or null with an exception.
        unsafe { Obj::from_owned(self, ffi::PyList_AsTuple(list.as_raw())) }
    }
}

impl<'py> Attached<'py> {
    /// A `tuple` of `int`s, as versions are.
    pub fn numbers(self, numbers: &[u32]) -> PyResult<'py, Obj<'py>> {
        let numbers =
            numbers.iter().map(|number| self.int(i64::from(*number))).collect::<Result<Vec<_>, _>>()?;
        self.tuple(&numbers.iter().collect::<Vec<_>>())
    }
}

impl<'py> Obj<'py> {
    /// Appends to a `list`.
    pub fn append(&self, item: &Self) -> PyResult<'py, ()> {
        // SAFETY: live objects; checks that `self` is a `list`.
        let code = unsafe { ffi::PyList_Append(self.as_raw(), item.as_raw()) };
        self.py().check(code)
    }

    /// Whether this is a `list` (or of a subclass).
    pub fn is_list(&self) -> bool {
        // SAFETY: reads the flags of a live object's type.
        unsafe { ffi::PyList_Check(self.as_raw()) != 0 }
    }

    /// The items of a `list`, `tuple` or subclass, as they are now; none when this is neither.
    #[inline]
    pub fn items(&self) -> Option<Blocks<'_, 'py>> {
        let kind = self.kind()?;
        Some(Blocks { sequence: self, kind, next: 0 })
    }

    /// The items when this is exactly a `list` or a `tuple`, whose iteration nobody can have changed.
    #[inline]
    pub fn exact_items(&self) -> Option<Blocks<'_, 'py>> {
        // SAFETY: compares the address of a live object's type.
        let list = unsafe { ffi::PyList_CheckExact(self.as_raw()) } != 0;
        // SAFETY: as above.
        let tuple = !list && unsafe { ffi::PyTuple_CheckExact(self.as_raw()) } != 0;
        let kind = if list { Kind::List } else { Kind::Tuple };
        (list || tuple).then_some(Blocks { sequence: self, kind, next: 0 })
    }

    /// The items when this is a `tuple` (or of a subclass).
    pub fn as_tuple(&self) -> Option<Vec<Self>> {
        let items = self.items().filter(|items| matches!(items.kind, Kind::Tuple))?;
        Some(items.collect())
    }

    fn kind(&self) -> Option<Kind> {
        if self.is_list() {
            return Some(Kind::List);
        }
        // SAFETY: reads the flags of a live object's type.
        (unsafe { ffi::PyTuple_Check(self.as_raw()) } != 0).then_some(Kind::Tuple)
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    List,
    Tuple,
}

/// Goes over the items of a sequence. Ends at the length of that moment, so that a list that shrinks meanwhile is safe.
#[derive(Clone, Debug)]
pub struct Blocks<'a, 'py> {
    sequence: &'a Obj<'py>,
    kind: Kind,
    next: isize,
}

impl Blocks<'_, '_> {
    #[inline]
    fn length(&self) -> usize {
        // SAFETY: the sequence is of this kind, see the constructors.
        let length = unsafe {
            match self.kind {
                Kind::List => ffi::PyList_Size(self.sequence.as_raw()),
                Kind::Tuple => ffi::PyTuple_Size(self.sequence.as_raw()),
            }
        };
        length.unsigned_abs()
    }
}

impl<'py> Iterator for Blocks<'_, 'py> {
    type Item = Obj<'py>;

    #[inline]
    fn next(&mut self) -> Option<Obj<'py>> {
        if self.next.unsigned_abs() >= self.length() {
            return None;
        }
        // SAFETY: of this kind, and the index is below the length; returns a borrowed reference.
        let item = unsafe {
            match self.kind {
                Kind::List => ffi::PyList_GetItem(self.sequence.as_raw(), self.next),
                Kind::Tuple => ffi::PyTuple_GetItem(self.sequence.as_raw(), self.next),
            }
        };
        self.next += 1;
        // SAFETY: live: the sequence has it, and nothing ran in between.
        Some(unsafe { Obj::from_borrowed(self.sequence.py(), item) })
    }
}
