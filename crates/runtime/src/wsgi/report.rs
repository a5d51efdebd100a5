//! Where lines about a request, or about none, are written.

use oxwsgi_core::report::Level;

use crate::python::Attached;
use crate::wsgi::settings::Settings;
use crate::wsgi::transaction::Transaction;

/// A log to write to while attached.
#[derive(Clone, Copy, Debug)]
pub enum Report<'a> {
    /// The log of a request.
    Request(&'a Transaction),
    /// The server's log.
    Process(&'static Settings),
}

impl Report<'_> {
    /// Writes lines at `level`.
    pub fn write(self, py: Attached<'_>, level: Level, lines: Vec<String>) {
        match self {
            Self::Request(transaction) => {
                transaction.log_lines(py, level, lines.into_iter().map(String::into_bytes).collect());
            }
            Self::Process(settings) => py.detach(|| lines.iter().for_each(|line| settings.log(level, line))),
        }
    }
}
