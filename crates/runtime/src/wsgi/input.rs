//! `wsgi.input` (PEP 3333, "Input and Error Streams").

use std::rc::Rc;

use oxwsgi_core::exchange::{Exchange, FlowError, RemoteExchange, Revoked};
use oxwsgi_core::request::BodyLength;

use crate::python::{Args, Attached, BytesBuffer, Class, Exception, Method, Obj, PyResult, Slots, method};
use crate::wsgi::read_ahead::PIECE;
use crate::wsgi::transaction::Transaction;

/// The most memory that a Content-Length alone makes us reserve, in bytes: the client may never send that much.
const TRUSTED_LENGTH: u64 = 8 * 1024 * 1024;

/// The request body.
#[derive(Debug)]
pub struct Input {
    transaction: Rc<Transaction>,
}

/// Why reading failed.
enum ReadError {
    Over,
    Flow(String),
}

impl From<Revoked> for ReadError {
    fn from(_: Revoked) -> Self {
        Self::Over
    }
}

/// Fills `room` as far as the body goes.
fn fill(exchange: &mut RemoteExchange<'_>, room: &mut [u8]) -> Result<usize, ReadError> {
    let mut filled = 0;
    while filled < room.len() {
        match exchange.read(&mut room[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) => return Err(explain(exchange, error)),
        }
    }
    Ok(filled)
}

fn explain(exchange: &mut RemoteExchange<'_>, error: FlowError) -> ReadError {
    ReadError::Flow(match error {
        FlowError::ClientGone => "Connection was terminated".to_owned(),
        FlowError::Failed => exchange.error_text(),
    })
}

impl Input {
    /// The body of `transaction`'s request.
    pub const fn new(transaction: Rc<Transaction>) -> Self {
        Self { transaction }
    }

