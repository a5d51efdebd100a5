//! Lines that an application writes to the log of a request.

use oxwsgi_core::report::Level;

use crate::nginx::log::Log;

/// Where they go.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'r> {
    log: Log<'r>,
    /// What nginx's log calls an error of the application (`wsgi_error_log_level`).
    error_level: Level,
}

impl<'r> Lines<'r> {
    /// To this log.
    pub const fn new(log: Log<'r>, error_level: Level) -> Self {
        Self { log, error_level }
    }

    /// Writes a line.
    pub fn take(self, level: Level, line: &[u8]) {
        // They are about the application, whatever nginx is doing at the moment.
        self.log.without_action(|log| log.line(self.level(level), line));
    }

    /// Whether lines of this level are written.
    pub fn wants(self, level: Level) -> bool {
        self.log.wants(self.level(level))
    }

    fn level(self, level: Level) -> Level {
        if level == Level::Error { self.error_level } else { level }
    }
}
