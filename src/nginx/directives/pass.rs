//! `wsgi_pass`, which sends the requests of a location to an application.

#![allow(unsafe_code, reason = "sets the content handler of a location")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use oxwsgi_core::config::{Application, Script};
use oxwsgi_core::report::Level;

use super::line::{Line, Problem, once};
use super::{Directive, LOCATIONS, Outcome, Setter, application};
use crate::nginx::config::{LocationConfig, Named, Pass};
use crate::nginx::{text, upstream};

pub(super) const DIRECTIVES: &[Directive] = &[Directive {
    name: c"wsgi_pass",
    contexts: LOCATIONS,
    count: (1, usize::MAX),
    form: "a file or module, and then perhaps daemon=name and group=name",
    setter: Setter::Location(pass),
}];

fn pass(location: &mut LocationConfig, line: &Line<'_>) -> Outcome {
    let Target { script, callable, process_group, application_group } = Target::read(line, "wsgi_pass")?;
    once(&mut location.pass, Pass { script, callable, process_group, application_group })?;
    location.handler = Some(upstream::handle);
    location.upstream.upstream = upstream::server(line.reading)?;
    let core = line.reading.core_location();
    // SAFETY: the core module's settings of this location, which nobody else refers to; read by value.
    let name = unsafe { text::bytes((*core).name) };
    // SAFETY: as above.
    unsafe { (*core).handler = location.handler };
    if name.ends_with(b"/") {
        // As for every location that passes its requests on: the path without the slash is redirected.
        // SAFETY: as above.
        unsafe { (*core).set_auto_redirect(1) };
    }
    Ok(())
}

/// A target and its options, as `wsgi_pass` and `wsgi_import` have them.
pub(super) struct Target {
    pub script: Script,
    pub callable: Option<Box<[u8]>>,
    pub process_group: Option<Named>,
    pub application_group: Option<Box<[u8]>>,
}

impl Target {
    /// Reads the words of a line.
    pub fn read(line: &Line<'_>, directive: &str) -> Result<Self, Problem> {
        let Application { script, callable } = Application::parse(line.first())?;
        let script = match script {
            Script::File(path) => Script::File(file(&path, line, directive)?),
            module => module,
        };
        let mut target = Self { script, callable, process_group: None, application_group: None };
        for word in &line.words()[1..] {
            target.option(word, line)?;
        }
        Ok(target)
    }

    fn option(&mut self, word: &[u8], line: &Line<'_>) -> Outcome {
        const ACCEPTED: &str = "behind the target daemon=name and group=name";
        let Some(at) = word.iter().position(|byte| *byte == b'=') else {
            return Err(Problem::value(word, ACCEPTED));
        };
        let value = &word[at + 1..];
        match &word[..at] {
            b"daemon" => once(&mut self.process_group, application::process_group(value, line)?),
            b"group" => once(&mut self.application_group, application::application_group(value)?),
            b"threads" => Err(Problem::value(
                word,
                "daemon=name, for applications run in daemon groups: give a group its threads= with wsgi_daemon_process",
            )),
            _ => Err(Problem::value(word, ACCEPTED)),
        }
    }
}

/// The absolute path of a file, which is looked for; that it is missing stops nothing, for it may be there later.
fn file(path: &[u8], line: &Line<'_>, directive: &str) -> Result<Box<[u8]>, Problem> {
    let full = line.path(path)?;
    let trouble = match Path::new(OsStr::from_bytes(full)).metadata() {
        Ok(found) if found.is_file() => None,
        Ok(_) => Some("is not a file".to_owned()),
        Err(error) => Some(format!("cannot be used now: {error}")),
    };
    if let Some(trouble) = trouble {
        let shown = String::from_utf8_lossy(full);
        let position = line.position();
        line.reading.log().write(
            Level::Warning,
            format_args!("\"{directive}\" names {shown}, which {trouble} in {position}"),
        );
    }
    Ok(full.into())
}
