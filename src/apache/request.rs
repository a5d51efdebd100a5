//! From httpd's record of a request to the view of it that crosses to Python. Borrows what httpd has and computes the
//! rest in the request's own memory. httpd's `ap_add_common_vars` is left out: it costs more than all of this.

#![allow(unsafe_code, reason = "asks httpd for what its records do not hold")]

use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use oxwsgi_core::config::{MapHeadToGet, RequestSettings};
use oxwsgi_core::request::path::{collapse_slashes, has_double_slash, request_target, script_name};
use oxwsgi_core::request::{
    Authorization, BodyLength, ExtraVariable, Field, NameSource, RequestView, ScriptKind, Target, Variable,
    Variables,
};

use crate::apache::pool::Pool;
use crate::apache::record::{self, Request};
use crate::apache::{directives, ffi};

/// The process id as text, found out once in a process.
static PROCESS_ID: OnceLock<String> = OnceLock::new();

thread_local! {
    /// For application groups that have to be put together; kept for the thread's life.
    static GROUP: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// To be called once in each process that serves requests.
pub fn note_process_id() {
    PROCESS_ID.get_or_init(|| std::process::id().to_string());
}

/// Lends a view of the request to `serve`.
pub fn with_view<R>(
    request: Request<'_>,
    settings: &RequestSettings<'_>,
    body: BodyLength,
    serve: impl FnOnce(&RequestView<'_>) -> R,
) -> R {
    let pool = request.pool();
    let mut variables = Variables::EMPTY;
    set_request(&mut variables, request, pool, settings);
    set_connection(&mut variables, request, pool);
    set_redirect(&mut variables, request);
    let script_name = set_path(&mut variables, request, pool);

    let source = Names { request, script_name };
    let mut process_group_buffer = Vec::new();
    let process_group = settings.process_group.expand(&source, &mut process_group_buffer);
    let mut application_group_buffer = GROUP.take();
    let application_group = settings.application_group.expand(&source, &mut application_group_buffer);
    let callable = settings.callable_object.expand(&source);
    let filename = request.filename().unwrap_or_default();
    let handler_script = settings.handler_script.map_or(&b""[..], |handler| &handler.script);
    variables.set(Variable::ProcessGroup, process_group);
    variables.set(Variable::ApplicationGroup, application_group);
    variables.set(Variable::CallableObject, callable);
    variables.set(Variable::HandlerScript, handler_script);
    let is_handler = settings.handler_script.is_some();
    let target = Target {
        process_group: process_group.into(),
        application_group: application_group.into(),
        script: if is_handler { handler_script } else { filename }.into(),
        script_kind: ScriptKind::File,
        callable: callable.into(),
        factory: false,
        resource: filename.into(),
        // httpd has looked at the file asked for, not at a handler's script.
        script_mtime: if is_handler { -1 } else { request.file_mtime() },
        script_reloading: settings.script_reloading,
        ignore_activity: settings.ignore_activity,
    };

    let (extra, mut https) = extra(request, pool);
    let headers = headers(request, pool);
    let mut view = RequestView {
        variables,
        headers: headers.into(),
        extra: extra.into(),
        target,
        body,
        authorization: authorization(request, settings),
        https: false,
        head: request.is_head(),
        content_filters: has_content_filters(request),
        files_as_data: false,
        request_start: request.time(),
        queue_start: 0,
        daemon_start: 0,
    };
    let result = match &settings.trust {
        None => {
            view.https = https;
            serve(&view)
        }
        Some(trust) => {
            let remote_addr = request.remote_addr().unwrap_or_default();
            let forwarded = trust.resolve(remote_addr, headers);
            let mut kept = headers.to_vec();
            forwarded.apply(&mut view.variables, &mut kept);
            // What a trusted proxy says of the scheme wins over what this server sees of it.
            https = forwarded.https.unwrap_or(https);
            serve(&RequestView { headers: (&*kept).into(), https, ..view })
        }
    };
    GROUP.set(application_group_buffer);
    result
}

fn set_request<'r>(
    variables: &mut Variables<'r>,
    request: Request<'r>,
    pool: Pool<'r>,
    settings: &RequestSettings<'_>,
) {
    let method = request.method().unwrap_or_default();
    let method = if request.is_head() && maps_head(request, settings) { b"GET" } else { method };
    variables.set(Variable::RequestMethod, method);
    variables.set(Variable::RequestUri, request_uri(request));
    variables.set(Variable::QueryString, request.args().unwrap_or_default());
    variables.set(Variable::ServerProtocol, request.protocol());
    variables.set(Variable::RequestHandler, request.handler());
    variables.set(Variable::ScriptFilename, request.filename());
    variables.set(Variable::RemoteUser, request.user());
    variables.set(Variable::AuthType, request.auth_type());
    variables.set(Variable::ServerAdmin, request.server().admin());
    let r = request.as_raw();
    // SAFETY: the handle's record is alive.
    let server_name = unsafe { text(ffi::ap_get_server_name_for_url(r)) };
    variables.set(Variable::ServerName, server_name.map(|name| escaped(name, pool)));
    // SAFETY: as above.
    let port = unsafe { ffi::ap_get_server_port(r) };
    variables.set(Variable::ServerPort, decimal(pool, port));
    // SAFETY: takes nothing; the text lasts as long as the configuration.
    variables.set(Variable::ServerSoftware, unsafe { text(ffi::ap_get_server_banner()) });
    // SAFETY: as above.
    variables.set(Variable::DocumentRoot, unsafe { text(ffi::ap_document_root(r)) });
    // SAFETY: as above.
    variables.set(Variable::ContextPrefix, unsafe { text(ffi::ap_context_prefix(r)) });
    // SAFETY: as above.
    variables.set(Variable::ContextDocumentRoot, unsafe { text(ffi::ap_context_document_root(r)) });
    // SAFETY: as above.
    variables.set(Variable::RequestScheme, unsafe { text(ffi::ap_run_http_scheme(r)) });
    variables.set(Variable::RequestId, request_id(request));
    variables.set(Variable::ServerPid, PROCESS_ID.get().map(String::as_bytes));
}

fn set_connection<'r>(variables: &mut Variables<'r>, request: Request<'r>, pool: Pool<'r>) {
    let connection = request.connection();
    let local_addr = connection.local_addr();
    variables.set(Variable::RemoteAddr, request.remote_addr());
    variables.set(Variable::RemotePort, decimal(pool, connection.remote_port()));
    variables.set(Variable::ServerAddr, local_addr);
    variables.set(Variable::ListenerHost, local_addr);
    variables.set(Variable::ListenerPort, decimal(pool, connection.local_port()));
    variables.set(Variable::ConnectionId, connection.log_id());
}

