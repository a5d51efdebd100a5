//! How Python runs, in the processes of all groups. Most mean what the directives of httpd's module mean, whose table has
//! the setters.

use oxwsgi_core::config::ProcessSettings;
use oxwsgi_core::config::directive::{self, Block};

use super::line::{Line, Problem, once};
use super::{Directive, Outcome, value};
use crate::nginx::config::{MainConfig, Variable};

const ON_OFF: &str = "on or off";

/// A directive that httpd's module has, too: its name there, and whether the block has it already.
macro_rules! common {
    ($name:literal, $form:expr, $twin:literal, $field:ident) => {
        Directive::main($name, (1, 1), $form, |main, line| {
            common(main, line, $twin, |process| process.$field.is_some())
        })
    };
}

/// A directive that is on or off.
macro_rules! flag {
    ($name:literal, $field:ident) => {
        Directive::main($name, (1, 1), ON_OFF, |main, line| {
            once(&mut main.process.$field, value::on_off(line.first())?)
        })
    };
}

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive::main(c"wsgi_python_home", (1, 1), "a folder", |main, line| {
        once(&mut main.process.python_home, path(line, line.first())?)
    }),
    Directive::main(c"wsgi_python_path", (1, usize::MAX), "folders, with colons between them", python_path),
    Directive::main(c"wsgi_python_eggs", (1, 1), "a folder", |main, line| {
        once(&mut main.process.python_eggs, path(line, line.first())?)
    }),
    flag!(c"wsgi_python_isolated", python_isolated),
    common!(c"wsgi_python_optimize", "0, 1 or 2", "WSGIPythonOptimize", python_optimize),
    common!(c"wsgi_python_hash_seed", "random or a number", "WSGIPythonHashSeed", python_hash_seed),
    Directive::main(c"wsgi_python_warnings", (1, usize::MAX), "filters", |main, line| {
        main.process.python_warnings.extend(line.words().iter().map(|word| Box::from(*word)));
        Ok(())
    }),
    flag!(c"wsgi_dont_write_bytecode", dont_write_bytecode),
    common!(c"wsgi_switch_interval", "seconds, with fraction", "WSGISwitchInterval", switch_interval),
    flag!(c"wsgi_destroy_interpreter", destroy_interpreter),
    flag!(c"wsgi_restrict_signal", restrict_signal),
    flag!(c"wsgi_restrict_stdin", restrict_stdin),
    flag!(c"wsgi_restrict_stdout", restrict_stdout),
    Directive::main(c"wsgi_env", (2, 2), "a name and a value", env),
];

fn common(
    main: &mut MainConfig,
    line: &Line<'_>,
    twin: &str,
    is_set: impl Fn(&ProcessSettings) -> bool,
) -> Outcome {
    line.fixed()?;
    if is_set(&main.process) {
        return Err(Problem::duplicate());
    }
    let twin = directive::all().find(|row| row.name == twin).expect("a row of the other table");
    Ok(twin.set(Block::Process(&mut main.process), line.words()).map_err(|error| error.error)?)
}

fn path(line: &Line<'_>, word: &[u8]) -> Result<Box<[u8]>, Problem> {
    if word.is_empty() {
        return Err(Problem::value(word, "a path that is not empty"));
    }
    Ok(line.path(word)?.into())
}

fn python_path(main: &mut MainConfig, line: &Line<'_>) -> Outcome {
    let folders = main.process.python_path.get_or_insert_default();
    for word in line.words() {
        folders.extend(search_path(line, word)?);
    }
    Ok(())
}

/// Folders with colons between them.
pub(super) fn search_path(line: &Line<'_>, word: &[u8]) -> Result<Vec<Box<[u8]>>, Problem> {
    let folders = word.split(|byte| *byte == b':').filter(|folder| !folder.is_empty());
    folders.map(|folder| path(line, folder)).collect()
}

fn env(main: &mut MainConfig, line: &Line<'_>) -> Outcome {
    add_variable(&mut main.environment, line.first(), line.words()[1])
}

/// Adds a variable of the environment, whose name must be new.
pub(super) fn add_variable(variables: &mut Vec<Variable>, name: &[u8], text: &[u8]) -> Outcome {
    if name.is_empty() || name.contains(&b'=') || name.contains(&0) {
        return Err(Problem::value(name, "a name without \"=\" and NUL, that is not empty"));
    }
    if text.contains(&0) {
        return Err(Problem::value(text, "a value without NUL"));
    }
    if variables.iter().any(|(other, _)| **other == *name) {
        return Err(Problem::value(name, "each name once"));
    }
    variables.push((name.into(), text.into()));
    Ok(())
}
