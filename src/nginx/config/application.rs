//! What answers the requests of a location: every setting has a value.

use std::sync::Arc;

use oxwsgi_core::config::Script;
use oxwsgi_core::report::Level;

use super::Value;

/// The application behind a location with `wsgi_pass`.
#[derive(Clone, Debug)]
pub struct Application {
    /// The file or module.
    pub script: Script,
    /// Name of the callable in it; dots lead to attributes.
    pub callable: Box<[u8]>,
    /// The callable is called once, without arguments, and returns the application (`wsgi_factory`).
    pub is_factory: bool,
    /// Interpreter; empty is the main one (`wsgi_application_group`).
    pub application_group: Box<[u8]>,
    /// Which of [`super::MainConfig::groups`] it runs in.
    pub group: usize,
    /// The part of the path that becomes `SCRIPT_NAME`, decoded and without a slash at its end; empty at the root
    /// (`wsgi_script_name`, else the location's own prefix).
    pub mount: Arc<[u8]>,
    /// Variables added to the environ, in order (`wsgi_param`).
    pub params: Arc<[Param]>,
    /// Whether it sees the credentials (`wsgi_pass_authorization`).
    pub pass_authorization: bool,
    /// Whether a changed file is loaded anew (`wsgi_script_reloading`).
    pub script_reloading: bool,
    /// Whether its files are sent as files (`wsgi_file_wrapper`).
    pub file_wrapper: bool,
    /// Level of what it logs (`wsgi_error_log_level`).
    pub error_log_level: Level,
}

impl Application {
    /// `SCRIPT_NAME` and `PATH_INFO` of a decoded path. A mount ends where a part of the path does; a path that is not below
    /// it has all in `PATH_INFO`.
    pub fn split<'a>(&self, path: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        match path.strip_prefix(&*self.mount) {
            Some(rest) if rest.is_empty() || rest.starts_with(b"/") => path.split_at(self.mount.len()),
            _ => (b"", path),
        }
    }
}

/// A variable that `wsgi_param` adds.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its key.
    pub name: Box<[u8]>,
    /// Its value for a request.
    pub value: Value,
    /// Left out when the value is empty.
    pub if_not_empty: bool,
}