fn set_redirect<'r>(variables: &mut Variables<'r>, request: Request<'r>) {
    let Some(previous) = request.previous() else { return };
    let url = if qualifies_redirect_url(request) {
        let uri = previous.uri().unwrap_or_default().as_ptr().cast();
        // SAFETY: C text of the previous record, whose bytes start where the text does; the answer is in this one's pool.
        unsafe { text(ffi::ap_construct_url(request.pool().as_raw(), uri, previous.as_raw())) }
    } else {
        previous.uri()
    };
    variables.set(Variable::RedirectUrl, url);
    variables.set(Variable::RedirectQueryString, previous.args());
    if request.user().is_none() {
        variables.set(Variable::RedirectRemoteUser, previous.user());
    }
}

/// Sets both halves of the path; the answer is the first.
fn set_path<'r>(variables: &mut Variables<'r>, request: Request<'r>, pool: Pool<'r>) -> &'r [u8] {
    let uri = request.uri().unwrap_or_default();
    let path_info = request.path_info().unwrap_or_default();
    let script_name = collapsed(script_name(uri, path_info), pool);
    let path_info = collapsed(path_info, pool);
    variables.set(Variable::ScriptName, script_name);
    variables.set(Variable::PathInfo, path_info);
    // What they were before a trusted proxy had its say.
    variables.set(Variable::OriginalScriptName, script_name);
    variables.set(Variable::OriginalPathInfo, path_info);
    script_name
}

