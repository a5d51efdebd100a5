//! The content handler: may this request run, and if so, serve it. httpd calls it on the request's thread.

#![allow(unsafe_code, reason = "a hook that httpd calls")]

use std::borrow::Cow;
use std::ffi::c_int;
use std::ptr;

use oxwsgi_core::config::{DirectorySettings, RequestSettings, Route};
use oxwsgi_core::exchange::RemoteExchange;
use oxwsgi_core::report::{Level, Number};
use oxwsgi_core::request::BodyLength;

use crate::apache::exchange::BrigadeExchange;
use crate::apache::hosts::ServerHosts;
use crate::apache::proxied::ProxiedExchange;
use crate::apache::record::Request;
use crate::apache::{directives, ffi, lifecycle, log, request, translate};
use crate::daemon::client::GroupClient;
use crate::daemon::groups::{self, NoGroup};

/// Registers the hook.
pub fn register_hooks() {
    // SAFETY: a function of the type that the hook calls; there are no neighbours to name.
    unsafe { ffi::ap_hook_handler(Some(handle), ptr::null(), ptr::null(), ffi::APR_HOOK_MIDDLE) }
}

unsafe extern "C" fn handle(r: *mut ffi::request_rec) -> c_int {
    // SAFETY: httpd passes the request of this thread, alive during the call.
    let request = unsafe { Request::from_raw(r) };
    catch!(ffi::HTTP_INTERNAL_SERVER_ERROR, answer(request))
}

fn answer(request: Request<'_>) -> c_int {
    let Some(handler) = request.handler() else { return ffi::DECLINED };
    let settings = directives::directory(request);
    let Some(route) = route(request, handler, settings) else { return ffi::DECLINED };
    let settings = settings.resolve(route);
    match check(request, &settings).and_then(|body| serve(request, &settings, body)) {
        Ok(status) => status,
        Err(Refusal { status, number, text }) => {
            let file = String::from_utf8_lossy(request.filename().unwrap_or_default());
            log::request(request, Level::Error, format_args!("{number}: {text}: {file}"));
            status
        }
    }
}

/// How the request comes to this module; `None` when it does not.
#[inline]
fn route<'a>(request: Request<'a>, handler: &[u8], settings: &'a DirectorySettings) -> Option<Route<'a>> {
    if translate::HANDLERS.iter().any(|name| name.to_bytes() == handler) {
        return Some(translate::script_alias(request).map_or(Route::Handler, Route::Alias));
    }
    settings.handler_script(handler).map(Route::HandlerScript)
}

/// Why a request does not run.
struct Refusal {
    status: c_int,
    number: Number,
    text: Cow<'static, str>,
}

fn refusal(status: c_int, number: u16, text: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal { status, number: Number(number), text: text.into() }
}

/// The checks before a script runs, in the order that decides which answer a request gets that fails several. What it
/// finds out of the body is the answer.
fn check(request: Request<'_>, settings: &RequestSettings<'_>) -> Result<BodyLength, Refusal> {
    if settings.handler_script.is_none() {
        if !settings.script_aliased && !may_execute(request) {
            return Err(refusal(ffi::HTTP_FORBIDDEN, 134, "Options ExecCGI is off in this directory"));
        }
        match request.file_type() {
            ffi::APR_NOFILE => {
                const TEXT: &str = "Target WSGI script not found or unable to stat";
                return Err(refusal(ffi::HTTP_NOT_FOUND, 135, TEXT));
            }
            ffi::APR_DIR => {
                const TEXT: &str = "Attempt to invoke directory as WSGI application";
                return Err(refusal(ffi::HTTP_FORBIDDEN, 136, TEXT));
            }
            _ => {}
        }
    }
    if request.refuses_path_info() && request.path_info().is_some_and(|info| !info.is_empty()) {
        const TEXT: &str = "AcceptPathInfo is off and there is path info";
        return Err(refusal(ffi::HTTP_NOT_FOUND, 137, TEXT));
    }
    let body = body_length(request, settings)?;
    if let BodyLength::Bytes(length) = body {
        // SAFETY: the handle's record is alive.
        let limit = unsafe { ffi::ap_get_limit_req_body(request.as_raw()) };
        if u64::try_from(limit).is_ok_and(|limit| limit > 0 && length > limit) {
            const TEXT: &str = "Request body is larger than LimitRequestBody allows";
            return Err(refusal(ffi::HTTP_REQUEST_ENTITY_TOO_LARGE, 1101, TEXT));
        }
    }
    Ok(body)
}

