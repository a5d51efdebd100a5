//! A directive as it stands in the configuration: its words, and why one is refused.

#![allow(unsafe_code, reason = "texts of nginx's")]

use std::fmt::Display;

use oxwsgi_core::config::ConfigError;

use crate::nginx::config::{AlreadyLogged, Named};
use crate::nginx::pool::OutOfMemory;
use crate::nginx::record::Reading;
use crate::nginx::{ffi, text};

/// Why a directive is refused.
#[derive(Debug)]
pub enum Problem {
    /// In words that follow the directive's name.
    Text(String),
    /// nginx has logged it.
    Logged,
}

impl Problem {
    /// In words that follow the directive's name.
    pub fn new(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// `word` is not accepted, and what is.
    pub fn value(word: &[u8], accepted: impl Display) -> Self {
        Self::Text(format!("does not accept \"{}\"; accepted: {accepted}", String::from_utf8_lossy(word)))
    }

    /// The directive stands there twice.
    pub fn duplicate() -> Self {
        Self::new("is duplicate: it may stand once at each level")
    }
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        match error {
            // Its words read on from the directive's name.
            ConfigError::MustBe { .. } | ConfigError::Count(_) => Self::Text(error.to_string()),
            _ => Self::Text(format!("directive: {error}")),
        }
    }
}

impl From<OutOfMemory> for Problem {
    fn from(error: OutOfMemory) -> Self {
        Self::Text(format!("cannot be read: {error}"))
    }
}

impl From<AlreadyLogged> for Problem {
    fn from(_: AlreadyLogged) -> Self {
        Self::Logged
    }
}

/// The words of a directive.
#[derive(Debug)]
pub struct Line<'a> {
    /// What is being read.
    pub reading: Reading<'a>,
    words: Vec<&'a [u8]>,
}

impl<'a> Line<'a> {
    pub(super) fn new(reading: Reading<'a>) -> Self {
        // SAFETY: words of a directive lie in the pool of the configuration, and stay as they are.
        let words = reading.words().iter().skip(1).map(|word| unsafe { text::bytes(*word) }).collect();
        Self { reading, words }
    }

    /// The words behind the directive's name.
    pub fn words(&self) -> &[&'a [u8]] {
        &self.words
    }

    /// The first word; the table has seen to it that there is one.
    pub fn first(&self) -> &'a [u8] {
        self.words.first().copied().unwrap_or_default()
    }

    /// The first word, as one that may not hold variables.
    pub fn fixed(&self) -> Result<&'a [u8], Problem> {
        without_variables(self.first())
    }

    /// A word as nginx has it.
    pub fn native(&self, place: usize) -> ffi::ngx_str_t {
        self.reading.words().get(place + 1).copied().unwrap_or(text::borrowed(b""))
    }

    /// A name that stands in this line.
    pub fn named(&self, name: &[u8]) -> Named {
        Named { name: name.into(), position: self.position() }
    }

    /// `file:line`.
    pub fn position(&self) -> String {
        self.reading.position().unwrap_or_default()
    }

    /// The absolute path of a file or folder; a relative one is below nginx's prefix.
    pub fn path(&self, word: &[u8]) -> Result<&'a [u8], Problem> {
        let mut full = self.reading.pool().text(without_variables(word)?)?;
        // SAFETY: nginx replaces our variable by the path below its prefix when it is a relative one.
        let done = unsafe { ffi::ngx_conf_full_name(self.reading.cycle().as_raw(), &raw mut full, 0) };
        if done != ffi::NGX_OK {
            return Err(Problem::Logged);
        }
        // SAFETY: in the pool of the configuration.
        Ok(unsafe { text::bytes(full) })
    }
}

/// `word`, which may not hold variables.
pub fn without_variables(word: &[u8]) -> Result<&[u8], Problem> {
    if word.contains(&b'$') {
        return Err(Problem::value(word, "a text without variables"));
    }
    Ok(word)
}

/// Sets what must not be set yet.
pub fn once<T>(field: &mut Option<T>, value: T) -> Result<(), Problem> {
    if field.is_some() {
        return Err(Problem::duplicate());
    }
    *field = Some(value);
    Ok(())
}
