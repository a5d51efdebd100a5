//! What an application is called with: its callable, where it is mounted, its environ, its process and its interpreter.

use std::sync::Arc;

use oxwsgi_core::config::is_dotted_name;
use oxwsgi_core::report::Level;

use super::line::{Line, Problem, once, without_variables};
use super::{Directive, Outcome, value};
use crate::nginx::config::{IMPLICIT, LocationConfig, Named, Param, Value};

const ON_OFF: &str = "on or off";

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive::location(c"wsgi_callable", (1, 1), "the name of a callable", |location, line| {
        let name = line.fixed()?;
        if !is_dotted_name(name) {
            return Err(Problem::value(name, "the name of a callable, in which dots lead to attributes"));
        }
        once(&mut location.settings.callable, name.into())
    }),
    Directive::location(c"wsgi_factory", (1, 1), ON_OFF, |location, line| {
        flag(&mut location.settings.factory, line)
    }),
    Directive::location(c"wsgi_script_name", (1, 1), "a path", script_name),
    Directive::location(c"wsgi_param", (2, 3), "a name, a value, and perhaps if_not_empty", param),
    Directive::location(c"wsgi_pass_authorization", (1, 1), ON_OFF, |location, line| {
        flag(&mut location.settings.pass_authorization, line)
    }),
    Directive::location(c"wsgi_process_group", (1, 1), "the name of a group, or off", |location, line| {
        once(&mut location.settings.process_group, process_group(line.first(), line)?)
    }),
    Directive::location(c"wsgi_application_group", (1, 1), "a name or %{GLOBAL}", |location, line| {
        once(&mut location.settings.application_group, application_group(line.first())?)
    }),
    Directive::location(c"wsgi_script_reloading", (1, 1), ON_OFF, |location, line| {
        flag(&mut location.settings.script_reloading, line)
    }),
    Directive::location(c"wsgi_file_wrapper", (1, 1), ON_OFF, |location, line| {
        flag(&mut location.settings.file_wrapper, line)
    }),
    Directive::location(c"wsgi_error_log_level", (1, 1), "a level of error_log", |location, line| {
        once(&mut location.settings.error_log_level, level(line.first())?)
    }),
];

fn flag(field: &mut Option<bool>, line: &Line<'_>) -> Outcome {
    once(field, value::on_off(line.first())?)
}

fn script_name(location: &mut LocationConfig, line: &Line<'_>) -> Outcome {
    let path = line.fixed()?;
    if !path.is_empty() && !path.starts_with(b"/") {
        return Err(Problem::value(path, "a path that begins with a slash, or \"\""));
    }
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    once(&mut location.settings.script_name, path[..end].into())
}

fn param(location: &mut LocationConfig, line: &Line<'_>) -> Outcome {
    let name = line.fixed()?;
    if name.is_empty() {
        return Err(Problem::value(name, "a name that is not empty"));
    }
    if name.starts_with(b"wsgi.") {
        return Err(Problem::value(
            name,
            "a name that does not begin with \"wsgi.\", which PEP 3333 keeps for the server",
        ));
    }
    let if_not_empty = match line.words().get(2) {
        None => false,
        Some(&b"if_not_empty") => true,
        Some(word) => return Err(Problem::value(word, "behind the value if_not_empty or nothing")),
    };
    let value = Value::compile(line.reading, line.native(1))?;
    let more = Param { name: name.into(), value, if_not_empty };
    let params = location.settings.params.take();
    let params = params.iter().flat_map(|params| params.iter().cloned()).chain([more]);
    location.settings.params = Some(params.collect::<Arc<[_]>>());
    Ok(())
}

/// The name of a daemon group.
pub(super) fn process_group(word: &[u8], line: &Line<'_>) -> Result<Named, Problem> {
    match without_variables(word)? {
        // What holds where nothing is said: nginx's own processes run no application.
        b"off" => Ok(line.named(IMPLICIT.as_bytes())),
        b"" | [b'%', b'{', ..] => {
            Err(Problem::value(word, "the name of a group that wsgi_daemon_process defines, or off"))
        }
        name => Ok(line.named(name)),
    }
}

/// The name of an interpreter; empty is the main one.
pub(super) fn application_group(word: &[u8]) -> Result<Box<[u8]>, Problem> {
    match without_variables(word)? {
        b"%{GLOBAL}" => Ok(Box::default()),
        [b'%', b'{', ..] => {
            Err(Problem::value(word, "\"%{GLOBAL}\" (with the quotes), the main interpreter, or a name"))
        }
        name => Ok(name.into()),
    }
}

fn level(word: &[u8]) -> Result<Level, Problem> {
    const LEVELS: [(&str, Level); 8] = [
        ("debug", Level::Debug),
        ("info", Level::Info),
        ("notice", Level::Notice),
        ("warn", Level::Warning),
        ("error", Level::Error),
        ("crit", Level::Critical),
        ("alert", Level::Alert),
        ("emerg", Level::Emergency),
    ];
    let found = LEVELS.iter().find(|(name, _)| name.as_bytes() == word);
    found.map(|(_, level)| *level).ok_or_else(|| {
        let names = LEVELS.map(|(name, _)| name).join(", ");
        Problem::value(word, format!("one of {names}"))
    })
}
