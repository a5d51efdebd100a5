//! Tests of the table and its setters: good and bad words for each directive.

use std::collections::BTreeSet;

use super::*;
use crate::config::{Host, ImportScript, MapHeadToGet, Preload, ScriptAlias};

/// There are no virtual hosts.
#[derive(Debug)]
struct MainServer;

impl Hosts for MainServer {
    fn current(&self) -> Host {
        Host::Main
    }

    fn name(&self, _: Host) -> Option<&[u8]> {
        None
    }
}

/// One block of each kind.
#[derive(Default)]
struct Blocks {
    process: ProcessSettings,
    server: ServerSettings,
    directory: DirectorySettings,
}

impl Blocks {
    /// Sets a directive; `Err` is the message.
    fn set(&mut self, name: &str, words: &[&str]) -> Result<(), String> {
        let directive = all().find(|row| row.name == name).unwrap_or_else(|| panic!("{name} is unknown"));
        let block = match directive.setter {
            Setter::Process(_) => Block::Process(&mut self.process),
            Setter::Hosted(_) => Block::Hosted(&mut self.process, &MainServer),
            Setter::Server(_) => Block::Server(&mut self.server),
            Setter::Directory(_) => Block::Directory(&mut self.directory),
            Setter::Nothing(_) => Block::Nothing,
        };
        let words: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
        directive.set(block, &words).map_err(|error| error.to_string())
    }
}

/// What a line of a configuration leaves behind.
fn set(line: &str) -> Blocks {
    let mut blocks = Blocks::default();
    let mut words = line.split(' ');
    let name = words.next().unwrap();
    blocks.set(name, &words.collect::<Vec<_>>()).unwrap_or_else(|error| panic!("{line}: {error}"));
    blocks
}

/// Lines that are accepted, whatever they do.
const ACCEPTED: &[&str] = &[
    "WSGISocketRotation Off",
    "WSGIAcceptMutex posixsem",
    "WSGIAcceptMutex Default",
    "WSGIPassApacheRequest Off",
    "WSGIPerInterpreterGIL Off",
    "WSGIFreeThreading Off",
    "WSGIServerMetrics off",
    "WSGITelemetryOptions None",
    "WSGIVerboseDebugging On",
    "WSGIGroupAuthoritative Off",
    "WSGILazyInitialization On",
    "WSGINewRelicConfigFile /etc/newrelic.ini",
    "WSGINewRelicEnvironment production",
    "WSGIReloadMechanism Process",
    "WSGIPythonExecutable /usr/bin/python",
    "WSGIPy3kWarningFlag On",
    "WSGIUserAuthoritative Off",
    "WSGIOutputBuffering On",
    "WSGIInputBuffering",
];

const OFF_ON: &str = "must be one of: Off | On; 'maybe' is not accepted";
const NOT_CONFIGURED: &str = "'process-group=blog' is not accepted; WSGI process group not yet configured. Put its \
                              WSGIDaemonProcess before this line";

