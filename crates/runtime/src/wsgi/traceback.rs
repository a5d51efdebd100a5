//! Reports exceptions: one numbered line that says where and whose, then Python's traceback.

use oxwsgi_core::report::{Level, Number};

use crate::python::{Attached, Obj, PyResult, RaisedException};
use crate::wsgi::host::Host;
use crate::wsgi::process::Process;
use crate::wsgi::transaction::Transaction;

/// Where a report goes.
#[derive(Clone, Copy, Debug)]
pub enum Report<'a> {
    /// The log of a request.
    Request(&'a Transaction),
    /// The server's log.
    Process(&'static Process),
}

impl Report<'_> {
    /// Writes lines at `level`.
    pub fn write(self, py: Attached<'_>, level: Level, lines: Vec<String>) {
        match self {
            Self::Request(transaction) => {
                transaction.log_lines(py, level, lines.into_iter().map(String::into_bytes).collect());
            }
            Self::Process(process) => py.detach(|| lines.iter().for_each(|line| process.log(level, line))),
        }
    }
}

/// Reports an exception of `script`: `event` says what happened, as in "processing WSGI script".
pub fn report(
    py: Attached<'_>,
    host: &Host,
    report: Report<'_>,
    numbers: (Number, Number),
    exception: &RaisedException<'_>,
    event: &str,
    script: &str,
) {
    let (number, exit_number) = numbers;
    let place = host.place();
    let mut lines = vec![if exception.is_system_exit() {
        format!("{exit_number}: SystemExit exception raised {event} '{script}' for {place} ignored.")
    } else {
        format!("{number}: {} exception raised {event} '{script}' for {place}.", exception.name())
    }];
    lines.extend(exception.lines());
    lines.extend(host.cure(exception, &lines));
    report.write(py, Level::Error, lines);
}

/// Logs an exception that belongs to no request and no script.
pub fn log_outside_request(py: Attached<'_>, process: &'static Process, exception: &RaisedException<'_>) {
    Report::Process(process).write(py, Level::Error, exception.lines());
}

/// The stack of the Python code that is running.
pub fn stack(py: Attached<'_>) -> Vec<String> {
    fn lines<'py>(py: Attached<'py>) -> PyResult<'py, Vec<String>> {
        let pieces: Obj<'py> = py.import("traceback")?.call_method(c"format_stack", &[])?;
        let pieces = pieces.iterate()?;
        let mut lines = Vec::new();
        while let Some(piece) = pieces.next()? {
            lines.extend(piece.to_text_lossy().lines().map(str::to_owned));
        }
        Ok(lines)
    }

    lines(py).unwrap_or_else(|raised| {
        raised.clear();
        Vec::new()
    })
}
