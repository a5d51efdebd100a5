//! Settings of a server, a location, or an `if` in it; nginx makes one block for each, and merges them from outer to inner.

#![allow(unsafe_code, reason = "nginx keeps the blocks by address")]

use std::fmt;
use std::sync::Arc;

use oxwsgi_core::config::Script;
use oxwsgi_core::report::Level;

use super::application::{Application, Param};
use super::{MainConfig, Value, upstream};
use crate::nginx::record::{Reading, Request};
use crate::nginx::{ffi, text};

/// A name, and where it is written, for a message that can only be made later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: Box<[u8]>,
    /// `file:line`.
    pub position: String,
}

/// What `wsgi_pass` says.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The file or module.
    pub script: Script,
    /// Callable behind the last colon.
    pub callable: Option<Box<[u8]>>,
    /// `daemon=`.
    pub process_group: Option<Named>,
    /// `group=`.
    pub application_group: Option<Box<[u8]>>,
}

/// What is set at one level; `None` leaves it to the outer one.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `wsgi_callable`.
    pub callable: Option<Box<[u8]>>,
    /// `wsgi_factory`.
    pub factory: Option<bool>,
    /// `wsgi_script_name`.
    pub script_name: Option<Arc<[u8]>>,
    /// `wsgi_param`, all of a level; replaced whole.
    pub params: Option<Arc<[Param]>>,
    /// `wsgi_pass_authorization`.
    pub pass_authorization: Option<bool>,
    /// `wsgi_process_group`.
    pub process_group: Option<Named>,
    /// `wsgi_application_group`; empty is the main interpreter.
    pub application_group: Option<Box<[u8]>>,
    /// `wsgi_script_reloading`.
    pub script_reloading: Option<bool>,
    /// `wsgi_file_wrapper`.
    pub file_wrapper: Option<bool>,
    /// `wsgi_error_log_level`.
    pub error_log_level: Option<Level>,
}

/// The block of a server, a location, or an `if` in it.
pub struct LocationConfig {
    /// What answers; none where there is no `wsgi_pass`. Set by merging.
    pub application: Option<Application>,
    /// What nginx's upstream module reads.
    pub upstream: ffi::ngx_http_upstream_conf_t,
    /// `wsgi_cache_key`.
    pub cache_key: Option<Value>,
    /// `wsgi_pass` of this very level.
    pub pass: Option<Pass>,
    /// Directives of this level, and after merging of the outer ones.
    pub settings: Settings,
    /// `SCRIPT_NAME` where no directive says it: the location's own prefix. Set by merging.
    mount: Arc<[u8]>,
}

impl fmt::Debug for LocationConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocationConfig").field("application", &self.application).finish_non_exhaustive()
    }
}

impl LocationConfig {
    /// A block in which nothing is set, in the pool of the configuration; null when there is no memory.
    pub fn create(reading: Reading<'_>) -> *mut Self {
        let block = Self {
            application: None,
            upstream: upstream::create(),
            cache_key: None,
            pass: None,
            settings: Settings::default(),
            mount: Arc::default(),
        };
        reading.pool().place(block).map_or(std::ptr::null_mut(), std::ptr::from_mut)
    }