/// Lines that are refused, and the end of what is said after the directive's name.
const REFUSED: &[(&str, &str)] = &[
    ("WSGIScriptAlias /x", "requires at least two arguments, Map location to target WSGI script file"),
    ("WSGIScriptAlias x /x.wsgi", "'x' is not accepted; a URL path, which begins with '/'"),
    ("WSGIScriptAlias /x /x.wsgi process-group=", "Invalid name for WSGI process group."),
    ("WSGIScriptAlias /x /x.wsgi application-group=", "Invalid name for WSGI application group."),
    ("WSGIScriptAlias /x /x.wsgi callable-object=", "Invalid name for WSGI callable object."),
    (
        "WSGIScriptAlias /x /x.wsgi pass-authorization=maybe",
        "'pass-authorization=maybe' is not accepted; Invalid value for authorization flag. One of: Off | On",
    ),
    (
        "WSGIScriptAlias /x /x.wsgi Process-Group=%{GLOBAL}",
        "'Process-Group=%{GLOBAL}' is not accepted; Invalid option to WSGI script alias definition. One of \
         process-group=, application-group=, callable-object=, pass-authorization=",
    ),
    (
        "WSGIScriptAlias /x /x.wsgi blog",
        "One of process-group=, application-group=, callable-object=, pass-authorization=",
    ),
    (
        "WSGIScriptAliasMatch /x",
        "requires at least two arguments, Map location pattern to target WSGI script file",
    ),
    ("WSGIHandlerScript", "Name for handler script not supplied."),
    ("WSGIHandlerScript md", "Location of handler script not supplied."),
    (
        "WSGIHandlerScript md /md.wsgi callable-object=x",
        "'callable-object=x' is not accepted; Invalid option to WSGI handler script definition. One of \
         process-group=, application-group=, pass-authorization=",
    ),
    ("WSGIImportScript", "Location of import script not supplied."),
    ("WSGIImportScript /x application-group=x", "Name of WSGI process group required."),
    ("WSGIImportScript /x process-group=%{GLOBAL}", "Name of WSGI application group required."),
    ("WSGIImportScript /x process-group=blog application-group=x", NOT_CONFIGURED),
    ("WSGIImportScript /x process-group= application-group=x", "Invalid name for WSGI process group."),
    (
        "WSGIImportScript /x user=x",
        "Invalid option to WSGI import script definition. One of process-group=, application-group=",
    ),
    (
        "WSGIProcessGroup",
        "takes one argument, Name of the process group that runs the application; %{GLOBAL} is httpd's own processes",
    ),
    (
        "WSGIApplicationGroup",
        "takes one argument, Name of the interpreter that runs the application; \
                              %{GLOBAL} is the main interpreter",
    ),
    ("WSGICallableObject a b", "takes one argument, Name of the application in the script's globals"),
    ("WSGIRestrictEmbedded maybe", OFF_ON),
    ("WSGIPassAuthorization maybe", OFF_ON),
    ("WSGIScriptReloading maybe", OFF_ON),
    ("WSGIChunkedRequest maybe", OFF_ON),
    ("WSGIMapHEADToGET maybe", "must be one of: Off | On | Auto; 'maybe' is not accepted"),
    ("WSGIEnableSendfile maybe", OFF_ON),
    (
        "WSGITrustedProxies",
        "requires at least one argument, Proxies whose WSGITrustedProxyHeaders are believed",
    ),
    (
        "WSGITrustedProxies 10.0.0.0/8 proxy.example",
        "'proxy.example' is not accepted; Unable to parse trusted proxy IP address/subnet of \"proxy.example\". \
         Accepted: an IPv4 or IPv6 address, with optional /bits or (IPv4) /mask",
    ),
    (
        "WSGITrustedProxyHeaders X_Real_IP",
        "'X_Real_IP' is not accepted; a header name of letters, digits and '-'",
    ),
    ("WSGIErrorOverride maybe", OFF_ON),
    ("WSGIIgnoreActivity maybe", OFF_ON),
    ("WSGIPythonHome ", "'' is not accepted; a path, not an empty text"),
    (
        "WSGIPythonPath a b",
        "takes one argument, Directories at the front of sys.path, whose .pth files are read",
    ),
    ("WSGIPythonEggs", "takes one argument, PYTHON_EGG_CACHE"),
    ("WSGIPythonOptimize 7", "'7' is not accepted; one of 0, 1, 2"),
    ("WSGIPythonOptimize 01", "'01' is not accepted; one of 0, 1, 2"),
    ("WSGIPythonWarnings", "takes one argument, Warnings filter, as -W; may be repeated"),
    (
        "WSGIPythonHashSeed 4294967296",
        "must be \"random\" or an integer in range [0; 4294967295]; '4294967296' is not accepted",
    ),
    ("WSGIPythonHashSeed +1", "'+1' is not accepted"),
    ("WSGIDontWriteBytecode maybe", OFF_ON),
    ("WSGISwitchInterval 0", "must be a positive number of seconds; '0' is not accepted"),
    ("WSGISwitchInterval -1", "'-1' is not accepted"),
    ("WSGISwitchInterval inf", "'inf' is not accepted"),
    ("WSGISwitchInterval 5ms", "'5ms' is not accepted"),
    ("WSGICaseSensitivity maybe", OFF_ON),
    ("WSGIRestrictStdin maybe", OFF_ON),
    ("WSGIRestrictStdout maybe", OFF_ON),
    ("WSGIRestrictSignal maybe", OFF_ON),
    ("WSGIDestroyInterpreter maybe", OFF_ON),
    ("WSGIDaemonProcess", "Name of WSGI daemon process not supplied."),
    (
        "WSGIDaemonProcess blog threads=x",
        "'threads=x' is not accepted; Invalid thread count for WSGI daemon process. Accepted: a whole number from 0 to 512",
    ),
    ("WSGISocketPrefix ", "'' is not accepted; a path, not an empty text"),
    ("WSGISocketRotation maybe", OFF_ON),
    (
        "WSGIAcceptMutex best",
        "'best' is not accepted; one of default, flock, fcntl, sysvsem, posixsem, pthread",
    ),
    (
        "WSGIDispatchScript /x",
        "choose applications with WSGIScriptAlias, WSGIApplicationGroup %{ENV:name} and SetEnvIf",
    ),
    (
        "WSGIAccessScript /x",
        "leave it out, and control access with httpd's own Require and AuthBasicProvider",
    ),
    (
        "WSGIAuthUserScript /x",
        "leave it out, and control access with httpd's own Require and AuthBasicProvider",
    ),
    (
        "WSGIAuthGroupScript /x",
        "leave it out, and control access with httpd's own Require and AuthBasicProvider",
    ),
    ("WSGIPassApacheRequest On", "leave it out, or say Off; the application then sees no apache.request_rec"),
    ("WSGIPassApacheRequest maybe", OFF_ON),
    ("WSGIPerInterpreterGIL On", "leave it out, or say Off; interpreters then share Python's lock"),
    ("WSGIPerInterpreterGIL maybe", OFF_ON),
    ("WSGIFreeThreading On", "leave it out, or say Off; Python then runs with its lock"),
    ("WSGIFreeThreading maybe", OFF_ON),
    (
        "<WSGIInterpreterOptions process-group=x>",
        "not supported yet: leave the section out; directives outside it apply to all interpreters",
    ),
    (
        "WSGIServerMetrics On",
        "'On' is not supported yet: leave it out, or say Off; use mod_status for the server's figures",
    ),
    ("WSGIServerMetrics maybe", OFF_ON),
    ("WSGITelemetryService unix:/x", "leave it out; no figures are sent to a telemetry service"),
    ("WSGISlowRequests 5", "leave it out; no figures are sent to a telemetry service"),
    ("WSGITelemetryOptions All", "leave it out; no figures are sent to a telemetry service"),
    ("WSGIVerboseDebugging maybe", OFF_ON),
    ("WSGIGroupAuthoritative maybe", OFF_ON),
];