fn may_execute(request: Request<'_>) -> bool {
    // SAFETY: the handle's record is alive.
    let options = unsafe { ffi::ap_allow_options(request.as_raw()) };
    options & ffi::OPT_EXECCGI != 0
}

#[inline]
fn body_length(request: Request<'_>, settings: &RequestSettings<'_>) -> Result<BodyLength, Refusal> {
    let headers = request.headers_in();
    if let Some(coding) = headers.get(c"Transfer-Encoding") {
        if !coding.eq_ignore_ascii_case(b"chunked") {
            return Err(refusal(ffi::HTTP_NOT_IMPLEMENTED, 138, "Unexpected value for Transfer-Encoding"));
        }
        if !settings.chunked_request {
            const TEXT: &str = "Chunked request body refused, for WSGIChunkedRequest is off";
            return Err(refusal(ffi::HTTP_LENGTH_REQUIRED, 139, TEXT));
        }
        return Ok(BodyLength::UntilEnd);
    }
    match headers.get(c"Content-Length") {
        Some(length) => {
            let is_number = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
            let number = str::from_utf8(length).ok().filter(|_| is_number).and_then(|text| text.parse().ok());
            match number.filter(|length| *length <= i64::MAX as u64) {
                Some(0) => Ok(BodyLength::None),
                Some(length) => Ok(BodyLength::Bytes(length)),
                None => Err(refusal(ffi::HTTP_BAD_REQUEST, 141, "Invalid Content-Length header value")),
            }
        }
        // HTTP/2 frames a body without saying anything about it in a header (RFC 9113 section 8.1).
        None if request.protocol_number() >= HTTP_2 => Ok(BodyLength::UntilEnd),
        None => Ok(BodyLength::None),
    }
}

/// As httpd numbers protocols.
const HTTP_2: c_int = 2000;

fn serve(request: Request<'_>, settings: &RequestSettings<'_>, body: BodyLength) -> Result<c_int, Refusal> {
    request::with_view(request, settings, body, |view| {
        let process_group = view.target.process_group.as_slice();
        if !settings.allows_process_group(process_group) {
            let name = String::from_utf8_lossy(process_group);
            let text = match &*name {
                "" => "WSGIRestrictProcess does not allow embedded mode (%{GLOBAL})".to_owned(),
                name => format!("WSGIRestrictProcess does not allow the process group '{name}'"),
            };
            return Err(refusal(ffi::HTTP_INTERNAL_SERVER_ERROR, 149, text));
        }
        if !process_group.is_empty() {
            let client = group(request, process_group)?;
            let mut exchange =
                ProxiedExchange::new(request, settings.enable_sendfile, settings.error_override);
            let outcome = client.serve(view, &mut exchange);
            return Ok(exchange.finish(outcome));
        }
        if directives::process(directives::main_server()).restrict_embedded() {
            const TEXT: &str = "Embedded mode is off (WSGIRestrictEmbedded On) and no process group is set";
            return Err(refusal(ffi::HTTP_INTERNAL_SERVER_ERROR, 143, TEXT));
        }
        let Some(runtime) = lifecycle::runtime() else {
            const TEXT: &str = "Python is not running in this process; see the log of its start";
            return Err(refusal(ffi::HTTP_INTERNAL_SERVER_ERROR, 210, TEXT));
        };
        let mut exchange = BrigadeExchange::new(request, settings.enable_sendfile);
        let outcome =
            lifecycle::while_serving(|| runtime.serve(view, &mut RemoteExchange::new(&mut exchange)));
        Ok(exchange.finish(outcome))
    })
}

/// The daemon group that a request names.
fn group(request: Request<'_>, name: &[u8]) -> Result<&'static GroupClient, Refusal> {
    let hosts = ServerHosts::new(directives::main_server(), request.server());
    groups::find(name, &hosts).map_err(|error| {
        let name = String::from_utf8_lossy(name);
        let (number, text) = match error {
            NoGroup::Unknown => (150, format!("No WSGI daemon process called '{name}' has been configured")),
            NoGroup::Foreign => (
                152,
                format!(
                    "Daemon process called '{name}' cannot be accessed by this WSGI application, for it belongs to a \
                     virtual host of another ServerName"
                ),
            ),
        };
        refusal(ffi::HTTP_INTERNAL_SERVER_ERROR, number, text)
    })
}
