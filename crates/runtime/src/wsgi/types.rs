//! The gateway's classes, as one interpreter has them.

use crate::python::{Attached, Held, Maker, PyResult, Type};
use crate::wsgi::callbacks::Subscribe;
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
    pub subscribe: Type<Subscribe>,
    /// The exception class `mod_wsgi.RequestTimeout`.
    pub request_timeout: Held,
    /// Makes the text stream of a log.
    pub text_stream: Maker,
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
            subscribe: Type::new(py)?,
            request_timeout: py
                .new_base_exception(
                    c"mod_wsgi.RequestTimeout",
                    c"Raised in a request that has run for too long.",
                )?
                .hold(),
            text_stream: Maker::new(py.import("io")?.attribute(c"TextIOWrapper")?, options)?,
        })
    }
}