/// Request headers; the runtime leaves out what no application may see.
fn headers<'r>(request: Request<'r>, pool: Pool<'r>) -> &'r [Field<'r>] {
    let entries = request.headers_in().entries();
    let room = pool.room(entries.len());
    for (slot, (name, value)) in room.iter_mut().zip(entries) {
        slot.write(Field::new(name, value.unwrap_or_default()));
    }
    // SAFETY: as many were written as there are.
    unsafe { written(room) }
}

/// Variables of configuration and other modules, and whether they say that the request came by https: `HTTPS` is for
/// the server side, and an application sees `wsgi.url_scheme`.
fn extra<'r>(request: Request<'r>, pool: Pool<'r>) -> (&'r [ExtraVariable<'r>], bool) {
    let entries = request.environment().entries();
    let room = pool.room(entries.len());
    let mut count = 0;
    let mut https = false;
    for (name, value) in entries {
        if name == b"HTTPS" {
            https = value.is_some_and(|value| value == b"1" || value.eq_ignore_ascii_case(b"on"));
        } else {
            room[count].write(ExtraVariable { name: name.into(), value: value.into() });
            count += 1;
        }
    }
    // SAFETY: `count` were written.
    (unsafe { written(&mut room[..count]) }, https)
}

/// # Safety
/// All of `room` is written.
unsafe fn written<T>(room: &mut [MaybeUninit<T>]) -> &[T] {
    // SAFETY: the caller's word; the layout is the same.
    unsafe { std::slice::from_raw_parts(room.as_ptr().cast(), room.len()) }
}

fn authorization(request: Request<'_>, settings: &RequestSettings<'_>) -> Authorization {
    // SAFETY: the handle's record is alive; httpd's core has settings in every vector.
    let core = unsafe { ffi::shim_core_dir_config((*request.as_raw()).per_dir_config) };
    // SAFETY: as above; read by value.
    if unsafe { (*core).cgi_pass_auth() } == ffi::AP_CGI_PASS_AUTH_ON as u32 {
        Authorization::AllPassed
    } else if settings.pass_authorization {
        Authorization::Passed
    } else {
        Authorization::Hidden
    }
}

/// Whether HEAD is shown as GET.
fn maps_head(request: Request<'_>, settings: &RequestSettings<'_>) -> bool {
    match settings.map_head_to_get {
        MapHeadToGet::Off => false,
        MapHeadToGet::On => true,
        // They need the body they work on.
        MapHeadToGet::Auto => has_content_filters(request),
    }
}

/// Whether a filter works on the reply's content (mod_deflate, mod_include): such filters come first.
pub fn has_content_filters(request: Request<'_>) -> bool {
    // SAFETY: the handle's record is alive, and so are its filters and their records, none of which is null.
    let first = unsafe { (*(*(*request.as_raw()).output_filters).frec).ftype };
    first < ffi::AP_FTYPE_PROTOCOL
}

/// `REQUEST_URI`: what the client sent, or what became of it (`CGIVar REQUEST_URI current-uri`).
fn request_uri(request: Request<'_>) -> &[u8] {
    const RULE: &CStr = c"REQUEST_URI";
    // SAFETY: the handle's record is alive; httpd's core has settings in every vector.
    let core = unsafe { ffi::shim_core_dir_config((*request.as_raw()).per_dir_config) };
    // SAFETY: as above; read by value.
    let rules = unsafe { (*core).cgi_var_rules };
    if !rules.is_null() {
        // SAFETY: the configuration's own table; a key of a given length.
        let rule = unsafe { ffi::apr_hash_get(rules, RULE.as_ptr().cast(), RULE.count_bytes() as _) };
        // SAFETY: null, or C text of the configuration.
        if unsafe { text(rule.cast()) } == Some(b"current-uri") {
            return request.uri().unwrap_or_default();
        }
    }
    request_target(request.line().unwrap_or_default())
}

