//! Lines that an application writes to the log of a request.

use std::borrow::Cow;

use oxwsgi_core::report::Level;

use crate::nginx::log::Log;

/// Where they go.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'r> {
    log: Log<'r>,
    /// What nginx's log calls an error of the application (`wsgi_error_log_level`).
    error_level: Level,
}

/// What a terminal, or a reader of the log, could take for something else than text is spelled out, as httpd does.
fn printable(line: &[u8]) -> Cow<'_, [u8]> {
    let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    if !line.iter().any(is_control) {
        return Cow::Borrowed(line);
    }
    let mut text = Vec::with_capacity(line.len() + 8);
    for byte in line {
        if is_control(byte) {
            text.extend(byte.escape_ascii());
        } else {
            text.push(*byte);
        }
    }
    Cow::Owned(text)
}

impl<'r> Lines<'r> {
    /// To this log.
    pub const fn new(log: Log<'r>, error_level: Level) -> Self {
        Self { log, error_level }
    }

    /// Writes a line.
    pub fn take(self, level: Level, line: &[u8]) {
        // They are about the application, whatever nginx is doing at the moment.
        self.log.without_action(|log| log.line(self.level(level), &printable(line)));
    }

    /// Whether lines of this level are written.
    pub fn wants(self, level: Level) -> bool {
        self.log.wants(self.level(level))
    }

    fn level(self, level: Level) -> Level {
        if level == Level::Error { self.error_level } else { level }
    }
}