    /// The block behind a request.
    #[inline]
    pub fn of<'a>(request: Request<'a>) -> &'a Self {
        // SAFETY: what `create` made; nobody changes it while requests are served.
        unsafe { &*request.own_location().cast::<Self>() }
    }

    /// Fills what this level does not set from the outer one.
    ///
    /// # Errors
    /// What does not fit together, in words.
    pub fn merge(
        &mut self,
        outer: &mut Self,
        reading: Reading<'_>,
        main: &mut MainConfig,
    ) -> Result<(), String> {
        upstream::merge(reading, &mut outer.upstream, &mut self.upstream)?;
        self.cache_key = self.cache_key.or(outer.cache_key);
        self.settings.inherit(&outer.settings);
        let place = Place::of(reading);
        self.mount = place.mount.unwrap_or_else(|| Arc::clone(&outer.mount));
        match &self.pass {
            Some(pass) => self.application = Some(self.resolve(pass, main)?),
            // An `if` or `limit_except` is part of the location it stands in.
            None if place.is_part => {
                self.pass.clone_from(&outer.pass);
                self.application = match &self.pass {
                    Some(pass) => Some(self.resolve(pass, main)?),
                    None => None,
                };
                self.upstream.upstream = outer.upstream.upstream;
            }
            None => {}
        }
        Ok(())
    }

    /// What the `wsgi_pass` of this level means, all directives known.
    fn resolve(&self, pass: &Pass, main: &mut MainConfig) -> Result<Application, String> {
        let settings = &self.settings;
        let group = match pass.process_group.as_ref().or(settings.process_group.as_ref()) {
            None => main.implicit_group(),
            Some(wanted) if *wanted.name == *super::IMPLICIT.as_bytes() => main.implicit_group(),
            Some(wanted) => main.group_named(&wanted.name).ok_or_else(|| unknown(wanted, main))?,
        };
        let callable = pass.callable.as_ref().or(settings.callable.as_ref());
        let application_group = pass.application_group.as_ref().or(settings.application_group.as_ref());
        Ok(Application {
            script: pass.script.clone(),
            callable: callable.cloned().unwrap_or_else(|| Box::from(&b"application"[..])),
            is_factory: settings.factory.unwrap_or(false),
            application_group: application_group.cloned().unwrap_or_default(),
            group,
            mount: settings.script_name.clone().unwrap_or_else(|| Arc::clone(&self.mount)),
            params: settings.params.clone().unwrap_or_default(),
            pass_authorization: settings.pass_authorization.unwrap_or(false),
            script_reloading: settings.script_reloading.unwrap_or(true),
            file_wrapper: settings.file_wrapper.unwrap_or(true),
            error_log_level: settings.error_log_level.unwrap_or(Level::Error),
        })
    }
}

impl Settings {
    fn inherit(&mut self, outer: &Self) {
        fn pick<T: Clone>(own: &mut Option<T>, outer: &Option<T>) {
            if own.is_none() {
                own.clone_from(outer);
            }
        }
        pick(&mut self.params, &outer.params);
        pick(&mut self.callable, &outer.callable);
        pick(&mut self.factory, &outer.factory);
        pick(&mut self.script_name, &outer.script_name);
        pick(&mut self.pass_authorization, &outer.pass_authorization);
        pick(&mut self.process_group, &outer.process_group);
        pick(&mut self.application_group, &outer.application_group);
        pick(&mut self.script_reloading, &outer.script_reloading);
        pick(&mut self.file_wrapper, &outer.file_wrapper);
        pick(&mut self.error_log_level, &outer.error_log_level);
    }
}

fn unknown(wanted: &Named, main: &MainConfig) -> String {
    let name = String::from_utf8_lossy(&wanted.name);
    let known: Vec<_> =
        main.groups.iter().map(|group| format!("\"{}\"", String::from_utf8_lossy(group.name()))).collect();
    let known =
        if known.is_empty() { "there is none".to_owned() } else { format!("known: {}", known.join(", ")) };
    format!(
        "the process group \"{name}\" in {} is not defined: define it with \"wsgi_daemon_process {name};\" in the http block, \
         or name none ({known})",
        wanted.position
    )
}

/// Where a block stands.
struct Place {
    /// It is an `if` or a `limit_except`.
    is_part: bool,
    /// The prefix, without a slash at its end, of a location that has one; empty for a server and for locations that match
    /// otherwise. None for a part of a location.
    mount: Option<Arc<[u8]>>,
}

impl Place {
    fn of(reading: Reading<'_>) -> Self {
        // SAFETY: the core module's settings of the block that is being merged.
        let core = unsafe { &*reading.core_location() };
        if core.noname() != 0 {
            return Self { is_part: true, mount: None };
        }
        if core.named() != 0 || !core.regex.is_null() {
            return Self { is_part: false, mount: Some(Arc::default()) };
        }
        // SAFETY: a location's name lies in the pool of the configuration.
        let name = unsafe { text::bytes(core.name) };
        Self { is_part: false, mount: Some(name.strip_suffix(b"/").unwrap_or(name).into()) }
    }
}