fn qualifies_redirect_url(request: Request<'_>) -> bool {
    // SAFETY: the handle's record is alive; httpd's core has settings in every vector.
    let core = unsafe { ffi::shim_core_dir_config((*request.as_raw()).per_dir_config) };
    // SAFETY: as above; read by value.
    unsafe { (*core).qualify_redirect_url() == ffi::AP_CORE_CONFIG_ON as u32 }
}

/// The id of the request in the logs; httpd makes one when it is asked for.
fn request_id(request: Request<'_>) -> Option<&[u8]> {
    let r = request.as_raw();
    // SAFETY: the handle's record is alive; read by value.
    if unsafe { (*r).log_id }.is_null() {
        // SAFETY: as above; the answer goes where httpd itself would put it.
        unsafe { ffi::ap_run_generate_log_id((*r).connection, r, &raw mut (*r).log_id) };
    }
    // SAFETY: null, or C text in the request's pool.
    unsafe { text((*r).log_id) }
}

/// # Safety
/// As [`record::bytes`].
unsafe fn text<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the caller's word.
    unsafe { record::bytes(text) }
}

/// `SERVER_NAME` may come from the client, and applications put it into pages.
fn escaped<'r>(name: &'r [u8], pool: Pool<'r>) -> &'r [u8] {
    if !name.iter().any(|byte| matches!(byte, b'<' | b'>' | b'&' | b'"')) {
        return name;
    }
    let copy = pool.c_text(name);
    // SAFETY: the pool is alive, C text; the answer is in the same pool.
    unsafe { text(ffi::ap_escape_html2(pool.as_raw(), copy, 0)) }.unwrap_or_default()
}

fn collapsed<'r>(path: &'r [u8], pool: Pool<'r>) -> &'r [u8] {
    if !has_double_slash(path) {
        return path;
    }
    let room = pool.room(path.len());
    room.fill(MaybeUninit::new(0));
    // SAFETY: just filled; nobody else has this memory.
    let room = unsafe { std::slice::from_raw_parts_mut(room.as_mut_ptr().cast::<u8>(), room.len()) };
    let length = collapse_slashes(path, room);
    &room[..length]
}

/// A number as text.
fn decimal(pool: Pool<'_>, number: u16) -> &[u8] {
    let room = pool.room::<u8>(5);
    let mut rest = number;
    let mut start = room.len();
    loop {
        start -= 1;
        room[start].write(b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    // SAFETY: all from `start` on were written.
    unsafe { written(&mut room[start..]) }
}

/// What names of groups are put together from.
struct Names<'r> {
    request: Request<'r>,
    script_name: &'r [u8],
}

impl NameSource for Names<'_> {
    fn server_name(&self) -> &[u8] {
        self.request.server().hostname().unwrap_or_default()
    }

    fn port(&self) -> u16 {
        // SAFETY: the handle's record is alive.
        unsafe { ffi::ap_get_server_port(self.request.as_raw()) }
    }

    fn host(&self) -> Option<&[u8]> {
        self.request.hostname()
    }

    fn script_name(&self) -> &[u8] {
        self.script_name
    }

    fn case_sensitivity(&self) -> bool {
        directives::process(directives::main_server()).case_sensitivity()
    }

    fn environment(&self, name: &[u8]) -> Option<&[u8]> {
        let name = self.request.pool().c_text(name);
        // SAFETY: C text, just made.
        let name = unsafe { CStr::from_ptr(name) };
        self.request.notes().get(name).or_else(|| self.request.environment().get(name)).or_else(|| {
            // SAFETY: C text. The process's environment is not changed while requests are served by httpd; an application
            // that changes `os.environ` does so through Python, which the reference module has lived with as well.
            unsafe { text(libc::getenv(name.as_ptr())) }
        })
    }
}
