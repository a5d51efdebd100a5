//! Answers as bytes, for httpd, which reads its configuration twice: it asks in the first reading, and only then can errors be
//! shown.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use oxwsgi_core::daemon::{decode, encode};
use oxwsgi_core::home::Python;

use super::{Answers, Found};

/// The key, and the Python and the runtime's path, or what is wrong.
type Written = (u64, Result<(Vec<u8>, Vec<u8>), String>);

impl Answers {
    /// As bytes, to be read again by [`Answers::from_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let written: Vec<Written> = self
            .0
            .iter()
            .map(|(key, answer)| {
                let parts = |found: &Found| {
                    (found.python.to_text(), found.runtime.clone().into_os_string().into_vec())
                };
                (*key, answer.as_ref().map(parts).map_err(Clone::clone))
            })
            .collect();
        encode(&written)
    }

    /// What was written; what makes no sense is left out.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let written: Vec<Written> = decode(bytes).unwrap_or_default();
        let read = |(key, answer): Written| {
            let answer = match answer {
                Ok((python, runtime)) => Ok(Found {
                    python: Python::from_text(&python)?,
                    runtime: PathBuf::from(OsString::from_vec(runtime)),
                }),
                Err(text) => Err(text),
            };
            Some((key, answer))
        };
        Self(written.into_iter().filter_map(read).collect())
    }
}
