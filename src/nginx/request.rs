//! From nginx's request to the view of it that crosses to Python. Borrows what nginx has, and computes the rest in the
//! request's own memory.

#![allow(unsafe_code, reason = "asks nginx for what its records do not hold")]

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use oxwsgi_core::config::Script;
use oxwsgi_core::request::{
    Authorization, BodyLength, ExtraVariable, Field, RequestView, ScriptKind, Target, Variable, Variables,
};

use crate::nginx::config::{Application, LocationConfig};
use crate::nginx::pool::OutOfMemory;
use crate::nginx::record::Request;
use crate::nginx::{basic_auth, ffi, text};

/// Longest text of an address, `NGX_SOCKADDR_STRLEN`.
const LONGEST_ADDRESS: usize = 128;

/// What a request asks for, of the application in that group.
pub fn target<'a>(application: &'a Application, group: &'a [u8]) -> Target<'a> {
    let (script, script_kind) = match &application.script {
        Script::File(path) => (path, ScriptKind::File),
        Script::Module(name) => (name, ScriptKind::Module),
    };
    Target {
        process_group: group.into(),
        application_group: (&*application.application_group).into(),
        script: (&**script).into(),
        script_kind,
        callable: (&*application.callable).into(),
        factory: application.is_factory,
        resource: (&**script).into(),
        // The worker looks.
        script_mtime: -1,
        script_reloading: application.script_reloading,
        ignore_activity: false,
    }
}

/// Lends a view of the request to `serve`.
///
/// # Errors
/// There is no memory.
pub fn with_view<'r, R>(
    request: Request<'r>,
    application: &'r Application,
    group: &'r [u8],
    body: BodyLength,
    serve: impl FnOnce(&RequestView<'_>) -> R,
) -> Result<R, OutOfMemory> {
    let target = target(application, group);
    let mut variables = Variables::EMPTY;
    let is_head = set_request(&mut variables, request);
    set_connection(&mut variables, request)?;
    set_path(&mut variables, request, application);
    if target.script_kind == ScriptKind::File {
        variables.set(Variable::ScriptFilename, target.script.as_slice());
    }
    variables.set(Variable::ProcessGroup, group);
    variables.set(Variable::ApplicationGroup, target.application_group.as_slice());
    variables.set(Variable::CallableObject, target.callable.as_slice());
    // What they are under httpd, where nothing else is configured.
    variables.set(Variable::RequestHandler, &b"wsgi-script"[..]);
    variables.set(Variable::HandlerScript, &b""[..]);
    variables.set(Variable::RequestId, request.id());
    let https = request.is_encrypted();
    variables.set(Variable::RequestScheme, if https { &b"https"[..] } else { b"http" });
    let mut headers = headers(request, body)?;
    let mut extra = Vec::with_capacity(application.params.len());
    if https {
        extra.push(ExtraVariable { name: b"HTTPS"[..].into(), value: b"on"[..].into() });
    }
    take_underscores(request, &mut headers, &mut extra)?;
    for param in application.params.iter() {
        let value = param.value.evaluate(request)?;
        if !(param.if_not_empty && value.is_empty()) {
            replace(&param.name, value, &mut variables, &mut headers, &mut extra);
        }
    }
    let view = RequestView {
        variables,
        headers: headers.as_slice().into(),
        extra: extra.as_slice().into(),
        target,
        body,
        authorization: if application.pass_authorization {
            Authorization::Passed
        } else {
            Authorization::Hidden
        },
        https,
        head: is_head,
        content_filters: false,
        request_start: request.start(),
        queue_start: now(),
        daemon_start: 0,
    };
    Ok(serve(&view))
}

/// What the request line says; whether it asks for no body.
fn set_request<'r>(variables: &mut Variables<'r>, request: Request<'r>) -> bool {
    let r = request.as_raw();
    // SAFETY: the request is alive; its texts live as long.
    let (uri, arguments, protocol, name, method) = unsafe {
        (
            text::bytes((*r).unparsed_uri),
            text::bytes((*r).args),
            text::bytes((*r).http_protocol),
            text::bytes((*r).method_name),
            // Another one where nginx's cache asks for more than the client does (`wsgi_cache_convert_head`).
            text::bytes((*(*r).upstream).method),
        )
    };
    let method = if method.is_empty() { name } else { method };
    variables.set(Variable::RequestMethod, method);
    variables.set(Variable::RequestUri, uri);
    variables.set(Variable::QueryString, arguments);
    variables.set(Variable::ServerProtocol, protocol);
    variables.set(Variable::ServerSoftware, ffi::NGINX_VER.to_bytes());
    variables.set(Variable::DocumentRoot, request.document_root());
    method == b"HEAD"
}