#[test]
fn what_is_accepted() {
    for line in ACCEPTED {
        set(line);
    }
}

#[test]
fn what_is_refused() {
    for (line, expected) in REFUSED {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let message = Blocks::default().set(name, &words.collect::<Vec<_>>()).expect_err(line);
        assert!(message.starts_with(name), "{line}: {message}");
        assert!(message.ends_with(expected), "{line}: {message}");
    }
}

/// Whether the right field has the right value.
type Holds = fn(&Blocks) -> bool;

/// Lines of tests that look at the field, so that each directive that sets one has such a test.
const SETTERS: &[(&str, Holds)] = &[
    ("WSGIRestrictEmbedded On", |set| set.process.restrict_embedded == Some(true)),
    ("WSGIPassAuthorization on", |set| set.directory.pass_authorization == Some(true)),
    ("WSGIScriptReloading OFF", |set| set.directory.script_reloading == Some(false)),
    ("WSGIChunkedRequest On", |set| set.directory.chunked_request == Some(true)),
    ("WSGIMapHEADToGET on", |set| set.directory.map_head_to_get == Some(MapHeadToGet::On)),
    ("WSGIMapHEADToGET Off", |set| set.directory.map_head_to_get == Some(MapHeadToGet::Off)),
    ("WSGIMapHEADToGET auto", |set| set.directory.map_head_to_get == Some(MapHeadToGet::Auto)),
    ("WSGIEnableSendfile On", |set| set.directory.enable_sendfile == Some(true)),
    ("WSGIProcessGroup %{GLOBAL}", |set| {
        set.directory.process_group.as_ref().is_some_and(|group| group.fixed() == Some(b""))
    }),
    ("WSGIProcessGroup %{ENV:GROUP}", |set| {
        set.directory.process_group.as_ref().is_some_and(|group| group.text() == b"%{ENV:GROUP}")
    }),
    ("WSGIDaemonProcess blog threads=3", |set| {
        set.process.daemon_group(b"blog").is_some_and(|group| group.threads == 3 && group.host == Host::Main)
    }),
    ("WSGISocketPrefix run/wsgi", |set| set.process.socket_prefix.as_deref() == Some(b"run/wsgi")),
    ("WSGIErrorOverride On", |set| set.directory.error_override == Some(true)),
    ("WSGIIgnoreActivity on", |set| set.directory.ignore_activity == Some(true)),
    ("WSGIApplicationGroup blog", |set| {
        set.directory.application_group.as_ref().is_some_and(|group| group.text() == b"blog")
    }),
    ("WSGICallableObject app", |set| {
        let callable = crate::request::CallableName::new(b"app");
        set.directory.callable_object == Some(callable)
    }),
    ("WSGIRestrictProcess %{GLOBAL} blog", |set| {
        set.directory.restrict_process.as_deref() == Some(&[Box::default(), Box::from(&b"blog"[..])])
    }),
    ("WSGIRestrictProcess", |set| set.directory.restrict_process.as_deref() == Some(&[])),
    ("WSGITrustedProxies 10.0.0.0/8 ::1", |set| {
        let networks = ["10.0.0.0/8", "::1"].map(|network| network.parse().unwrap());
        set.directory.trusted_proxies.as_deref() == Some(&networks)
    }),
    ("WSGITrustedProxyHeaders x-forwarded-for X-Unknown X-HOST", |set| {
        let headers = [&b"X-Forwarded-For"[..], b"X-Host"];
        let headers = headers.map(|name| crate::request::ProxyHeader::named(name).unwrap());
        set.directory.trusted_proxy_headers.as_deref() == Some(&headers)
    }),
    ("WSGIHandlerScript md /md.wsgi application-group=x", |set| {
        set.directory.handler_script(b"md").is_some_and(|script| *script.script == *b"/md.wsgi")
    }),
    ("WSGIScriptAlias /x /x.wsgi callable-object=app pass-authorization=On", |set| {
        let alias: &ScriptAlias = &set.server.script_aliases[0];
        alias.options.pass_authorization == Some(true) && alias.map(c"/x/y").is_some()
    }),
    ("WSGIScriptAliasMatch ^/x /x.wsgi process-group=blog application-group=a", |set| {
        let preload = Preload { script: b"/x.wsgi", process_group: b"blog", application_group: b"a" };
        set.server.script_aliases[0].preload() == Some(preload)
    }),
    ("WSGIImportScript /x.py process-group=%{GLOBAL} application-group=%{GLOBAL}", |set| {
        set.process.imports
            == [ImportScript { script: b"/x.py"[..].into(), needs_python: true, ..ImportScript::default() }]
    }),
    ("WSGIImportScript /x.py process-group=%{GLOBAL} application-group=%{SERVER}", |set| {
        *set.process.imports[0].application_group == *b"%{SERVER}"
    }),
    ("WSGIPythonHome /opt/venv", |set| set.process.resolve().home == Some(b"/opt/venv")),
    ("WSGIPythonPath /a::/b", |set| {
        set.process
            .resolve()
            .path
            .iter()
            .map(|path| path.to_vec())
            .eq([b"/a", b"/b"].map(|path| path.to_vec()))
    }),
    ("WSGIPythonEggs /eggs", |set| set.process.resolve().eggs.get() == Some(b"/eggs")),
    ("WSGIPythonOptimize 2", |set| set.process.resolve().optimize == 2),
    ("WSGIPythonWarnings error::UserWarning", |set| {
        set.process.python_warnings == [Box::from(&b"error::UserWarning"[..])]
    }),
    ("WSGIPythonHashSeed random", |set| set.process.resolve().hash_seed.get() == Some(b"random")),
    ("WSGIPythonHashSeed 4294967295", |set| set.process.resolve().hash_seed.get() == Some(b"4294967295")),
    ("WSGIDontWriteBytecode On", |set| set.process.resolve().dont_write_bytecode),
    ("WSGISwitchInterval 0.25", |set| set.process.resolve().switch_interval == 0.25),
    ("WSGICaseSensitivity Off", |set| !set.process.case_sensitivity()),
    ("WSGIRestrictStdin On", |set| set.process.resolve().restrict_stdin),
    ("WSGIRestrictStdout On", |set| set.process.resolve().restrict_stdout),
    ("WSGIRestrictSignal Off", |set| !set.process.resolve().restrict_signal),
    ("WSGIDestroyInterpreter Off", |set| !set.process.resolve().destroy_interpreter),
];

