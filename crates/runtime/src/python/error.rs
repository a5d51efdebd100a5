//! Exceptions: set by the C API, raised by us, reported.

use std::ffi::CString;
use std::marker::PhantomData;

use pyo3::ffi;

use crate::python::{Attached, Obj};

/// An exception is set on this thread: return to whoever can handle it.
#[must_use = "an exception is set and must reach a caller, or be cleared"]
#[derive(Debug)]
pub struct Raised<'py>(PhantomData<Attached<'py>>);

/// A value, or the word that an exception is set.
pub type PyResult<'py, T> = Result<T, Raised<'py>>;

/// The built-in exceptions that we raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// `TypeError`
    Type,
    /// `ValueError`
    Value,
    /// `RuntimeError`
    Runtime,
    /// `OSError`
    Os,
    /// `AttributeError`
    Attribute,
    /// `SystemExit`
    SystemExit,
}

impl Exception {
    fn as_raw(self) -> *mut ffi::PyObject {
        // SAFETY: reads a pointer that is set once Python is initialised, and that exists in every interpreter.
        unsafe {
            match self {
                Self::Type => ffi::PyExc_TypeError,
                Self::Value => ffi::PyExc_ValueError,
                Self::Runtime => ffi::PyExc_RuntimeError,
                Self::Os => ffi::PyExc_OSError,
                Self::Attribute => ffi::PyExc_AttributeError,
                Self::SystemExit => ffi::PyExc_SystemExit,
            }
        }
    }
}

impl<'py> Raised<'py> {
    /// States that an exception is set.
    #[inline]
    pub(super) const fn already(_py: Attached<'py>) -> Self {
        Self(PhantomData)
    }

    const fn py(&self) -> Attached<'py> {
        // SAFETY: a value of this type exists only within the lifetime of a token.
        unsafe { Attached::assume() }
    }

    /// Forgets an `AttributeError`; any other exception stays raised.
    pub fn unless_attribute_error(self) -> PyResult<'py, ()> {
        if !self.is(Exception::Attribute) {
            return Err(self);
        }
        self.clear();
        Ok(())
    }

    /// Whether the exception is an instance of `kind`.
    pub fn is(&self, kind: Exception) -> bool {
        // SAFETY: an exception is set, and `kind` names a live class.
        unsafe { ffi::PyErr_ExceptionMatches(kind.as_raw()) != 0 }
    }

    /// Forgets the exception.
    pub fn clear(self) {
        self.py().clear_exception();
    }

    /// Takes the exception off the thread, to look at it.
    pub fn take(self) -> RaisedException<'py> {
        let py = self.py();
        let (mut kind, mut value, mut traceback) =
            (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: three places of ours; each becomes an owned reference or null.
        unsafe { ffi::PyErr_Fetch(&raw mut kind, &raw mut value, &raw mut traceback) };
        // SAFETY: what the fetch gave; normalising replaces references by references.
        unsafe { ffi::PyErr_NormalizeException(&raw mut kind, &raw mut value, &raw mut traceback) };
        let own = |pointer| {
            // SAFETY: an owned reference or null.
            unsafe { Obj::from_owned(py, pointer) }.unwrap_or_else(|_| py.none())
        };
        RaisedException { kind: own(kind), value: own(value), traceback: own(traceback) }
    }
}

/// An exception that is off the thread.
#[derive(Debug)]
pub struct RaisedException<'py> {
    /// Its class.
    pub kind: Obj<'py>,
    /// The exception.
    pub value: Obj<'py>,
    /// Its traceback, or `None`.
    pub traceback: Obj<'py>,
}

impl<'py> RaisedException<'py> {
    /// `type(exception).__name__`.
    pub fn name(&self) -> String {
        self.value.type_name()
    }

    /// Whether this is a `SystemExit`.
    pub fn is_system_exit(&self) -> bool {
        // SAFETY: a live object and a class that every interpreter has.
        unsafe { ffi::PyErr_GivenExceptionMatches(self.value.as_raw(), ffi::PyExc_SystemExit) != 0 }
    }

    /// Whether this is an instance of `class`.
    pub fn is_of(&self, class: &Obj<'py>) -> bool {
        // SAFETY: two live objects.
        unsafe { ffi::PyErr_GivenExceptionMatches(self.value.as_raw(), class.as_raw()) != 0 }
    }