fn set_connection<'r>(variables: &mut Variables<'r>, request: Request<'r>) -> Result<(), OutOfMemory> {
    let pool = request.pool();
    // SAFETY: the request is alive, and its connection lives longer.
    let connection = unsafe { &mut *(*request.as_raw()).connection };
    let mut room = pool.text(&[0; LONGEST_ADDRESS])?;
    // SAFETY: the connection is open, and the text has room for any address.
    let done = unsafe { ffi::ngx_connection_local_sockaddr(connection, &raw mut room, 0) };
    // SAFETY: just filled, in the request's memory.
    let address = if done == ffi::NGX_OK { unsafe { text::bytes(room) } } else { b"" };
    let port = |address: *mut ffi::sockaddr| {
        if address.is_null() {
            return 0;
        }
        // SAFETY: not null, so an address of the connection.
        unsafe { ffi::ngx_inet_get_port(address) }
    };
    let decimal = |number: u64| -> Result<&'r [u8], OutOfMemory> {
        let text = pool.text(number.to_string().as_bytes())?;
        // SAFETY: just made in the request's memory.
        Ok(unsafe { text::bytes(text) })
    };
    let own_port = decimal(port(connection.local_sockaddr).into())?;
    variables
        .set(Variable::ServerName, request.server_name().filter(|name| !name.is_empty()).unwrap_or(address));
    variables.set(Variable::ServerAddr, address);
    variables.set(Variable::ServerPort, own_port);
    variables.set(Variable::ListenerHost, address);
    variables.set(Variable::ListenerPort, own_port);
    if let Some(user) = basic_auth::user(request) {
        variables.set(Variable::RemoteUser, user);
        variables.set(Variable::AuthType, &b"Basic"[..]);
    }
    variables.set(Variable::RemoteAddr, request.client());
    variables.set(Variable::RemotePort, decimal(port(connection.sockaddr).into())?);
    variables.set(Variable::ConnectionId, decimal(connection.number)?);
    // SAFETY: set when the process begins; read by value.
    variables.set(Variable::ServerPid, decimal(unsafe { ffi::ngx_pid } as u64)?);
    Ok(())
}

/// `SCRIPT_NAME` and `PATH_INFO`: the path is split behind the mount point, when it begins with that.
fn set_path<'r>(variables: &mut Variables<'r>, request: Request<'r>, application: &Application) {
    let (script_name, path_info) = application.split(request.uri());
    variables.set(Variable::ScriptName, script_name);
    variables.set(Variable::PathInfo, path_info);
    variables.set(Variable::OriginalScriptName, script_name);
    variables.set(Variable::OriginalPathInfo, path_info);
}

/// Request headers; the runtime leaves out what no application may see. The length of a body is what nginx has read of it.
fn headers(request: Request<'_>, body: BodyLength) -> Result<Vec<Field<'_>>, OutOfMemory> {
    const CONDITIONS: [&[u8]; 6] =
        [b"if-modified-since", b"if-unmodified-since", b"if-none-match", b"if-match", b"range", b"if-range"];
    let r = request.as_raw();
    let settings = LocationConfig::of(request);
    let passes_all = settings.upstream.pass_request_headers != 0;
    // SAFETY: the request is alive, and so is its upstream; read by value.
    let (is_cacheable, comes_later) =
        unsafe { ((*(*r).upstream).cacheable() != 0, (*r).request_body_no_buffering() != 0) };
    let is = |name: &[u8], other: &[u8]| name.eq_ignore_ascii_case(other);
    let is_left_out = |name: &[u8]| {
        is(name, b"content-length")
            || (is(name, b"transfer-encoding") && !comes_later)
            // What nginx keeps must be the whole answer.
            || (is_cacheable && CONDITIONS.iter().any(|other| is(name, other)))
            || !(passes_all || is(name, b"content-type"))
    };
    let passed = request.headers().filter(|(_, field)| !is_left_out(&field.name));
    let mut fields = joined(request, passed)?;
    if let BodyLength::Bytes(length) = body {
        let length = request.pool().text(length.to_string().as_bytes())?;
        // SAFETY: just made in the request's memory.
        fields.push(Field::new(b"Content-Length", unsafe { text::bytes(length) }));
    }
    if is_cacheable {
        fields.extend(request.revalidation()?);
    }
    Ok(fields)
}

/// Sets a variable in place of what is there of the same key (`wsgi_param`). The gateway's own keys stay.
fn replace<'r>(
    name: &'r [u8],
    value: &'r [u8],
    variables: &mut Variables<'r>,
    headers: &mut Vec<Field<'r>>,
    extra: &mut Vec<ExtraVariable<'r>>,
) {
    let is_own = name.starts_with(b"mod_wsgi.");
    let known = Variable::ALL.iter().find(|variable| !is_own && variable.key().as_bytes() == name);
    if let Some(variable) = known {
        variables.set(*variable, value);
        return;
    }
    headers.retain(|field| !is_key_of(name, &field.name));
    extra.retain(|other| *other.name != *name);
    extra.push(ExtraVariable { name: name.into(), value: value.into() });
}

