//! From names on the wire to environ keys, remembered: the key object of a name, and the last value seen under it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use oxwsgi_core::request::Authorization;

use crate::python::{Attached, Held, Obj, PyResult};

/// Names beyond this many are not remembered: a client can make up as many as it likes.
const MOST_NAMES: usize = 512;

/// Values longer than this are not remembered, in bytes.
const LONGEST_VALUE: usize = 512;

/// The keys of an interpreter.
#[derive(Debug, Default)]
pub struct HeaderKeys {
    known: HashMap<Box<[u8]>, Entry, BuildHasherDefault<NameHasher>>,
}

#[derive(Debug)]
struct Entry {
    class: NameClass,
    // None for a header that never reaches the application.
    key: Option<Held>,
    last: Option<(Vec<u8>, Held)>,
}

/// What a header name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameClass {
    /// Shown; the value may be remembered.
    Plain,
    /// Shown; a secret that must not stay in memory.
    Secret,
    /// `Authorization`: shown when the configuration says so.
    Authorization,
    /// `Proxy-Authorization`: likewise.
    ProxyAuthorization,
    /// Never shown.
    Dropped,
}

impl NameClass {
    fn of(name: &[u8]) -> Self {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        // A name with other characters could pose as another: `X_User` and `X-User` have the same key. `Proxy` would
        // become HTTP_PROXY, which HTTP clients take for their configuration.
        if is("proxy") || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') {
            Self::Dropped
        } else if is("authorization") {
            Self::Authorization
        } else if is("proxy-authorization") {
            Self::ProxyAuthorization
        } else if is("cookie") {
            Self::Secret
        } else {
            Self::Plain
        }
    }

    fn is_shown(self, authorization: Authorization) -> bool {
        match self {
            Self::Plain | Self::Secret => true,
            Self::Authorization => authorization != Authorization::Hidden,
            Self::ProxyAuthorization => authorization == Authorization::AllPassed,
            Self::Dropped => false,
        }
    }
}

/// `Content-Type` becomes `CONTENT_TYPE`, `Accept` becomes `HTTP_ACCEPT` (RFC 3875 section 4.1.18).
fn environ_key(name: &[u8]) -> Vec<u8> {
    let upper = name.iter().map(|byte| if *byte == b'-' { b'_' } else { byte.to_ascii_uppercase() });
    if name.eq_ignore_ascii_case(b"content-type") || name.eq_ignore_ascii_case(b"content-length") {
        upper.collect()
    } else {
        b"HTTP_".iter().copied().chain(upper).collect()
    }
}

impl HeaderKeys {
    /// Sets the header's key in `environ`, when the application may see it.
    pub fn set<'py>(
        &mut self,
        py: Attached<'py>,
        environ: &Obj<'py>,
        name: &[u8],
        value: &[u8],
        authorization: Authorization,
    ) -> PyResult<'py, ()> {
        let Some(entry) = self.known.get_mut(name) else {
            return self.set_new(py, environ, name, value, authorization);
        };
        let Some(key) = entry.key.as_ref().filter(|_| entry.class.is_shown(authorization)) else {
            return Ok(());
        };
        let key = key.get(py);
        if let Some((last, text)) = &entry.last
            && last == value
        {
            return environ.set_item(key, text.get(py));
        }
        let text = py.latin1(value)?;
        environ.set_item(key, &text)?;
        if entry.class == NameClass::Plain && value.len() <= LONGEST_VALUE {
            match &mut entry.last {
                Some((last, old)) => {
                    last.clear();
                    last.extend_from_slice(value);
                    std::mem::replace(old, text.hold()).release(py);
                }
                none => *none = Some((value.to_vec(), text.hold())),
            }
        }
        Ok(())
    }

    #[cold]
    fn set_new<'py>(
        &mut self,
        py: Attached<'py>,
        environ: &Obj<'py>,
        name: &[u8],
        value: &[u8],
        authorization: Authorization,
    ) -> PyResult<'py, ()> {
        let class = NameClass::of(name);
        let key = if class == NameClass::Dropped { None } else { Some(py.latin1(&environ_key(name))?) };
        if let Some(key) = key.as_ref().filter(|_| class.is_shown(authorization)) {
            environ.set_item(key, &py.latin1(value)?)?;
        }
        if self.known.len() < MOST_NAMES {
            self.known.insert(name.into(), Entry { class, key: key.map(Obj::hold), last: None });
        }
        Ok(())
    }
}

/// Mixes eight bytes at a time (the multiplier is 2^64 over the golden ratio). Names are few and bounded, so a client
/// that finds collisions gains nothing.
#[derive(Debug, Default)]
pub struct NameHasher(u64);

impl Hasher for NameHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let mut array = [0; 8];
            array.copy_from_slice(word);
            self.write_u64(u64::from_ne_bytes(array));
        }
        let mut array = [0; 8];
        array[..words.remainder().len()].copy_from_slice(words.remainder());
        self.write_u64(u64::from_ne_bytes(array));
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
