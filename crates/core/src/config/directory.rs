//! Settings of a directory, location or `.htaccess` file, and at the server's level of all requests. The server
//! merges them from outer to inner while it serves a request, so a clone allocates nothing.

use std::sync::Arc;

use crate::config::ScriptAlias;
use crate::config::options::ScriptOptions;
use crate::request::{Callable, CallableName, Expression, Name, Network, ProxyHeader, Trust};

/// `WSGIMapHEADToGET`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MapHeadToGet {
    /// The application sees HEAD.
    Off,
    /// The application sees GET.
    On,
    /// GET when an output filter needs the body, else HEAD.
    #[default]
    Auto,
}

/// A script behind a handler name (`WSGIHandlerScript`).
#[derive(Debug, PartialEq, Eq)]
pub struct HandlerScript {
    /// The handler's name, for `SetHandler` and its like.
    pub name: Box<[u8]>,
    /// Path of the script.
    pub script: Box<[u8]>,
    /// What it overrides.
    pub options: ScriptOptions,
}

/// What is set at one level; `None` leaves it to the outer one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DirectorySettings {
    /// `WSGIProcessGroup`.
    pub process_group: Option<Name>,
    /// `WSGIApplicationGroup`.
    pub application_group: Option<Name>,
    /// `WSGICallableObject`.
    pub callable_object: Option<CallableName>,
    /// `WSGIPassAuthorization`.
    pub pass_authorization: Option<bool>,
    /// `WSGIScriptReloading`.
    pub script_reloading: Option<bool>,
    /// `WSGIIgnoreActivity`.
    pub ignore_activity: Option<bool>,
    /// `WSGIErrorOverride`.
    pub error_override: Option<bool>,
    /// `WSGIChunkedRequest`.
    pub chunked_request: Option<bool>,
    /// `WSGIMapHEADToGET`.
    pub map_head_to_get: Option<MapHeadToGet>,
    /// `WSGIEnableSendfile`.
    pub enable_sendfile: Option<bool>,
    /// `WSGITrustedProxies`.
    pub trusted_proxies: Option<Arc<[Network]>>,
    /// `WSGITrustedProxyHeaders`, those that we know.
    pub trusted_proxy_headers: Option<Arc<[&'static ProxyHeader]>>,
    /// `WSGIRestrictProcess`: groups that requests may run in; the empty one is embedded mode.
    pub restrict_process: Option<Arc<[Box<[u8]>]>>,
    /// `WSGIHandlerScript`, one for each name.
    pub handler_scripts: Option<Arc<[Arc<HandlerScript>]>>,
}

impl DirectorySettings {
    /// The settings where `inner` lies in `outer`: what the inner one sets, else what the outer one does. Lists are
    /// replaced whole; only the handler scripts overlay by name.
    pub fn merged(outer: &Self, inner: &Self) -> Self {
        fn pick<T: Clone>(outer: &Option<T>, inner: &Option<T>) -> Option<T> {
            inner.as_ref().or(outer.as_ref()).cloned()
        }
        Self {
            process_group: pick(&outer.process_group, &inner.process_group),
            application_group: pick(&outer.application_group, &inner.application_group),
            callable_object: pick(&outer.callable_object, &inner.callable_object),
            pass_authorization: inner.pass_authorization.or(outer.pass_authorization),
            script_reloading: inner.script_reloading.or(outer.script_reloading),
            ignore_activity: inner.ignore_activity.or(outer.ignore_activity),
            error_override: inner.error_override.or(outer.error_override),
            chunked_request: inner.chunked_request.or(outer.chunked_request),
            map_head_to_get: inner.map_head_to_get.or(outer.map_head_to_get),
            enable_sendfile: inner.enable_sendfile.or(outer.enable_sendfile),
            trusted_proxies: pick(&outer.trusted_proxies, &inner.trusted_proxies),
            trusted_proxy_headers: pick(&outer.trusted_proxy_headers, &inner.trusted_proxy_headers),
            restrict_process: pick(&outer.restrict_process, &inner.restrict_process),
            handler_scripts: match (&outer.handler_scripts, &inner.handler_scripts) {
                (Some(outer), Some(inner)) => Some(overlaid(outer, inner)),
                (outer, inner) => pick(outer, inner),
            },
        }
    }

    /// Adds a handler script, in place of one of the same name.
    pub(super) fn add_handler_script(&mut self, script: HandlerScript) {
        let own = self.handler_scripts.take().unwrap_or_default();
        self.handler_scripts = Some(overlaid(&own, &[Arc::new(script)]));
    }

    /// The script behind a handler's name.
    #[inline]
    pub fn handler_script(&self, handler: &[u8]) -> Option<&HandlerScript> {
        let scripts = self.handler_scripts.as_deref()?;
        scripts.iter().find(|script| *script.name == *handler).map(|script| &**script)
    }