/// Whether an environ key is that of a header field (RFC 3875 section 4.1.18).
fn is_key_of(key: &[u8], name: &[u8]) -> bool {
    let key = match key {
        b"CONTENT_TYPE" | b"CONTENT_LENGTH" => key,
        _ => match key.strip_prefix(b"HTTP_") {
            Some(key) => key,
            None => return false,
        },
    };
    let upper = |byte: &u8| if *byte == b'-' { b'_' } else { byte.to_ascii_uppercase() };
    key.len() == name.len() && key.iter().eq(name.iter().map(upper).collect::<Vec<_>>().iter())
}

/// Header fields with an underscore in their names come from nginx only when it was told to let them in
/// (`underscores_in_headers`); elsewhere nobody can tell them from those with a hyphen, so they would be left out. A field
/// with a hyphen wins.
fn take_underscores<'r>(
    request: Request<'r>,
    headers: &mut Vec<Field<'r>>,
    extra: &mut Vec<ExtraVariable<'r>>,
) -> Result<(), OutOfMemory> {
    let has_underscore = |field: &Field<'_>| field.name.contains(&b'_');
    for field in headers.iter().filter(|field| has_underscore(field)) {
        let upper = field.name.to_ascii_uppercase();
        let key: Vec<u8> = upper.iter().map(|byte| if *byte == b'-' { b'_' } else { *byte }).collect();
        let key = request.pool().text(&[b"HTTP_", key.as_slice()].concat())?;
        // SAFETY: just made in the request's memory.
        let name = unsafe { text::bytes(key) };
        extra.push(ExtraVariable { name: name.into(), value: field.value.as_slice().into() });
    }
    headers.retain(|field| !has_underscore(field));
    Ok(())
}

/// Fields with nginx's hashes of their names, those of one name as one (RFC 9110 section 5.3; RFC 6265 section 5.4 for
/// cookies). A client may send very many, so that each is looked at once, and copied once.
fn joined<'r>(
    request: Request<'r>,
    all: impl Iterator<Item = (usize, Field<'r>)>,
) -> Result<Vec<Field<'r>>, OutOfMemory> {
    let mut fields: Vec<Field<'r>> = Vec::new();
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut values: BTreeMap<usize, Vec<&'r [u8]>> = BTreeMap::new();
    for (hash, field) in all {
        let place = *places.entry(hash).or_insert(fields.len());
        match fields.get(place) {
            Some(first) if first.name.eq_ignore_ascii_case(&field.name) => {
                values
                    .entry(place)
                    .or_insert_with(|| vec![first.value.as_slice()])
                    .push(field.value.as_slice());
            }
            // The first of its name, or another one with the same hash.
            _ => fields.push(field),
        }
    }
    for (place, values) in values {
        let field = &mut fields[place];
        let separator: &[u8] = if field.name.eq_ignore_ascii_case(b"cookie") { b"; " } else { b", " };
        let text = request.pool().text(&values.join(separator))?;
        // SAFETY: just made in the request's memory.
        field.value = unsafe { text::bytes(text) }.into();
    }
    Ok(fields)
}

/// In microseconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
