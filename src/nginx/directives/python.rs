//! How Python runs, in the processes of all groups. Most mean what the directives of httpd's module mean, whose table has
//! the setters.

use oxwsgi_core::config::ProcessSettings;
use oxwsgi_core::config::directive::{self, Block};

use super::line::{Line, Problem, once};
use super::{Directive, Outcome, value};
use crate::nginx::config::MainConfig;

const ON_OFF: &str = "on or off";

/// A directive that httpd's module has, too: its name there, and whether the block has it already.
macro_rules! common {
    ($name:literal, $form:expr, $twin:literal, $field:ident) => {
        Directive::main($name, (1, 1), $form, |main, line| {
            common(main, line, $twin, |process| process.$field.is_some())
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
    Directive::main(c"wsgi_python_isolated", (1, 1), ON_OFF, |main, line| {
        once(&mut main.python_isolated, value::on_off(line.first())?)
    }),
    common!(c"wsgi_python_optimize", "0, 1 or 2", "WSGIPythonOptimize", python_optimize),
    common!(c"wsgi_python_hash_seed", "random or a number", "WSGIPythonHashSeed", python_hash_seed),
    Directive::main(c"wsgi_python_warnings", (1, usize::MAX), "filters", |main, line| {
        main.process.python_warnings.extend(line.words().iter().map(|word| Box::from(*word)));
        Ok(())
    }),
    common!(c"wsgi_dont_write_bytecode", ON_OFF, "WSGIDontWriteBytecode", dont_write_bytecode),
    common!(c"wsgi_switch_interval", "seconds, with fraction", "WSGISwitchInterval", switch_interval),
    common!(c"wsgi_destroy_interpreter", ON_OFF, "WSGIDestroyInterpreter", destroy_interpreter),
    common!(c"wsgi_restrict_signal", ON_OFF, "WSGIRestrictSignal", restrict_signal),
    common!(c"wsgi_restrict_stdin", ON_OFF, "WSGIRestrictStdin", restrict_stdin),
    common!(c"wsgi_restrict_stdout", ON_OFF, "WSGIRestrictStdout", restrict_stdout),
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
    for word in line.words().iter().flat_map(|word| word.split(|byte| *byte == b':')) {
        if !word.is_empty() {
            folders.push(path(line, word)?);
        }
    }
    Ok(())
}

fn env(main: &mut MainConfig, line: &Line<'_>) -> Outcome {
    let (name, text) = (line.first(), line.words()[1]);
    if name.is_empty() || name.contains(&b'=') || name.contains(&0) {
        return Err(Problem::value(name, "a name without \"=\" and NUL, that is not empty"));
    }
    if text.contains(&0) {
        return Err(Problem::value(text, "a value without NUL"));
    }
    if main.environment.iter().any(|(other, _)| **other == *name) {
        return Err(Problem::value(name, "each name once"));
    }
    main.environment.push((name.into(), text.into()));
    Ok(())
}