#[test]
fn what_is_set() {
    for (line, holds) in SETTERS {
        assert!(holds(&set(line)), "{line}");
    }
}

/// First words of lines.
fn names<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    lines.map(|line| line.split(' ').next().unwrap()).collect()
}

#[test]
fn each_directive_has_its_tests() {
    let good = names(SETTERS.iter().map(|(line, _)| *line));
    let accepted = names(ACCEPTED.iter().copied());
    let bad = names(REFUSED.iter().map(|(line, _)| *line));
    for directive in all() {
        let name = directive.name;
        if directive.has_effect() {
            assert!(good.contains(name), "{name} has no test of what it sets");
        } else {
            assert!(accepted.contains(name) || bad.contains(name), "{name} has no test");
        }
        // A list of names takes every word, and retired directives do too.
        let takes_all = directive.arguments.least == 0 && directive.arguments.plain == usize::MAX;
        assert!(takes_all || bad.contains(name), "{name} has no test of a bad value");
    }
}

/// The directives of mod_wsgi 6.0.5, and those of versions before.
const REFERENCE: &str = "WSGIScriptAlias WSGIScriptAliasMatch WSGIDaemonProcess WSGIProcessGroup \
    WSGIApplicationGroup WSGICallableObject WSGIImportScript WSGIHandlerScript WSGIDispatchScript WSGIAccessScript \
    WSGIAuthUserScript WSGIAuthGroupScript WSGIGroupAuthoritative WSGIPassAuthorization WSGIScriptReloading \
    WSGIErrorOverride WSGIChunkedRequest WSGIMapHEADToGET WSGIIgnoreActivity WSGIEnableSendfile \
    WSGITrustedProxyHeaders WSGITrustedProxies WSGIPassApacheRequest WSGIRestrictProcess WSGIRestrictEmbedded \
    WSGIRestrictStdin WSGIRestrictStdout WSGIRestrictSignal WSGICaseSensitivity WSGISocketPrefix WSGISocketRotation \
    WSGIAcceptMutex WSGIPythonHome WSGIPythonPath WSGIPythonEggs WSGIPythonOptimize WSGIPythonWarnings \
    WSGIPythonHashSeed WSGIDontWriteBytecode WSGISwitchInterval WSGIDestroyInterpreter WSGIPerInterpreterGIL \
    WSGIFreeThreading <WSGIInterpreterOptions WSGIServerMetrics WSGITelemetryService WSGISlowRequests \
    WSGITelemetryOptions WSGIVerboseDebugging WSGILazyInitialization WSGINewRelicConfigFile WSGINewRelicEnvironment \
    WSGIReloadMechanism WSGIPythonExecutable WSGIUserAuthoritative WSGIOutputBuffering WSGIInputBuffering";

