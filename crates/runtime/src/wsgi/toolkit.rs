//! The Python objects that a request needs, kept for the next one when the application kept none of them.

use std::rc::Rc;

use crate::python::{Attached, Held, Obj, PyResult};
use crate::wsgi::error_log::Log;
use crate::wsgi::input::Input;
use crate::wsgi::settings::Settings;
use crate::wsgi::start_response::{StartResponse, Write};
use crate::wsgi::transaction::Transaction;
use crate::wsgi::types::Types;

/// `start_response`, `write`, `wsgi.input` and `wsgi.errors`, sharing one transaction.
#[derive(Debug)]
pub struct Toolkit {
    /// What they share.
    pub transaction: Rc<Transaction>,
    start_response: Held,
    write: Held,
    input: Held,
    errors: Held,
    log: Held,
}

impl Toolkit {
    /// A new set.
    pub fn new<'py>(py: Attached<'py>, settings: &'static Settings, types: &Types) -> PyResult<'py, Self> {
        let transaction = Transaction::new(settings);
        let write = types.write.instance(py, Write::new(Rc::clone(&transaction)))?;
        let start_response = StartResponse::new(Rc::clone(&transaction), write.clone().hold());
        let log = types.log.instance(py, Log::of_request(Rc::clone(&transaction)))?;
        Ok(Self {
            start_response: types.start_response.instance(py, start_response)?.hold(),
            write: write.hold(),
            input: types.input.instance(py, Input::new(Rc::clone(&transaction)))?.hold(),
            errors: types.text_stream.make(py, &log)?.hold(),
            log: log.hold(),
            transaction,
        })
    }

    /// `start_response`.
    pub const fn start_response<'a, 'py>(&'a self, py: Attached<'py>) -> &'a Obj<'py> {
        self.start_response.get(py)
    }

    /// `wsgi.input`.
    pub const fn input<'a, 'py>(&'a self, py: Attached<'py>) -> &'a Obj<'py> {
        self.input.get(py)
    }

    /// `wsgi.errors`.
    pub const fn errors<'a, 'py>(&'a self, py: Attached<'py>) -> &'a Obj<'py> {
        self.errors.get(py)
    }

    /// Whether the next request may have these objects: nobody else has one, and the text stream, which an application can
    /// change, is as it was made.
    pub fn is_reusable(&self, py: Attached<'_>, types: &Types) -> bool {
        let sole = |held: &Held, own: u32| held.references(py) == own;
        !self.transaction.is_touched()
            && sole(&self.start_response, 1)
            && sole(&self.input, 1)
            && sole(&self.errors, 1)
            // `start_response` has `write`, and the text stream its log.
            && sole(&self.write, 2)
            && sole(&self.log, 2)
            && types.text_stream.is_as_made(py, self.errors.get(py))
    }

    /// Gives the objects up to whoever else has them.
    pub fn release(self, py: Attached<'_>) {
        for held in [self.start_response, self.write, self.input, self.errors, self.log] {
            held.release(py);
        }
    }
}
