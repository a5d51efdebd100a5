//! The binary stream under `wsgi.errors`, `sys.stderr` and `sys.stdout`: whole lines to the log of the right request.

use std::cell::RefCell;
use std::ffi::CStr;
use std::rc::Rc;

use oxwsgi_core::report::{Level, Lines};

use crate::python::{Args, Attached, Class, Exception, Method, Obj, Property, PyResult, method, property};
use crate::wsgi::settings::Settings;
use crate::wsgi::transaction::Transaction;

thread_local! {
    // The request this thread serves. Replaced and read attached; holds no Python object.
    static CURRENT: RefCell<Option<Rc<Transaction>>> = const { RefCell::new(None) };
}

/// Says which request the thread serves from now on; returns which it was before.
pub fn set_current(transaction: Option<Rc<Transaction>>) -> Option<Rc<Transaction>> {
    CURRENT.replace(transaction)
}

/// The request that the thread serves.
pub fn current() -> Option<Rc<Transaction>> {
    CURRENT.with_borrow(Clone::clone)
}

/// A log stream.
#[derive(Debug)]
pub struct Log {
    name: &'static CStr,
    target: Target,
}

#[derive(Debug)]
enum Target {
    /// `wsgi.errors` of a request.
    Request(Rc<Transaction>),
    /// `sys.stderr` or `sys.stdout`: the request that the writing thread serves, or else the server's log.
    Thread { settings: &'static Settings, lines: RefCell<Lines> },
}

impl Log {
    /// `wsgi.errors` of `transaction`'s request.
    pub const fn of_request(transaction: Rc<Transaction>) -> Self {
        Self { name: c"<wsgi.errors>", target: Target::Request(transaction) }
    }

    /// `sys.stderr` or `sys.stdout`.
    pub fn of_thread(settings: &'static Settings, name: &'static CStr) -> Self {
        Self { name, target: Target::Thread { settings, lines: RefCell::default() } }
    }

    fn write_bytes<'py>(&self, py: Attached<'py>, call: &str, bytes: &[u8]) -> PyResult<'py, ()> {
        match &self.target {
            Target::Request(transaction) => {
                transaction.touch();
                if !transaction.is_open() {
                    let text = format!("{call}() called on wsgi.errors after request completed");
                    return Err(py.raise(Exception::Runtime, text));
                }
                transaction.write_log(py, Level::Error, bytes);
            }
            Target::Thread { settings, lines } => {
                if let Some(transaction) = current().filter(|transaction| transaction.is_open()) {
                    transaction.write_log(py, Level::Error, bytes);
                    return Ok(());
                }
                let mut complete = Vec::new();
                lines.borrow_mut().write(bytes, |line| complete.push(line));
                log_outside_request(py, settings, &complete);
            }
        }
        Ok(())
    }

    fn write<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        let data = &args.expect(py, "write", 1, 1)?[0];
        let owned;
        let bytes = match data.as_bytes() {
            Some(bytes) => bytes,
            None if data.is_text() => {
                return Err(py.raise(Exception::Type, "a bytes-like object is required, not 'str'"));
            }
            None => {
                owned = data.to_bytes()?;
                owned.as_bytes().unwrap_or_default()
            }
        };
        self.write_bytes(py, "write", bytes)?;
        py.int(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
    }

    fn writelines<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        let lines = args.expect(py, "writelines", 1, 1)?[0].iterate()?;
        while let Some(line) = lines.next()? {
            self.write_bytes(py, "writelines", line.to_bytes()?.as_bytes().unwrap_or_default())?;
        }
        Ok(py.none())
    }

    fn flush<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        args.expect(py, "flush", 0, 0)?;
        match &self.target {
            Target::Request(transaction) => {
                transaction.touch();
                // The end of the request has flushed what there was.
                if transaction.is_open() {
                    transaction.flush_lines(py);
                }
            }
            Target::Thread { settings, lines } => {
                if let Some(transaction) = current() {
                    transaction.flush_lines(py);
                }
                let mut rest = Vec::new();
                lines.borrow_mut().flush(|line| rest.push(line));
                log_outside_request(py, settings, &rest);
            }
        }
        Ok(py.none())
    }

    fn close<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        self.flush(py, args)
    }

    fn yes<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        args.expect(py, "this method", 0, 0)?;
        Ok(py.bool(true))
    }

    fn no<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        args.expect(py, "this method", 0, 0)?;
        Ok(py.bool(false))
    }

    fn fileno<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        args.expect(py, "fileno", 0, 0)?;
        let name = self.name.to_string_lossy();
        let name = name.trim_matches(['<', '>']);
        Err(py.raise(Exception::Os, format!("{name} log object has no file descriptor")))
    }

    fn closed<'py>(&self, py: Attached<'py>) -> PyResult<'py, Obj<'py>> {
        Ok(py.bool(false))
    }

    fn name<'py>(&self, py: Attached<'py>) -> PyResult<'py, Obj<'py>> {
        py.name(self.name)
    }
}

fn log_outside_request(py: Attached<'_>, settings: &'static Settings, lines: &[Vec<u8>]) {
    if !lines.is_empty() {
        let log = settings.log;
        py.detach(|| lines.iter().for_each(|line| log.write(Level::Error, line)));
    }
}

impl Class for Log {
    const NAME: &'static CStr = c"mod_wsgi.Log";
    const DOC: &'static CStr = c"Writes whole lines to the server's error log.";
    const METHODS: &'static [Method] = &[
        method(c"write", c"write(bytes) -> int", Self::write),
        method(c"writelines", c"writelines(iterable of bytes)", Self::writelines),
        method(c"flush", c"flush() writes an incomplete line.", Self::flush),
        method(c"close", c"close() flushes: the log is the server's.", Self::close),
        method(c"writable", c"writable() -> True", Self::yes),
        method(c"readable", c"readable() -> False", Self::no),
        method(c"seekable", c"seekable() -> False", Self::no),
        method(c"isatty", c"isatty() -> False", Self::no),
        method(c"fileno", c"fileno() raises OSError.", Self::fileno),
    ];
    const PROPERTIES: &'static [Property] = &[
        property(c"closed", c"False: the log is the server's.", Self::closed),
        property(c"name", c"Name of the stream.", Self::name),
    ];
}
