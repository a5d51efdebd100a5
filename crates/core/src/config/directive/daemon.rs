//! Directives of processes: groups of daemon processes, what runs in which group, and what is loaded when one starts.

use crate::config::directive::{Arguments, Context, Directive, Notice, Setter};
use crate::config::value::{self, Outcome, Words};
use crate::config::{ConfigError, DaemonGroup, Hosts, ImportScript, ProcessSettings, ScriptOptions};

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "WSGIDaemonProcess",
        context: Context::Server,
        arguments: Arguments::options(1, "name [options]"),
        default: "-",
        help: "Define a group of daemon processes; one of a virtual host is for hosts of that ServerName only",
        setter: Setter::Hosted(|settings, hosts, words| {
            settings.add_group(DaemonGroup::parse(words, hosts.current())?)
        }),
        notice: None,
    },
    Directive {
        name: "WSGIProcessGroup",
        context: Context::Directory,
        arguments: Arguments::one("name"),
        default: "%{GLOBAL}",
        help: "Name of the process group that runs the application; %{GLOBAL} is httpd's own processes",
        setter: Setter::Directory(|settings, words| value::name(&mut settings.process_group, words)),
        notice: None,
    },
    Directive {
        name: "WSGIImportScript",
        context: Context::Server,
        arguments: Arguments::options(1, "file process-group=name application-group=name"),
        default: "-",
        help: "Load a script when a process starts",
        setter: Setter::Hosted(import_script),
        notice: None,
    },
    Directive {
        name: "WSGIRestrictProcess",
        context: Context::Directory,
        arguments: Arguments::any("name..."),
        default: "any group",
        help: "Names of the process groups that may run applications; %{GLOBAL} is embedded mode",
        setter: Setter::Directory(|settings, words| value::group_list(&mut settings.restrict_process, words)),
        notice: None,
    },
    Directive {
        name: "WSGIRestrictEmbedded",
        context: Context::Global,
        arguments: Arguments::one("On|Off"),
        default: "Off",
        help: "On: no application runs in httpd's own processes, and these start no Python",
        setter: Setter::Process(|settings, words| value::flag(&mut settings.restrict_embedded, words)),
        notice: None,
    },
    Directive {
        name: "WSGISocketPrefix",
        context: Context::Global,
        arguments: Arguments::one("path-prefix"),
        default: "<runtime dir>/wsgi",
        help: "Where daemon process groups have their sockets; a relative path is below ServerRoot",
        setter: Setter::Process(|settings, words| value::bytes(&mut settings.socket_prefix, words)),
        notice: None,
    },
    Directive {
        name: "WSGISocketRotation",
        context: Context::Global,
        arguments: Arguments::one("On|Off"),
        default: "On",
        help: "Whether sockets have new names after a restart",
        setter: Setter::Nothing(value::unused_flag),
        notice: Some(Notice::Info(
            "has no effect: sockets have new names after each restart, and processes from before it are served until they \
             end",
        )),
    },
    Directive {
        name: "WSGIAcceptMutex",
        context: Context::Global,
        arguments: Arguments::one("mechanism"),
        default: "-",
        help: "Lock between the processes of a daemon group",
        setter: Setter::Nothing(value::accept_mutex),
        notice: Some(Notice::Info("has no effect: daemon processes need no lock to share a socket")),
    },
];

fn import_script(settings: &mut ProcessSettings, hosts: &dyn Hosts, words: Words<'_>) -> Outcome {
    let Some((script, options)) = words.split_first() else {
        return Err(ConfigError::Missing("Location of import script not supplied."));
    };
    let known = &["process-group", "application-group"];
    let options = ScriptOptions::parse(options, known, "Invalid option to WSGI import script definition.")?;
    let Some(process_group) = options.process_group else {
        return Err(ConfigError::Missing("Name of WSGI process group required."));
    };
    let Some(application_group) = options.application_group else {
        return Err(ConfigError::Missing("Name of WSGI application group required."));
    };
    // There is no request that could complete another expression: its text is the name.
    let fixed = |name: &crate::request::Name| Box::from(name.fixed().unwrap_or_else(|| name.text()));
    settings.add_import(
        ImportScript {
            script: (*script).into(),
            process_group: fixed(&process_group),
            application_group: fixed(&application_group),
            needs_python: true,
            ..ImportScript::default()
        },
        hosts,
    )
}
