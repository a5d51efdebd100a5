//! Directives that change how one request is served.

use crate::config::directive::{Arguments, Context, Directive, Setter};
use crate::config::value;

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "WSGIPassAuthorization",
        context: Context::FileInfo,
        arguments: Arguments::one("On|Off"),
        default: "Off",
        help: "Whether the application sees the Authorization header",
        setter: Setter::Directory(|settings, words| value::flag(&mut settings.pass_authorization, words)),
        notice: None,
    },
    Directive {
        name: "WSGIScriptReloading",
        context: Context::FileInfo,
        arguments: Arguments::one("On|Off"),
        default: "On",
        help: "Whether a script that has changed is loaded anew",
        setter: Setter::Directory(|settings, words| value::flag(&mut settings.script_reloading, words)),
        notice: None,
    },
    Directive {
        name: "WSGIChunkedRequest",
        context: Context::FileInfo,
        arguments: Arguments::one("On|Off"),
        default: "Off",
        help: "Whether request bodies in chunks, without a Content-Length, are taken",
        setter: Setter::Directory(|settings, words| value::flag(&mut settings.chunked_request, words)),
        notice: None,
    },
    Directive {
        name: "WSGIMapHEADToGET",
        context: Context::FileInfo,
        arguments: Arguments::one("On|Off|Auto"),
        default: "Auto",
        help: "Whether the application sees GET for HEAD; Auto: when an output filter needs the body",
        setter: Setter::Directory(|settings, words| {
            value::map_head_to_get(&mut settings.map_head_to_get, words)
        }),
        notice: None,
    },
    Directive {
        name: "WSGIEnableSendfile",
        context: Context::FileInfo,
        arguments: Arguments::one("On|Off"),
        default: "Off",
        help: "Whether file wrappers may use the operating system's sendfile",
        setter: Setter::Directory(|settings, words| value::flag(&mut settings.enable_sendfile, words)),
        notice: None,
    },
    Directive {
        name: "WSGITrustedProxies",
        context: Context::FileInfo,
        arguments: Arguments::list("ip[/bits|/mask]..."),
        default: "every peer",
        help: "Proxies whose WSGITrustedProxyHeaders are believed",
        setter: Setter::Directory(|settings, words| value::networks(&mut settings.trusted_proxies, words)),
        notice: None,
    },
    Directive {
        name: "WSGITrustedProxyHeaders",
        context: Context::FileInfo,
        arguments: Arguments::list("header..."),
        default: "none",
        help: "Headers by which a proxy says what it was asked",
        setter: Setter::Directory(|settings, words| {
            value::proxy_headers(&mut settings.trusted_proxy_headers, words)
        }),
        notice: None,
    },
    Directive {
        name: "WSGIErrorOverride",
        context: Context::FileInfo,
        arguments: Arguments::one("On|Off"),
        default: "Off",
        help: "Whether ErrorDocument replaces the application's error replies; of daemon process groups only",
        setter: Setter::Directory(|settings, words| value::flag(&mut settings.error_override, words)),
        notice: None,
    },
    Directive {
        name: "WSGIIgnoreActivity",
        context: Context::FileInfo,
        arguments: Arguments::one("On|Off"),
        default: "Off",
        help: "Whether a request leaves the inactivity timer alone; in daemon process groups only",
        setter: Setter::Directory(|settings, words| value::flag(&mut settings.ignore_activity, words)),
        notice: None,
    },
];
