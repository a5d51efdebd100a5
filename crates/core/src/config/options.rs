//! The `name=value` options that follow a script: `process-group=`, `application-group=` and their like.

use crate::config::ConfigError;
use crate::config::value;
use crate::request::{CallableName, Name};

/// What a script alias or handler script overrides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptOptions {
    /// `process-group=`.
    pub process_group: Option<Name>,
    /// `application-group=`.
    pub application_group: Option<Name>,
    /// `callable-object=`; taken as it stands.
    pub callable_object: Option<CallableName>,
    /// `pass-authorization=`.
    pub pass_authorization: Option<bool>,
}

impl ScriptOptions {
    /// Reads options. Of the four, `known` are accepted; another one is answered with `invalid`, the text that users
    /// know.
    pub(super) fn parse(
        words: &[&[u8]],
        known: &[&'static str],
        invalid: &'static str,
    ) -> Result<Self, ConfigError> {
        let mut options = Self::default();
        for word in words {
            let (name, text) = split(word);
            let Some(known) = known.iter().find(|known| known.as_bytes() == name) else {
                let known: Vec<_> = known.iter().map(|name| format!("{name}=")).collect();
                return Err(ConfigError::value(word, format!("{invalid} One of {}", known.join(", "))));
            };
            let named =
                |reason| if text.is_empty() { Err(ConfigError::value(word, reason)) } else { Ok(text) };
            match *known {
                "process-group" => {
                    let group = named("Invalid name for WSGI process group.")?;
                    options.process_group = Some(Name::new(group));
                }
                "application-group" => {
                    let group = named("Invalid name for WSGI application group.")?;
                    options.application_group = Some(Name::new(group));
                }
                "callable-object" => {
                    let callable = named("Invalid name for WSGI callable object.")?;
                    options.callable_object = Some(CallableName::new(callable));
                }
                _ => {
                    let pass = value::on_off(text).ok_or_else(|| {
                        ConfigError::value(word, "Invalid value for authorization flag. One of: Off | On")
                    })?;
                    options.pass_authorization = Some(pass);
                }
            }
        }
        Ok(options)
    }
}

/// Name and value; a word without `=` has no name that anyone knows.
fn split(word: &[u8]) -> (&[u8], &[u8]) {
    match word.iter().position(|byte| *byte == b'=') {
        Some(at) => (&word[..at], &word[at + 1..]),
        None => (b"", word),
    }
}