    /// What a request that came by `route` gets, defaults applied.
    #[inline]
    pub fn resolve<'a>(&'a self, route: Route<'a>) -> RequestSettings<'a> {
        let (options, alias, handler) = match route {
            Route::Handler => (None, None, None),
            Route::Alias(alias) => (Some(&alias.options), Some(alias), None),
            Route::HandlerScript(handler) => (Some(&handler.options), None, Some(handler)),
        };
        let process_group = options.and_then(|options| options.process_group.as_ref());
        let application_group = options.and_then(|options| options.application_group.as_ref());
        let callable_object = options.and_then(|options| options.callable_object.as_ref());
        RequestSettings {
            process_group: process_group
                .or(self.process_group.as_ref())
                .map_or(Expression::GLOBAL, Name::as_expression),
            application_group: application_group
                .or(self.application_group.as_ref())
                .map_or(Expression::RESOURCE, Name::as_expression),
            callable_object: match (handler, callable_object, &self.callable_object) {
                (Some(_), ..) => Callable::HANDLER,
                (_, Some(name), _) => name.as_literal(),
                (.., Some(name)) => name.as_callable(),
                (.., None) => Callable::DEFAULT,
            },
            pass_authorization: options
                .and_then(|options| options.pass_authorization)
                .or(self.pass_authorization)
                .unwrap_or(false),
            script_reloading: self.script_reloading.unwrap_or(true),
            ignore_activity: self.ignore_activity.unwrap_or(false),
            error_override: self.error_override.unwrap_or(false),
            chunked_request: self.chunked_request.unwrap_or(false),
            map_head_to_get: self.map_head_to_get.unwrap_or_default(),
            enable_sendfile: self.enable_sendfile.unwrap_or(false),
            trust: self
                .trusted_proxy_headers
                .as_deref()
                .filter(|headers| !headers.is_empty())
                .map(|headers| Trust { proxies: self.trusted_proxies.as_deref(), headers }),
            handler_script: handler,
            script_aliased: alias.is_some(),
            restrict_process: self.restrict_process.as_deref(),
        }
    }
}

fn overlaid(outer: &[Arc<HandlerScript>], inner: &[Arc<HandlerScript>]) -> Arc<[Arc<HandlerScript>]> {
    let is_hidden = |script: &&Arc<HandlerScript>| inner.iter().any(|other| other.name == script.name);
    outer.iter().filter(|script| !is_hidden(script)).chain(inner).cloned().collect()
}

/// How a request came to this module.
#[derive(Clone, Copy, Debug)]
pub enum Route<'a> {
    /// By a handler name alone (`SetHandler wsgi-script`): the requested file is the script.
    Handler,
    /// By a script alias.
    Alias(&'a ScriptAlias),
    /// By the name of a handler script.
    HandlerScript(&'a HandlerScript),
}

/// What a request gets: every setting has a value. Borrowed from the configuration, cheap to make.
#[derive(Clone, Copy, Debug)]
pub struct RequestSettings<'a> {
    /// Daemon group; expands to the empty name in embedded mode.
    pub process_group: Expression<'a>,
    /// Interpreter.
    pub application_group: Expression<'a>,
    /// Name in the script's globals.
    pub callable_object: Callable<'a>,
    /// Whether the application sees the credentials.
    pub pass_authorization: bool,
    /// Whether a changed script is loaded anew.
    pub script_reloading: bool,
    /// Whether the request leaves the inactivity timer of its daemon process alone.
    pub ignore_activity: bool,
    /// Whether the server's own error documents replace the error replies of a daemon group.
    pub error_override: bool,
    /// Whether a chunked request body is taken.
    pub chunked_request: bool,
    /// Whether HEAD is shown as GET.
    pub map_head_to_get: MapHeadToGet,
    /// Whether file wrappers may use `sendfile`.
    pub enable_sendfile: bool,
    /// Which forwarding headers to believe, when any.
    pub trust: Option<Trust<'a>>,
    /// The handler script that answers instead of the requested file.
    pub handler_script: Option<&'a HandlerScript>,
    /// The request came by a script alias, and needs no `Options ExecCGI`.
    pub script_aliased: bool,
    restrict_process: Option<&'a [Box<[u8]>]>,
}

impl RequestSettings<'_> {
    /// Whether the request may run in this (expanded) process group (`WSGIRestrictProcess`).
    #[inline]
    pub fn allows_process_group(&self, group: &[u8]) -> bool {
        self.restrict_process.is_none_or(|allowed| allowed.iter().any(|name| **name == *group))
    }
}

#[cfg(test)]
mod tests;
