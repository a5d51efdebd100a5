//! Directives that earlier versions of mod_wsgi had. Old configurations still hold them: each is accepted, whatever
//! its words, and says what to do instead.

use crate::config::directive::{Arguments, Context, Directive, Notice, Setter};
use crate::config::value;

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        default: "Off",
        arguments: Arguments::one("On|Off"),
        setter: Setter::Nothing(value::unused_flag),
        notice: Some(Notice::Info("is deprecated and has no effect; use LogLevel wsgi:debug or wsgi:trace1")),
        ..retired("WSGIVerboseDebugging", Context::Global, "")
    },
    Directive {
        default: "On",
        arguments: Arguments::one("On|Off"),
        setter: Setter::Nothing(value::unused_flag),
        notice: Some(Notice::Info(
            "has no effect since httpd 2.4; say with <RequireAll> and <RequireAny> what must hold",
        )),
        ..retired("WSGIGroupAuthoritative", Context::AuthConfig, "")
    },
    retired(
        "WSGILazyInitialization",
        Context::Global,
        "has no effect: Python starts in the processes that serve requests; remove it",
    ),
    retired(
        "WSGINewRelicConfigFile",
        Context::Global,
        "has no effect: start the agent in the script, with newrelic.agent.initialize(); remove it",
    ),
    retired(
        "WSGINewRelicEnvironment",
        Context::Global,
        "has no effect: start the agent in the script, with newrelic.agent.initialize(); remove it",
    ),
    retired(
        "WSGIReloadMechanism",
        Context::Directory,
        "has no effect: a changed script is loaded anew unless WSGIScriptReloading is Off; remove it",
    ),
    retired(
        "WSGIPythonExecutable",
        Context::Global,
        "has no effect: say with WSGIPythonHome which Python or virtual environment to use; remove it",
    ),
    retired(
        "WSGIPy3kWarningFlag",
        Context::Global,
        "has no effect: there is no Python 2 to warn about; remove it",
    ),
    retired(
        "WSGIUserAuthoritative",
        Context::AuthConfig,
        "has no effect: use AuthBasicAuthoritative and AuthDigestAuthoritative of httpd; remove it",
    ),
    retired(
        "WSGIOutputBuffering",
        Context::FileInfo,
        "has no effect: each block of a reply is sent when the application yields it; remove it",
    ),
    retired(
        "WSGIInputBuffering",
        Context::FileInfo,
        "has no effect: a request body is read when the application asks for it; remove it",
    ),
];

const fn retired(name: &'static str, context: Context, advice: &'static str) -> Directive {
    Directive {
        name,
        context,
        arguments: Arguments::any("anything"),
        default: "-",
        help: "Was a directive once",
        setter: Setter::Nothing(|_| Ok(())),
        notice: Some(Notice::Warning(advice)),
    }
}
