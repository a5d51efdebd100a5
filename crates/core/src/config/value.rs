//! Single values, from a directive's words to a field. Each setter of the table is made of these.

use std::sync::Arc;

use crate::config::{ConfigError, MapHeadToGet};
use crate::request::{Name, Network, ProxyHeader};

/// A directive's words. Bytes, for a path need not be UTF-8.
pub type Words<'a> = &'a [&'a [u8]];

/// What every setter answers.
pub type Outcome = Result<(), ConfigError>;

pub(super) const OFF_ON: &str = "one of: Off | On";

/// Any case, as everywhere in httpd.
pub(super) fn on_off(word: &[u8]) -> Option<bool> {
    if word.eq_ignore_ascii_case(b"on") {
        Some(true)
    } else if word.eq_ignore_ascii_case(b"off") {
        Some(false)
    } else {
        None
    }
}

/// The first word; the table has made sure that there is one.
fn first<'a>(words: Words<'a>) -> &'a [u8] {
    words.first().copied().unwrap_or_default()
}

pub(super) fn flag(field: &mut Option<bool>, words: Words<'_>) -> Outcome {
    *field = Some(on_off(first(words)).ok_or_else(|| ConfigError::must_be(first(words), OFF_ON))?);
    Ok(())
}

/// A flag of what is not there in this release: looked at, and not kept.
pub(super) fn unused_flag(words: Words<'_>) -> Outcome {
    flag(&mut None, words)
}

pub(super) fn map_head_to_get(field: &mut Option<MapHeadToGet>, words: Words<'_>) -> Outcome {
    let word = first(words);
    *field = Some(match on_off(word) {
        Some(true) => MapHeadToGet::On,
        Some(false) => MapHeadToGet::Off,
        None if word.eq_ignore_ascii_case(b"auto") => MapHeadToGet::Auto,
        None => return Err(ConfigError::must_be(word, "one of: Off | On | Auto")),
    });
    Ok(())
}

pub(super) fn bytes(field: &mut Option<Box<[u8]>>, words: Words<'_>) -> Outcome {
    if first(words).is_empty() {
        return Err(ConfigError::value(b"", "a path, not an empty text"));
    }
    *field = Some(first(words).into());
    Ok(())
}

/// Directories, split like `PATH`.
pub(super) fn search_path(field: &mut Option<Vec<Box<[u8]>>>, words: Words<'_>) -> Outcome {
    let directories = first(words).split(|byte| *byte == b':').filter(|part| !part.is_empty());
    *field = Some(directories.map(Into::into).collect());
    Ok(())
}

pub(super) fn name(field: &mut Option<Name>, words: Words<'_>) -> Outcome {
    *field = Some(Name::new(first(words)));
    Ok(())
}

/// The list replaces what this level had.
pub(super) fn group_list(field: &mut Option<Arc<[Box<[u8]>]>>, words: Words<'_>) -> Outcome {
    let group = |word: &&[u8]| if *word == b"%{GLOBAL}" { Box::default() } else { Box::from(*word) };
    *field = Some(words.iter().map(group).collect());
    Ok(())
}

/// The list goes on what this level had.
fn append<T: Clone>(field: &mut Option<Arc<[T]>>, more: Vec<T>) {
    let own = field.take().unwrap_or_else(|| Arc::from([]));
    *field = Some(own.iter().cloned().chain(more).collect());
}

pub(super) fn networks(field: &mut Option<Arc<[Network]>>, words: Words<'_>) -> Outcome {
    let network = |word: &&[u8]| {
        str::from_utf8(word).ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
            let text = String::from_utf8_lossy(word);
            let reason = format!(
                "Unable to parse trusted proxy IP address/subnet of \"{text}\". Accepted: {}",
                crate::request::NotANetwork
            );
            ConfigError::value(word, reason)
        })
    };
    append(field, words.iter().map(network).collect::<Result<_, _>>()?);
    Ok(())
}

/// Headers that say nothing we know are accepted and left out, as long as they could be header names.
pub(super) fn proxy_headers(field: &mut Option<Arc<[&'static ProxyHeader]>>, words: Words<'_>) -> Outcome {
    let is_name = |word: &[u8]| {
        !word.is_empty() && word.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    if let Some(word) = words.iter().find(|word| !is_name(word)) {
        return Err(ConfigError::value(word, "a header name of letters, digits and '-'"));
    }
    append(field, words.iter().filter_map(|word| ProxyHeader::named(word)).collect());
    Ok(())
}

pub(super) fn optimize(field: &mut Option<u8>, words: Words<'_>) -> Outcome {
    *field = Some(match first(words) {
        b"0" => 0,
        b"1" => 1,
        b"2" => 2,
        word => return Err(ConfigError::value(word, "one of 0, 1, 2")),
    });
    Ok(())
}

pub(super) fn hash_seed(field: &mut Option<Box<[u8]>>, words: Words<'_>) -> Outcome {
    let word = first(words);
    let is_number = word.iter().all(u8::is_ascii_digit)
        && str::from_utf8(word).is_ok_and(|text| text.parse::<u32>().is_ok());
    if word != b"random" && !is_number {
        return Err(ConfigError::must_be(word, "\"random\" or an integer in range [0; 4294967295]"));
    }
    *field = Some(word.into());
    Ok(())
}

/// Seconds, above 0.
pub(super) fn interval(field: &mut Option<f64>, words: Words<'_>) -> Outcome {
    let word = first(words);
    let seconds = str::from_utf8(word).ok().and_then(|text| text.parse::<f64>().ok());
    let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    *field = Some(seconds.ok_or_else(|| ConfigError::must_be(word, "a positive number of seconds"))?);
    Ok(())
}

/// The mechanisms that httpd knows by name; looked at, and not kept.
pub(super) fn accept_mutex(words: Words<'_>) -> Outcome {
    const KNOWN: [&str; 6] = ["default", "flock", "fcntl", "sysvsem", "posixsem", "pthread"];
    let word = first(words);
    if KNOWN.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(word)) {
        return Ok(());
    }
    Err(ConfigError::value(word, "one of default, flock, fcntl, sysvsem, posixsem, pthread"))
}