    /// Whether this is an `ImportError`.
    pub fn is_import_error(&self) -> bool {
        // SAFETY: a live object and a class that every interpreter has.
        unsafe { ffi::PyErr_GivenExceptionMatches(self.value.as_raw(), ffi::PyExc_ImportError) != 0 }
    }

    /// `str(exception)`.
    pub fn message(&self) -> String {
        let py = self.value.py();
        // SAFETY: a live object; returns a new reference or null with an exception.
        let text = unsafe { Obj::from_owned(py, ffi::PyObject_Str(self.value.as_raw())) };
        text.ok().and_then(|text| text.to_text()).unwrap_or_else(|| {
            py.clear_exception();
            String::new()
        })
    }

    /// What the interpreter would print: the traceback's lines, chained exceptions included.
    pub fn lines(&self) -> Vec<String> {
        self.format().unwrap_or_else(|raised| {
            // A broken `traceback` module or `__str__` must not hide that something was raised.
            raised.clear();
            vec![format!("{} (its traceback could not be formatted)", self.value.repr())]
        })
    }

    fn format(&self) -> PyResult<'py, Vec<String>> {
        let py = self.value.py();
        let format = py.import("traceback")?.attribute(c"format_exception")?;
        format.call(&[&self.kind, &self.value, &self.traceback])?.text_lines()
    }
}

impl<'py> Obj<'py> {
    /// The lines in an iterable of texts.
    pub(super) fn text_lines(&self) -> PyResult<'py, Vec<String>> {
        let pieces = self.iterate()?;
        let mut lines = Vec::new();
        while let Some(piece) = pieces.next()? {
            lines.extend(piece.to_text_lossy().lines().map(str::to_owned));
        }
        Ok(lines)
    }
}

impl<'py> Attached<'py> {
    /// The stack of the Python code that is running, as the interpreter would print it.
    pub fn stack_lines(self) -> Vec<String> {
        let stack = self.import("traceback").and_then(|module| module.call_method(c"format_stack", &[]));
        stack.and_then(|stack| stack.text_lines()).unwrap_or_else(|raised| {
            raised.clear();
            Vec::new()
        })
    }

    /// Whether an exception is set.
    #[inline]
    pub fn has_exception(self) -> bool {
        // SAFETY: attached.
        unsafe { !ffi::PyErr_Occurred().is_null() }
    }

    /// Forgets a set exception.
    pub fn clear_exception(self) {
        // SAFETY: attached.
        unsafe { ffi::PyErr_Clear() }
    }

    /// Raises `kind(message)`.
    #[cold]
    pub fn raise(self, kind: Exception, message: impl AsRef<str>) -> Raised<'py> {
        let text = CString::new(message.as_ref().replace('\0', "\\x00")).unwrap_or_default();
        // SAFETY: a live class and a C string, which is copied.
        unsafe { ffi::PyErr_SetString(kind.as_raw(), text.as_ptr()) };
        Raised::already(self)
    }

    /// Raises an exception given as the triple of `sys.exc_info()`; none when it is not one.
    pub fn restore(self, kind: Obj<'py>, value: Obj<'py>, traceback: Obj<'py>) -> Option<Raised<'py>> {
        // CPython takes the triple as it is, and writes behind whatever stands in an exception's place.
        // SAFETY: reads the flags of live objects' types.
        let is_class = unsafe { ffi::PyExceptionClass_Check(kind.as_raw()) } != 0;
        // SAFETY: as above.
        let is_exception = value.is_none() || unsafe { ffi::PyExceptionInstance_Check(value.as_raw()) } != 0;
        // SAFETY: as above.
        let is_traceback = traceback.is_none() || unsafe { ffi::PyTraceBack_Check(traceback.as_raw()) } != 0;
        if !is_class || !is_exception || !is_traceback {
            return None;
        }
        let or_null =
            |object: Obj<'py>| if object.is_none() { std::ptr::null_mut() } else { object.into_raw() };
        // SAFETY: gives three references, or null where there is none, to the thread.
        unsafe { ffi::PyErr_Restore(kind.into_raw(), or_null(value), or_null(traceback)) };
        Some(Raised::already(self))
    }

    /// The result of a C API function that returns a negative number when an exception is set.
    #[inline]
    pub(super) const fn check(self, code: std::ffi::c_int) -> PyResult<'py, ()> {
        if code < 0 { Err(Raised::already(self)) } else { Ok(()) }
    }
}
