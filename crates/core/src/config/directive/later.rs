//! Directives of mod_wsgi that this release does not act on. Where that would change what an application does, they
//! are an error; where it would not, they are accepted.

use crate::config::ConfigError;
use crate::config::directive::{Arguments, Context, Directive, Setter};
use crate::config::value::{self, OFF_ON, Outcome, Words};

const NO_SCRIPTS: &str = "leave it out, and control access with httpd's own Require and AuthBasicProvider";
const NO_DISPATCH: &str = "leave it out, and choose applications with WSGIScriptAlias, WSGIApplicationGroup %{ENV:name} and SetEnvIf";
const NO_CAPSULE: &str = "leave it out, or say Off; the application then sees no apache.request_rec";
const NO_OWN_GIL: &str = "leave it out, or say Off; interpreters then share Python's lock";
const NO_FREE_THREADING: &str = "leave it out, or say Off; Python then runs with its lock";
const NO_METRICS: &str = "leave it out, or say Off; use mod_status for the server's figures";
const NO_TELEMETRY: &str = "leave it out; no figures are sent to a telemetry service";
const NO_SECTIONS: &str = "leave the section out; directives outside it apply to all interpreters";

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        arguments: Arguments::options(1, "file [application-group=name]"),
        setter: Setter::Nothing(|words| Err(named(words, NO_DISPATCH))),
        ..refused("WSGIDispatchScript", Context::Directory, "Choose the application of a request by a script")
    },
    Directive {
        arguments: Arguments::options(1, "file [application-group=name]"),
        setter: Setter::Nothing(|words| Err(named(words, NO_SCRIPTS))),
        ..refused("WSGIAccessScript", Context::AuthConfig, "Allow or deny clients by a script")
    },
    Directive {
        arguments: Arguments::options(1, "file [application-group=name]"),
        setter: Setter::Nothing(|words| Err(named(words, NO_SCRIPTS))),
        ..refused("WSGIAuthUserScript", Context::AuthConfig, "Check passwords by a script")
    },
    Directive {
        arguments: Arguments::options(1, "file [application-group=name]"),
        setter: Setter::Nothing(|words| Err(named(words, NO_SCRIPTS))),
        ..refused("WSGIAuthGroupScript", Context::AuthConfig, "Find a user's groups by a script")
    },
    Directive {
        arguments: Arguments::one("On|Off"),
        default: "Off",
        setter: Setter::Nothing(|words| off_only(words, NO_CAPSULE)),
        ..refused("WSGIPassApacheRequest", Context::Directory, "Give the application httpd's request_rec")
    },
    Directive {
        arguments: Arguments::one("On|Off"),
        default: "Off",
        setter: Setter::Nothing(|words| off_only(words, NO_OWN_GIL)),
        ..refused("WSGIPerInterpreterGIL", Context::Global, "Whether each interpreter has a lock of its own")
    },
    Directive {
        arguments: Arguments::one("On|Off"),
        default: "Off",
        setter: Setter::Nothing(|words| off_only(words, NO_FREE_THREADING)),
        ..refused(
            "WSGIFreeThreading",
            Context::Global,
            "Whether a free-threaded Python runs without its lock",
        )
    },
    Directive {
        arguments: Arguments::any("[process-group=name] [application-group=name]"),
        setter: Setter::Nothing(|_| Err(named(&[], NO_SECTIONS))),
        ..refused("<WSGIInterpreterOptions", Context::Global, "Settings of single interpreters")
    },
    Directive {
        arguments: Arguments::one("On|Off"),
        default: "Off",
        setter: Setter::Nothing(|words| off_only(words, NO_METRICS)),
        ..refused("WSGIServerMetrics", Context::Global, "Whether mod_wsgi.server_metrics() answers")
    },
    Directive {
        arguments: Arguments::options(1, "unix:/path [interval=seconds]"),
        setter: Setter::Nothing(|words| Err(named(words, NO_TELEMETRY))),
        ..refused("WSGITelemetryService", Context::Global, "Where figures are sent")
    },
    Directive {
        arguments: Arguments::one("seconds"),
        setter: Setter::Nothing(|words| Err(named(words, NO_TELEMETRY))),
        ..refused("WSGISlowRequests", Context::Global, "When the telemetry service hears of a slow request")
    },
    Directive {
        arguments: Arguments::list("None|flag..."),
        default: "None",
        setter: Setter::Nothing(|words| match words {
            [word] if word.eq_ignore_ascii_case(b"none") => Ok(()),
            _ => Err(named(words, NO_TELEMETRY)),
        }),
        ..refused("WSGITelemetryOptions", Context::Global, "What the telemetry service hears of")
    },
];

/// What the rows have in common.
const fn refused(name: &'static str, context: Context, help: &'static str) -> Directive {
    Directive {
        name,
        context,
        arguments: Arguments::any(""),
        default: "-",
        help,
        setter: Setter::Nothing(|_| Ok(())),
        notice: None,
    }
}

fn named(words: Words<'_>, cure: &'static str) -> ConfigError {
    match words.first() {
        Some(word) => ConfigError::not_yet(word, cure),
        None => ConfigError::NotYet { value: String::new(), cure },
    }
}

fn off_only(words: Words<'_>, cure: &'static str) -> Outcome {
    let word = words.first().copied().unwrap_or_default();
    match value::on_off(word) {
        Some(false) => Ok(()),
        Some(true) => Err(ConfigError::not_yet(word, cure)),
        None => Err(ConfigError::must_be(word, OFF_ON)),
    }
}
