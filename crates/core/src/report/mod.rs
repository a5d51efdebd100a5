//! Log levels and numbered messages.
//!
//! Each message for the operator has a stable number, so that tests and searches need no wording. The numbers up to
//! 0210 mean what they mean in mod_wsgi 6; those from 1001 are our own.

mod lines;

pub use lines::Lines;

use std::fmt;

use serde::{Deserialize, Serialize};

/// Severity, with httpd's values (`http_log.h`, `APLOG_EMERG` to `APLOG_TRACE1`).
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// The system is unusable.
    Emergency = 0,
    /// Something must be done at once.
    Alert = 1,
    /// The process cannot do what it is there for.
    Critical = 2,
    /// A request or a script failed.
    Error = 3,
    /// Works, though not as configured.
    Warning = 4,
    /// Normal but significant.
    Notice = 5,
    /// Life cycle: interpreters, scripts loaded.
    Info = 6,
    /// For troubleshooting.
    Debug = 7,
    /// Details of single requests.
    Trace = 8,
}

impl Level {
    /// The one of this value.
    pub const fn of(value: u8) -> Option<Self> {
        Some(match value {
            0 => Self::Emergency,
            1 => Self::Alert,
            2 => Self::Critical,
            3 => Self::Error,
            4 => Self::Warning,
            5 => Self::Notice,
            6 => Self::Info,
            7 => Self::Debug,
            8 => Self::Trace,
            _ => return None,
        })
    }
}

/// The number of a message: `WSGI0174`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(pub u16);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WSGI{:04}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_come_back() {
        for value in 0..=8 {
            assert_eq!(Level::of(value).map(|level| level as u8), Some(value));
        }
        assert_eq!(Level::of(9), None);
    }

    #[test]
    fn numbers_have_four_digits() {
        assert_eq!(Number(89).to_string(), "WSGI0089");
    }
}