    fn check<'py>(&self, py: Attached<'py>, call: &str) -> PyResult<'py, ()> {
        if !self.transaction.is_open() {
            return Err(Self::over(py, call));
        }
        if self.transaction.read_ahead.borrow().failed {
            let text = "mod_wsgi request data read error: input is already in error state";
            return Err(py.raise(Exception::Os, text));
        }
        Ok(())
    }

    fn over<'py>(py: Attached<'py>, call: &str) -> crate::python::Raised<'py> {
        let text = if call == "iteration" {
            "iteration of wsgi.input attempted after request completed".to_owned()
        } else {
            format!("{call}() called on wsgi.input after request completed")
        };
        py.raise(Exception::Runtime, text)
    }

    fn failed<'py>(&self, py: Attached<'py>, call: &str, error: ReadError) -> crate::python::Raised<'py> {
        match error {
            ReadError::Over => Self::over(py, call),
            ReadError::Flow(text) => {
                self.transaction.read_ahead.borrow_mut().failed = true;
                py.raise(Exception::Os, format!("mod_wsgi request data read error: {text}"))
            }
        }
    }

    fn with_exchange<R: Send>(
        &self,
        py: Attached<'_>,
        body: impl FnOnce(&mut RemoteExchange<'static>) -> Result<R, ReadError> + Send,
    ) -> Result<R, ReadError> {
        self.transaction.with_client(py, body)?
    }

    fn read<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        let size = optional_size(py, args.expect(py, "read", 0, 1)?)?;
        let _reading = self.transaction.reading.take(py);
        self.check(py, "read")?;
        match usize::try_from(size) {
            Ok(0) => {
                // Nothing is wanted, yet a client that waits for "100 Continue" gets it.
                let poke = |exchange: &mut RemoteExchange<'_>| {
                    exchange.read(&mut []).map(drop).map_err(|error| explain(exchange, error))
                };
                self.with_exchange(py, poke).map_err(|error| self.failed(py, "read", error))?;
                py.bytes(b"")
            }
            Ok(size) => self.read_exactly(py, size),
            Err(_) => self.read_to_end(py),
        }
    }

    fn read_exactly<'py>(&self, py: Attached<'py>, size: usize) -> PyResult<'py, Obj<'py>> {
        if self.transaction.read_ahead.borrow().ended
            && self.transaction.read_ahead.borrow().rest().is_empty()
        {
            return py.bytes(b"");
        }
        // A size far beyond the body is a common way to say "all": do not reserve it.
        if size as u64 > self.expected().max(PIECE as u64) {
            return self.read_in_pieces(py, size);
        }
        let mut buffer = BytesBuffer::new(py, size)?;
        let room = buffer.room();
        let ready = self.transaction.read_ahead.borrow_mut().take_into(room);
        let rest = &mut room[ready..];
        let wanted = rest.len();
        let count = if rest.is_empty() {
            0
        } else {
            self.with_exchange(py, |exchange| fill(exchange, rest))
                .map_err(|error| self.failed(py, "read", error))?
        };
        if count < wanted {
            self.transaction.read_ahead.borrow_mut().ended = true;
        }
        buffer.finish(ready + count)
    }

    fn read_to_end<'py>(&self, py: Attached<'py>) -> PyResult<'py, Obj<'py>> {
        let untouched = self.transaction.read_ahead.borrow().is_untouched();
        if let BodyLength::Bytes(length) = self.transaction.body.get()
            && untouched
            && length <= TRUSTED_LENGTH
        {
            // The usual case: one allocation of the right size. The one byte more finds the end in the same go, or
            // that a filter has made the body longer.
            let mut buffer = BytesBuffer::new(py, length as usize + 1)?;
            let room = buffer.room();
            let count = self
                .with_exchange(py, |exchange| fill(exchange, room))
                .map_err(|error| self.failed(py, "read", error))?;
            if count <= length as usize {
                self.transaction.read_ahead.borrow_mut().ended = true;
                return buffer.finish(count);
            }
            self.transaction.read_ahead.borrow_mut().append(&buffer.room()[..count]);
        }
        self.read_in_pieces(py, usize::MAX)
    }

    fn read_in_pieces<'py>(&self, py: Attached<'py>, most: usize) -> PyResult<'py, Obj<'py>> {
        let mut bytes = {
            let mut ahead = self.transaction.read_ahead.borrow_mut();
            let ready = ahead.rest().len().min(most);
            ahead.take(ready)
        };
        if bytes.len() < most {
            let read = |exchange: &mut RemoteExchange<'_>| {
                while bytes.len() < most {
                    let start = bytes.len();
                    let step = PIECE.max(start / 2).min(most - start);
                    bytes.resize(start + step, 0);
                    let count = fill(exchange, &mut bytes[start..])?;
                    bytes.truncate(start + count);
                    if count < step {
                        return Ok((bytes, true));
                    }
                }
                Ok((bytes, false))
            };
            let ended;
            (bytes, ended) = self.with_exchange(py, read).map_err(|error| self.failed(py, "read", error))?;
            self.transaction.read_ahead.borrow_mut().ended |= ended;
        }
        py.bytes(&bytes)
    }

    fn readline<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        let size = optional_size(py, args.expect(py, "readline", 0, 1)?)?;
        let _reading = self.transaction.reading.take(py);
        self.check(py, "readline")?;
        let line = self.line(py, "readline", usize::try_from(size).unwrap_or(usize::MAX))?;
        py.bytes(&line)
    }

    fn readlines<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        let hint = optional_size(py, args.expect(py, "readlines", 0, 1)?)?;
        let _reading = self.transaction.reading.take(py);
        self.check(py, "readlines")?;
        let enough = usize::try_from(hint).ok().filter(|hint| *hint > 0).unwrap_or(usize::MAX);
        let lines = py.list(&[])?;
        let mut total = 0;
        while total < enough {
            let line = self.line(py, "readlines", usize::MAX)?;
            if line.is_empty() {
                break;
            }
            total += line.len();
            lines.append(&py.bytes(&line)?)?;
        }
        Ok(lines)
    }

    fn next<'py>(&self, py: Attached<'py>) -> PyResult<'py, Option<Obj<'py>>> {
        let _reading = self.transaction.reading.take(py);
        self.check(py, "iteration")?;
        let line = self.line(py, "iteration", usize::MAX)?;
        if line.is_empty() { Ok(None) } else { py.bytes(&line).map(Some) }
    }

    fn close<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        args.expect(py, "close", 0, 0)?;
        // The stream is the server's (PEP 3333): during the request this does nothing.
        if self.transaction.is_open() { Ok(py.none()) } else { Err(Self::over(py, "close")) }
    }

    /// Up to and with the next newline, at most `most` bytes; empty at the end.
    fn line<'py>(&self, py: Attached<'py>, call: &str, most: usize) -> PyResult<'py, Vec<u8>> {
        let mut searched = 0;
        loop {
            {
                let mut ahead = self.transaction.read_ahead.borrow_mut();
                let rest = ahead.rest();
                let found =
                    rest[searched..].iter().position(|byte| *byte == b'\n').map(|index| searched + index + 1);
                let length = found.unwrap_or(rest.len()).min(most);
                if found.is_some() || ahead.ended || length == most {
                    return Ok(ahead.take(length));
                }
                searched = rest.len();
            }
            let read = |exchange: &mut RemoteExchange<'_>| {
                let mut piece = vec![0; PIECE];
                let count = exchange.read(&mut piece).map_err(|error| explain(exchange, error))?;
                piece.truncate(count);
                Ok(piece)
            };
            let piece = self.with_exchange(py, read).map_err(|error| self.failed(py, call, error))?;
            let mut ahead = self.transaction.read_ahead.borrow_mut();
            ahead.ended |= piece.is_empty();
            ahead.append(&piece);
        }
    }

    fn expected(&self) -> u64 {
        match self.transaction.body.get() {
            BodyLength::Bytes(length) => length.min(TRUSTED_LENGTH),
            BodyLength::None | BodyLength::UntilEnd => 0,
        }
    }
}

/// The size argument; negative means all.
fn optional_size<'py>(py: Attached<'py>, args: &[Obj<'py>]) -> PyResult<'py, isize> {
    match args.first() {
        None => Ok(-1),
        Some(size) if size.is_none() => {
            Err(py.raise(Exception::Type, "'NoneType' object cannot be interpreted as an integer"))
        }
        Some(size) => size.to_index(),
    }
}

impl Class for Input {
    const NAME: &'static std::ffi::CStr = c"mod_wsgi.Input";
    const DOC: &'static std::ffi::CStr = c"The body of a request.";
    const METHODS: &'static [Method] = &[
        method(c"read", c"read(size=-1) -> bytes", Self::read),
        method(c"readline", c"readline(size=-1) -> bytes", Self::readline),
        method(c"readlines", c"readlines(hint=-1) -> list of bytes", Self::readlines),
        method(c"close", c"close() does nothing: the stream is the server's.", Self::close),
    ];
    const SLOTS: Slots<Self> = Slots { next: Some(Self::next), ..Slots::NONE };
}