#[test]
fn all_directives_of_the_reference_are_known() {
    let known: BTreeSet<_> = all().map(|directive| directive.name).collect();
    assert_eq!(known.len(), all().count(), "a name is there twice");
    for name in REFERENCE.split_whitespace() {
        assert!(known.contains(name), "{name}");
    }
}

#[test]
fn what_has_no_effect_says_so_or_asks_for_nothing() {
    for line in ACCEPTED {
        let name = line.split(' ').next().unwrap();
        let directive = all().find(|row| row.name == name).unwrap();
        // `Off` and `None` of what is not there: that is how things are.
        let asks_for_nothing = line.to_lowercase().ends_with(" off") || line.ends_with(" None");
        assert!(directive.notice.is_some() || asks_for_nothing, "{line}");
    }
}

#[test]
fn where_directives_may_stand() {
    let contexts = [
        ("WSGIScriptAlias", Context::Server),
        ("WSGIImportScript", Context::Server),
        ("WSGIApplicationGroup", Context::Directory),
        ("WSGIHandlerScript", Context::Directory),
        ("WSGIRestrictProcess", Context::Directory),
        ("WSGICallableObject", Context::FileInfo),
        ("WSGITrustedProxies", Context::FileInfo),
        ("WSGIAccessScript", Context::AuthConfig),
        ("WSGIPythonHome", Context::Global),
        ("WSGIRestrictEmbedded", Context::Global),
    ];
    for (name, context) in contexts {
        assert_eq!(all().find(|row| row.name == name).unwrap().context, context, "{name}");
    }
}

