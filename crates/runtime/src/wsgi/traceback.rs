//! Reports exceptions: one numbered line that says where and whose, then Python's traceback.

use oxwsgi_core::report::{Level, Number};
use oxwsgi_core::request::ScriptTitle;

use crate::python::{Attached, RaisedException};
use crate::wsgi::place::Place;
use crate::wsgi::report::Report;

/// What went wrong with a script, as its log line says it.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Number of the line.
    pub number: Number,
    /// Number of the line when the exception is `SystemExit`, which does not end a server process.
    pub exit_number: Number,
    /// As in "processing".
    pub doing: &'a str,
    /// The script.
    pub script: ScriptTitle<'a>,
}

/// Reports an exception of a script.
pub fn report(
    py: Attached<'_>,
    place: &Place,
    report: Report<'_>,
    event: Event<'_>,
    exception: &RaisedException<'_>,
) {
    let Event { number, exit_number, doing, script } = event;
    let place_name = place.describe();
    let first = if exception.is_system_exit() {
        format!("{exit_number}: SystemExit exception raised {doing} {script} for {place_name} ignored.")
    } else {
        format!("{number}: {} exception raised {doing} {script} for {place_name}.", exception.name())
    };
    let traceback = exception.lines();
    let cure = place.cure(exception, &traceback);
    report.write(py, Level::Error, std::iter::once(first).chain(traceback).chain(cure).collect());
}
