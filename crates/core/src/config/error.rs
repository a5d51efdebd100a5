//! What is wrong with a directive, in the words the administrator reads.

use std::fmt;

/// Why a setter refuses its words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// One of few values, or of a kind.
    #[error("must be {accepted}; '{value}' is not accepted")]
    MustBe {
        /// As written.
        value: String,
        /// What is accepted.
        accepted: &'static str,
    },
    /// A value, and why not.
    #[error("'{value}' is not accepted; {reason}")]
    Value {
        /// As written.
        value: String,
        /// What is accepted, or what is wrong.
        reason: String,
    },
    /// Too few words.
    #[error("{0}")]
    Missing(&'static str),
    /// The wrong number of words.
    #[error("{0}")]
    Count(String),
    /// A daemon group that the directive cannot use.
    #[error("'process-group={group}' is not accepted; {reason}")]
    Group {
        /// Its name.
        group: String,
        /// What is wrong, and what to do.
        reason: &'static str,
    },
    /// A part of mod_wsgi that is not there yet.
    #[error("{value}not supported yet: {cure}")]
    NotYet {
        /// As written, followed by a blank; empty when it does not matter.
        value: String,
        /// What to do instead.
        cure: &'static str,
    },
}

impl ConfigError {
    /// `value` is refused, because of `reason`.
    pub(super) fn value(value: &[u8], reason: impl Into<String>) -> Self {
        Self::Value { value: lossy(value), reason: reason.into() }
    }

    /// `value` is not what a directive that `accepted` describes must be.
    pub(super) fn must_be(value: &[u8], accepted: &'static str) -> Self {
        Self::MustBe { value: lossy(value), accepted }
    }

    /// The daemon group cannot be used, because of `reason`.
    pub(super) fn group(name: &[u8], reason: &'static str) -> Self {
        Self::Group { group: lossy(name), reason }
    }

    /// `value` needs what is not there yet.
    pub(super) fn not_yet(value: &[u8], cure: &'static str) -> Self {
        Self::NotYet { value: format!("'{}' is ", lossy(value)), cure }
    }
}

fn lossy(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// An error of a named directive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DirectiveError {
    /// Its name.
    pub directive: &'static str,
    /// What is wrong.
    pub error: ConfigError,
}

impl fmt::Display for DirectiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Some read on from the directive's name, as httpd's and mod_wsgi's own texts do.
        let separator = match self.error {
            ConfigError::MustBe { .. } | ConfigError::Count(_) => "",
            _ => ":",
        };
        let closing = if self.directive.starts_with('<') { ">" } else { "" };
        write!(f, "{}{closing}{separator} {}", self.directive, self.error)
    }
}
