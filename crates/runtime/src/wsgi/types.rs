//! The gateway's classes, as one interpreter has them.

use crate::python::{Attached, Held, Obj, PyResult, Type};
use crate::wsgi::error_log::Log;
use crate::wsgi::file_wrapper::FileWrapper;
use crate::wsgi::input::Input;
use crate::wsgi::log_handler::LateAttributes;
use crate::wsgi::restrict::{Restricted, SignalIntercept};
use crate::wsgi::start_response::{StartResponse, Write};

/// One handle for each class.
#[derive(Debug)]
#[allow(missing_docs, reason = "each is the class of its name")]
pub struct Types {
    pub input: Type<Input>,
    pub late_attributes: Type<LateAttributes>,
    pub log: Type<Log>,
    pub start_response: Type<StartResponse>,
    pub write: Type<Write>,
    pub file_wrapper: Type<FileWrapper>,
    pub restricted: Type<Restricted>,
    pub signal_intercept: Type<SignalIntercept>,
    text_wrapper: Held,
    text_options: Held,
    count_weak_references: Held,
}

impl Types {
    /// For the interpreter that the thread is attached to.
    pub fn new<'py>(py: Attached<'py>) -> PyResult<'py, Self> {
        let options = py.dict()?;
        options.set_entry(c"encoding", &py.text("utf-8")?)?;
        options.set_entry(c"errors", &py.text("replace")?)?;
        options.set_entry(c"line_buffering", &py.bool(true))?;
        options.set_entry(c"write_through", &py.bool(true))?;
        Ok(Self {
            input: Type::new(py)?,
            late_attributes: Type::new(py)?,
            log: Type::new(py)?,
            start_response: Type::new(py)?,
            write: Type::new(py)?,
            file_wrapper: Type::new(py)?,
            restricted: Type::new(py)?,
            signal_intercept: Type::new(py)?,
            text_wrapper: py.import("io")?.attribute(c"TextIOWrapper")?.hold(),
            text_options: options.hold(),
            count_weak_references: py.import("_weakref")?.attribute(c"getweakrefcount")?.hold(),
        })
    }

    /// A text stream that writes to `log`.
    pub fn text_stream<'py>(&self, py: Attached<'py>, log: &Obj<'py>) -> PyResult<'py, Obj<'py>> {
        self.text_wrapper.get(py).call_with_dict(&[log], self.text_options.get(py))
    }

    /// Whether a text stream is as it was made: nobody has set an attribute on it, or has a weak reference to it.
    pub fn is_as_made<'py>(&self, py: Attached<'py>, stream: &Obj<'py>) -> PyResult<'py, bool> {
        let references = self.count_weak_references.get(py).call_one(stream)?.to_int();
        Ok(references == Some(0) && stream.attribute(c"__dict__")?.is_empty_dict())
    }
}
