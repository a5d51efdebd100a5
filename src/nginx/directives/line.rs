//! A directive as it stands in the configuration: its words, and single values of them. What is wrong is said as what is
//! accepted.

#![allow(unsafe_code, reason = "texts of nginx's, and its functions that read times and sizes")]

use oxwsgi_core::config::ConfigError;

use crate::nginx::config::AlreadyLogged;
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

    /// `word` is not accepted, and `accepted` is.
    pub fn value(word: &[u8], accepted: impl std::fmt::Display) -> Self {
        Self::Text(format!("does not accept \"{}\": {accepted}", String::from_utf8_lossy(word)))
    }

    /// The directive stands there twice.
    pub fn duplicate() -> Self {
        Self::new("is duplicate: it may stand once at each level")
    }
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        Self::Text(format!("directive: {error}"))
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

    /// `file:line`, for messages that can only be made later.
    pub fn position(&self) -> String {
        self.reading.position().unwrap_or_default()
    }
}

/// Sets what must not be set yet.
pub fn once<T>(field: &mut Option<T>, value: T) -> Result<(), Problem> {
    if field.is_some() {
        return Err(Problem::duplicate());
    }
    *field = Some(value);
    Ok(())
}
