//! `start_response` and the `write` it returns (PEP 3333, "The start_response() Callable" and "The write() Callable").

use std::ffi::CStr;
use std::rc::Rc;

use oxwsgi_core::exchange::{HeadError, ReplyHead, Send, SendError};

use crate::python::{Args, Attached, Class, Exception, Held, Obj, PyResult, Raised, Slots};
use crate::wsgi::transaction::{Stage, Transaction};

/// The callable that takes status and headers.
#[derive(Debug)]
pub struct StartResponse {
    transaction: Rc<Transaction>,
    write: Held,
}

/// The callable for applications that write their reply piece by piece.
#[derive(Debug)]
pub struct Write {
    transaction: Rc<Transaction>,
}

impl StartResponse {
    /// For `transaction`'s requests; returns `write`, an instance of [`Write`].
    pub const fn new(transaction: Rc<Transaction>, write: Held) -> Self {
        Self { transaction, write }
    }

    fn call<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        let args = args.expect(py, "start_response", 2, 3)?;
        if !self.transaction.is_open() {
            return Err(py.raise(Exception::Runtime, "start_response() called after request completed"));
        }
        let (status, headers) = (&args[0], &args[1]);
        if !headers.is_list() {
            let text = format!("start_response() argument 2 must be list, not {}", headers.type_name());
            return Err(py.raise(Exception::Type, text));
        }
        let sent = matches!(self.transaction.stage.get(), Stage::HeadSent | Stage::Complete);
        match args.get(2).filter(|exc_info| !exc_info.is_none()) {
            Some(exc_info) => {
                let Some(items) = exc_info.as_tuple() else {
                    let text = "start_response() argument 'exc_info' must be a 3-tuple or None";
                    return Err(py.raise(Exception::Runtime, text));
                };
                if sent {
                    return Err(raise_again(py, &items));
                }
            }
            None if sent => {
                return Err(
                    py.raise(Exception::Runtime, "start_response() called more than once without exc_info")
                );
            }
            None => {}
        }
        // A second head is built beside the first, which stays when the second is refused.
        let first = self.transaction.stage.get() == Stage::Silent;
        let mut head = if first { self.transaction.head.take() } else { ReplyHead::default() };
        head.clear();
        let filled = fill(py, &mut head, status, headers);
        if first || filled.is_ok() {
            self.transaction.head.replace(head);
        }
        if filled.is_ok() {
            self.transaction.stage.set(Stage::HeadKnown);
        }
        filled.map(|()| self.write.share(py))
    }
}

fn fill<'py>(
    py: Attached<'py>,
    head: &mut ReplyHead,
    status: &Obj<'py>,
    headers: &Obj<'py>,
) -> PyResult<'py, ()> {
    status
        .with_latin1(|line| head.set_status(line))?
        .ok_or_else(|| must_be_text(py, status))?
        .map_err(|e| wrong(py, &e))?;
    for header in headers.items().into_iter().flatten() {
        let Some(items) = header.as_tuple() else {
            let text = format!("each header must be a 2-tuple, not {}", header.type_name());
            return Err(py.raise(Exception::Type, text));
        };
        let [name, value] = items.as_slice() else {
            let text = format!("each header must be a 2-tuple, got length {}", items.len());
            return Err(py.raise(Exception::Value, text));
        };
        let added = name
            .with_latin1(|name| {
                value.with_latin1(|value| head.add(name, value))?.ok_or_else(|| must_be_text(py, value))
            })?
            .ok_or_else(|| must_be_text(py, name))?;
        added?.map_err(|error| wrong(py, &error))?;
    }
    Ok(())
}

fn must_be_text<'py>(py: Attached<'py>, object: &Obj<'py>) -> Raised<'py> {
    py.raise(Exception::Type, format!("must be str, not {}", object.type_name()))
}

fn wrong<'py>(py: Attached<'py>, error: &HeadError) -> Raised<'py> {
    py.raise(Exception::Value, error.to_string())
}

fn raise_again<'py>(py: Attached<'py>, exc_info: &[Obj<'py>]) -> Raised<'py> {
    match exc_info {
        [kind, value, traceback] => {
            py.restore(kind.clone(), value.clone(), traceback.clone()).unwrap_or_else(|| {
                py.raise(
                    Exception::Type,
                    "exc_info must be the exception's class, the exception, and its traceback",
                )
            })
        }
        _ => {
            let text = format!("exc_info must be a 3-tuple, got length {}", exc_info.len());
            py.raise(Exception::Type, text)
        }
    }
}

impl Class for StartResponse {
    const NAME: &'static CStr = c"mod_wsgi.StartResponse";
    const DOC: &'static CStr = c"start_response(status, headers, exc_info=None) -> write";
    const SLOTS: Slots<Self> = Slots { call: Some(Self::call), ..Slots::NONE };

    fn release(self, py: Attached<'_>) {
        self.write.release(py);
    }
}

impl Write {
    /// For `transaction`'s requests.
    pub const fn new(transaction: Rc<Transaction>) -> Self {
        Self { transaction }
    }

    fn call<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        let data = &args.expect(py, "write", 1, 1)?[0];
        let Some(bytes) = data.as_bytes() else {
            let text = format!("write() argument must be bytes, not {}", data.type_name());
            return Err(py.raise(Exception::Type, text));
        };
        if !self.transaction.is_open() {
            return Err(py.raise(Exception::Runtime, "write() called after request completed"));
        }
        if self.transaction.stage.get() == Stage::Silent {
            return Err(py.raise(
                Exception::Runtime,
                "start_response() must be called before response content is produced",
            ));
        }
        self.transaction.send(py, bytes, Send::FLUSH).map_err(|error| match error {
            SendError::ClientGone => py.raise(Exception::Os, "mod_wsgi client connection closed"),
            SendError::Failed(text) => {
                py.raise(Exception::Os, format!("mod_wsgi failed to write response data: {text}"))
            }
            SendError::Revoked => py.raise(Exception::Runtime, "write() called after request completed"),
        })?;
        Ok(py.none())
    }
}

impl Class for Write {
    const NAME: &'static CStr = c"mod_wsgi.Write";
    const DOC: &'static CStr = c"write(bytes) sends a piece of the reply.";
    const SLOTS: Slots<Self> = Slots { call: Some(Self::call), ..Slots::NONE };
}