#[test]
fn lists_of_one_level() {
    let mut blocks = Blocks::default();
    for (name, words) in [
        ("WSGITrustedProxies", ["10.0.0.1"]),
        ("WSGITrustedProxies", ["10.0.0.2"]),
        ("WSGITrustedProxyHeaders", ["X-Host"]),
        ("WSGITrustedProxyHeaders", ["X-Real-IP"]),
        ("WSGIRestrictProcess", ["a"]),
        ("WSGIRestrictProcess", ["b"]),
        ("WSGIPythonWarnings", ["error"]),
        ("WSGIPythonWarnings", ["ignore"]),
        ("WSGIPythonPath", ["/a"]),
        ("WSGIPythonPath", ["/b"]),
    ] {
        blocks.set(name, &words).unwrap();
    }
    // These append...
    assert_eq!(blocks.directory.trusted_proxies.unwrap().len(), 2);
    assert_eq!(blocks.directory.trusted_proxy_headers.unwrap().len(), 2);
    assert_eq!(blocks.process.python_warnings.len(), 2);
    // ...and these replace.
    assert_eq!(*blocks.directory.restrict_process.unwrap(), [Box::from(&b"b"[..])]);
    assert_eq!(blocks.process.python_path.unwrap(), [Box::from(&b"/b"[..])]);
}

#[test]
fn a_refused_directive_changes_nothing() {
    let mut blocks = Blocks::default();
    for (line, _) in REFUSED {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        assert!(blocks.set(name, &words.collect::<Vec<_>>()).is_err());
    }
    assert_eq!(blocks.process, ProcessSettings::default());
    assert_eq!(blocks.directory, DirectorySettings::default());
    assert!(blocks.server.script_aliases.is_empty());
}

#[test]
fn a_group_is_named_once_and_loads_in_order() {
    let mut blocks = Blocks::default();
    blocks.set("WSGIDaemonProcess", &["blog"]).unwrap();
    let message = blocks.set("WSGIDaemonProcess", &["blog"]).unwrap_err();
    assert!(message.contains("Name duplicates previous WSGI daemon definition."), "{message}");
    for script in ["/a.py", "/b.py"] {
        blocks
            .set("WSGIImportScript", &[script, "process-group=blog", "application-group=%{GLOBAL}"])
            .unwrap();
    }
    let scripts: Vec<_> = blocks.process.imports_of(b"blog").map(|import| &*import.script).collect();
    assert_eq!(scripts, [&b"/a.py"[..], b"/b.py"]);
    assert_eq!(blocks.process.imports_of(b"").count(), 0);
}

/// Two virtual hosts; the first has a name.
#[derive(Debug)]
struct Twins(usize, Option<&'static str>);

impl Hosts for Twins {
    fn current(&self) -> Host {
        Host::Virtual(self.0)
    }

    fn name(&self, host: Host) -> Option<&[u8]> {
        if host == Host::Virtual(0) { Some(b"shop.example") } else { self.1.map(str::as_bytes) }
    }
}

#[test]
fn a_group_of_a_virtual_host_loads_what_its_own_hosts_say() {
    let mut process = ProcessSettings::default();
    let row = |name| all().find(|row| row.name == name).unwrap();
    row("WSGIDaemonProcess").set(Block::Hosted(&mut process, &Twins(0, None)), &[b"blog"]).unwrap();
    let mut import = |hosts: Twins| {
        let words: [&[u8]; 3] = [b"/x.py", b"process-group=blog", b"application-group=a"];
        let outcome = row("WSGIImportScript").set(Block::Hosted(&mut process, &hosts), &words);
        outcome.map_err(|error| error.to_string())
    };
    assert_eq!(import(Twins(0, None)), Ok(()));
    assert_eq!(import(Twins(1, Some("shop.example"))), Ok(()));
    let message = import(Twins(1, Some("other.example"))).unwrap_err();
    assert!(
        message.contains("'process-group=blog' is not accepted; WSGI process group not accessible."),
        "{message}"
    );
    assert!(import(Twins(1, None)).unwrap_err().contains("WSGI process group not matchable."));
    assert_eq!(process.imports.len(), 2);
}
