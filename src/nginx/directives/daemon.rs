//! Daemon groups: the processes that run applications, and what they load when they start.

use std::time::Duration;

use oxwsgi_core::config::{DaemonGroup, DaemonOption, OPTIONS};
use oxwsgi_core::os::Account;
use oxwsgi_core::report::Level;

use super::line::{Line, Problem, once, without_variables};
use super::pass::Target;
use super::{Directive, EVERYWHERE, MAIN, Outcome, Setter, python, value};
use crate::nginx::config::{Group, Import, MainConfig};
use crate::nginx::ffi;

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive::main(
        c"wsgi_daemon_process",
        (1, usize::MAX),
        "a name, and options as name=value",
        daemon_process,
    ),
    Directive {
        name: c"wsgi_import",
        // Of one list for all servers.
        contexts: MAIN | ffi::NGX_HTTP_SRV_CONF,
        count: (1, usize::MAX),
        form: "a file or module, and then perhaps daemon=name and group=name",
        setter: Setter::Main(import),
    },
    Directive::main(c"wsgi_socket_prefix", (1, 1), "the beginning of a path", |main, line| {
        once(&mut main.process.socket_prefix, line.path(line.first())?.into())
    }),
    Directive::main(c"wsgi_shutdown_timeout", (1, 1), "a time", |main, line| {
        once(&mut main.shutdown_timeout, Duration::from_secs(value::seconds(line.first())?))
    }),
    refused(
        c"wsgi_threads",
        MAIN,
        "is for applications in nginx's own processes, which run none: give the group its threads with \
         \"wsgi_daemon_process name threads=number;\", of which \"default\" is the group of locations that name none",
    ),
    refused(
        c"wsgi_queue",
        EVERYWHERE,
        "is for applications in nginx's own processes, which run none: say with listen_backlog= of wsgi_daemon_process how \
         many requests may wait for a thread",
    ),
    refused(
        c"wsgi_queue_timeout",
        EVERYWHERE,
        "is for applications in nginx's own processes, which run none: say with queue_timeout= of wsgi_daemon_process how \
         long requests may wait for a thread",
    ),
];

const fn refused(
    name: &'static std::ffi::CStr,
    contexts: super::Contexts,
    reason: &'static str,
) -> Directive {
    Directive { name, contexts, count: (0, usize::MAX), form: "", setter: Setter::Refused(reason) }
}

/// Options that mean nothing under nginx, and what does.
const ELSEWHERE: [(&str, &str); 4] = [
    ("response-socket-timeout", "nginx's own send_timeout says how long each write to the client may take"),
    ("response-buffer-size", "leave it out: wsgi_buffering and wsgi_buffers say how replies are buffered"),
    ("response-flush-delay", "leave it out: wsgi_buffering says how replies are buffered"),
    ("server-metrics", "leave it out: it is not supported under nginx"),
];

fn daemon_process(main: &mut MainConfig, line: &Line<'_>) -> Outcome {
    let name = line.fixed()?;
    if name.is_empty() || name == b"off" || name.starts_with(b"%{") {
        return Err(Problem::value(
            name,
            "a name that is not empty, not \"off\", and does not begin with \"%{\"",
        ));
    }
    if main.group_named(name).is_some() {
        return Err(Problem::value(name, "a name that no other group has; this one is defined already"));
    }
    let mut group = Group::new(name);
    for word in &line.words()[1..] {
        match without_variables(word)?.strip_prefix(b"env=") {
            Some(variable) => env(&mut group, word, variable)?,
            None => {
                let name = option(&mut group.settings, word, line)?;
                group.sets_shutdown_timeout |= name == "shutdown-timeout";
            }
        }
    }
    let settings = &group.settings;
    if !Account::may_change() {
        let own = rustix::process::geteuid().as_raw();
        if let Some(user) = settings.user.as_ref().filter(|user| user.uid != own) {
            let name = format!("user={}", String::from_utf8_lossy(&user.name));
            let reason = "no user= but the one that starts nginx; only root can change to another";
            return Err(Problem::value(name.as_bytes(), reason));
        }
    }
    main.groups.push(group);
    Ok(())
}

fn env(group: &mut Group, word: &[u8], variable: &[u8]) -> Outcome {
    let Some(at) = variable.iter().position(|byte| *byte == b'=') else {
        return Err(Problem::value(word, "env=NAME=value"));
    };
    python::add_variable(&mut group.environment, &variable[..at], &variable[at + 1..])
        .map_err(|_| Problem::value(word, "env=NAME=value, each name once"))
}

/// Sets an option, which is spelled with underscores; the answer is its name in the table.
fn option(group: &mut DaemonGroup, word: &[u8], line: &Line<'_>) -> Result<&'static str, Problem> {
    let Some((known, text)) = split(word) else {
        let names: Vec<_> = available().map(|option| option.name.replace('-', "_")).collect();
        return Err(Problem::value(word, format!("the options env=NAME=value, {}=", names.join("=, "))));
    };
    if let Some((_, cure)) = ELSEWHERE.iter().find(|(name, _)| *name == known.name) {
        return Err(Problem::value(word, *cure));
    }
    // Times and sizes may have nginx's units.
    let converted;
    let text = match known.form {
        "seconds" => {
            converted = value::seconds(text).map_err(|_| Problem::value(word, TIME))?.to_string();
            converted.as_bytes()
        }
        "bytes" => {
            converted = value::large_bytes(text).map_err(|_| Problem::value(word, SIZE))?.to_string();
            converted.as_bytes()
        }
        "directory" if !text.is_empty() && known.name.starts_with("python-") => line.path(text)?,
        _ => text,
    };
    if known.name == "python-path" {
        group.python_path = python::search_path(line, text)?;
        return Ok(known.name);
    }
    let before = group.notices.len();
    known.set(group, text).map_err(|reason| Problem::value(word, respelled(&reason)))?;
    for notice in &group.notices[before..] {
        line.reading
            .log()
            .write(Level::Warning, format_args!("{} in {}", respelled(notice), line.position()));
    }
    Ok(known.name)
}

const TIME: &str = "a time such as 60s, 5m or 1h; a number alone is seconds, and 0 is off";
const SIZE: &str = "a size such as 4096, 64k, 512m or 2g; a number alone is bytes";

/// Name, as the table has it, and value.
fn split(word: &[u8]) -> Option<(&'static DaemonOption, &[u8])> {
    let at = word.iter().position(|byte| *byte == b'=')?;
    let (name, text) = (&word[..at], &word[at + 1..]);
    let is_named = |option: &&DaemonOption| option.name.replace('-', "_").as_bytes() == name;
    Some((OPTIONS.iter().find(is_named)?, text))
}

fn available() -> impl Iterator<Item = &'static DaemonOption> {
    OPTIONS.iter().filter(|option| ELSEWHERE.iter().all(|(name, _)| *name != option.name))
}

/// A message of the table, from what it says is accepted, with names of options as nginx's configuration has them.
fn respelled(message: &str) -> String {
    let message = message.split_once("Accepted: ").map_or(message, |(_, accepted)| accepted);
    OPTIONS.iter().filter(|option| option.name.contains('-')).fold(message.to_owned(), |message, option| {
        message.replace(option.name, &option.name.replace('-', "_"))
    })
}

fn import(main: &mut MainConfig, line: &Line<'_>) -> Outcome {
    let Target { script, callable, process_group, application_group } = Target::read(line, "wsgi_import")?;
    let application_group = application_group.unwrap_or_default();
    main.imports.push(Import { script, callable, process_group, application_group });
    Ok(())
}
