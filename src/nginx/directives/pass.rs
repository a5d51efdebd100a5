//! `wsgi_pass`, and what says which callable it means and where it is mounted.

#![allow(unsafe_code, reason = "sets the content handler of a location")]

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use oxwsgi_core::config::{Application, Script};
use oxwsgi_core::report::Level;

use super::line::{Line, Problem, once};
use super::{Directive, LOCATIONS, Outcome, Setter};
use crate::nginx::config::{LocationConfig, Named, Pass};
use crate::nginx::record::Reading;
use crate::nginx::{ffi, text, upstream};

pub(super) const DIRECTIVES: &[Directive] = &[Directive {
    name: c"wsgi_pass",
    contexts: LOCATIONS,
    count: (1, 3),
    form: "a file or module, and then perhaps daemon=name and group=name",
    setter: Setter::Location(pass),
}];

fn pass(location: &mut LocationConfig, line: &Line<'_>) -> Outcome {
    let Application { script, callable } = Application::parse(line.first())?;
    let script = match script {
        Script::File(path) => Script::File(file(&path, line.reading)?),
        module => module,
    };
    let mut pass = Pass { script, callable, process_group: None, application_group: None };
    for word in &line.words()[1..] {
        option(&mut pass, word, line)?;
    }
    once(&mut location.pass, pass)?;
    location.upstream.upstream = upstream::server(line.reading)?;
    let core = line.reading.core_location();
    // SAFETY: the core module's settings of this location, which nobody else refers to; read by value.
    let name = unsafe { text::bytes((*core).name) };
    // SAFETY: as above.
    unsafe { (*core).handler = Some(upstream::handle) };
    if name.ends_with(b"/") {
        // As for every location that passes its requests on: the path without the slash is redirected.
        // SAFETY: as above.
        unsafe { (*core).set_auto_redirect(1) };
    }
    Ok(())
}

/// The absolute path of a file, which is looked for; that it is missing stops nothing, for it may be there later.
fn file(path: &[u8], reading: Reading<'_>) -> Result<Box<[u8]>, Problem> {
    let mut full = reading.pool().text(path)?;
    // SAFETY: nginx replaces our variable by the path below its prefix when it is a relative one.
    let done = unsafe { ffi::ngx_conf_full_name(reading.cycle().as_raw(), &raw mut full, 0) };
    if done != ffi::NGX_OK {
        return Err(Problem::Logged);
    }
    // SAFETY: in the pool of the configuration.
    let full = unsafe { text::bytes(full) };
    let known = Path::new(std::ffi::OsStr::from_bytes(full)).metadata();
    let trouble = match known {
        Ok(found) if found.is_file() => None,
        Ok(_) => Some("is not a file".to_owned()),
        Err(error) => Some(format!("cannot be used now: {error}")),
    };
    if let Some(trouble) = trouble {
        let shown = String::from_utf8_lossy(full);
        let position = reading.position().unwrap_or_default();
        reading.log().write(
            Level::Warning,
            format_args!("\"wsgi_pass\" names {shown}, which {trouble} in {position}"),
        );
    }
    Ok(full.into())
}

fn option(pass: &mut Pass, word: &[u8], line: &Line<'_>) -> Outcome {
    const ACCEPTED: &str = "behind the target it takes daemon=name and group=name";
    let Some(at) = word.iter().position(|byte| *byte == b'=') else {
        return Err(Problem::value(word, ACCEPTED));
    };
    let value = &word[at + 1..];
    match &word[..at] {
        b"daemon" => {
            let name = value.into();
            once(&mut pass.process_group, Named { name, position: line.position() })
        }
        b"group" => once(&mut pass.application_group, value.into()),
        _ => Err(Problem::value(word, ACCEPTED)),
    }
}
