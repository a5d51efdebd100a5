//! Settings of a server, a location, or an `if` in it; nginx makes one block for each, and merges them from outer to inner.

#![allow(unsafe_code, reason = "nginx keeps the blocks by address")]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use oxwsgi_core::config::Script;
use oxwsgi_core::report::Level;

use super::application::{Application, Param};
use super::named::Named;
use super::{MainConfig, Value, three_way, upstream};
use crate::nginx::record::{Reading, Request};
use crate::nginx::{ffi, text};

/// How long nginx waits for a process, where nothing says so, in milliseconds.
const TIMEOUT: ffi::ngx_msec_t = 60_000;

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
    /// `wsgi_connect_timeout`, in milliseconds; without it `connect_timeout=` of the group.
    pub connect_timeout: Option<ffi::ngx_msec_t>,
    /// `wsgi_send_timeout`; without it `socket_timeout=` of the group.
    pub send_timeout: Option<ffi::ngx_msec_t>,
    /// `wsgi_read_timeout`; without it `socket_timeout=` of the group.
    pub read_timeout: Option<ffi::ngx_msec_t>,
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
    /// The content handler that came with it.
    pub handler: ffi::ngx_http_handler_pt,
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
            handler: None,
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

    /// Whether nginx may make copies of replies (`wsgi_cache`, `wsgi_store`).
    pub fn keeps_replies(&self) -> bool {
        three_way(self.upstream.cache()) > 0 || three_way(self.upstream.store()) > 0
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
        upstream::merge(reading, &mut outer.upstream, &mut self.upstream)
            .map_err(|error| format!("{error} ({})", place(reading)))?;
        self.cache_key = self.cache_key.or(outer.cache_key);
        self.settings.inherit(&outer.settings);
        let place = Place::of(reading);
        self.mount = place.mount.clone().unwrap_or_else(|| Arc::clone(&outer.mount));
        // An `if` or `limit_except` is part of the location it stands in.
        if self.pass.is_none() && place.is_part {
            self.pass.clone_from(&outer.pass);
            self.handler = outer.handler;
            self.upstream.upstream = outer.upstream.upstream;
            place.set_handler(self.handler);
        }
        self.application = self.pass.as_ref().map(|pass| self.resolve(pass, main)).transpose()?;
        if let Some(application) = &self.application {
            let group = &main.groups[application.group].settings;
            let milliseconds = |time: Duration| time.as_millis() as ffi::ngx_msec_t;
            let socket = group.limits.socket.map_or(TIMEOUT, milliseconds);
            let (settings, upstream) = (&self.settings, &mut self.upstream);
            upstream.connect_timeout =
                settings.connect_timeout.unwrap_or(milliseconds(group.connect_timeout));
            upstream.send_timeout = settings.send_timeout.unwrap_or(socket);
            upstream.read_timeout = settings.read_timeout.unwrap_or(socket);
        }
        Ok(())
    }

    /// What the `wsgi_pass` of this level means, all directives known.
    fn resolve(&self, pass: &Pass, main: &mut MainConfig) -> Result<Application, String> {
        let settings = &self.settings;
        let group = match pass.process_group.as_ref().or(settings.process_group.as_ref()) {
            None => main.implicit_group(),
            Some(wanted) => main.group_wanted(wanted)?,
        };
        let known = &main.groups[group];
        if matches!(pass.script, Script::Module(_)) && known.settings.script_owner.is_some() {
            return Err(format!(
                "\"wsgi_pass\" names the module {}, and the process group \"{}\" needs the path of a script file, whose owner it \
                 looks at (script_user, script_group): name a file, or another group",
                String::from_utf8_lossy(pass.script.name()),
                String::from_utf8_lossy(known.name()),
            ));
        }
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
        pick(&mut self.connect_timeout, &outer.connect_timeout);
        pick(&mut self.send_timeout, &outer.send_timeout);
        pick(&mut self.read_timeout, &outer.read_timeout);
    }
}

/// What a message calls the block that is being merged.
fn place(reading: Reading<'_>) -> String {
    // SAFETY: the core module's settings of the block that is being merged; read by value.
    let name = unsafe { (*reading.core_location()).name };
    // SAFETY: a location's name lies in the pool of the configuration.
    match unsafe { text::bytes(name) } {
        b"" => "in a server block, or in a part of a location".to_owned(),
        name => format!("in location {}", String::from_utf8_lossy(name)),
    }
}

/// Where a block stands.
struct Place {
    /// It is an `if` or a `limit_except`.
    is_part: bool,
    /// The prefix, without a slash at its end, of a location that has one; empty for a server and for locations that match
    /// otherwise. None for a part of a location.
    mount: Option<Arc<[u8]>>,
    core: *mut ffi::ngx_http_core_loc_conf_t,
}

impl Place {
    fn of(reading: Reading<'_>) -> Self {
        let place = reading.core_location();
        // SAFETY: the core module's settings of the block that is being merged, which nobody changes meanwhile.
        let core = unsafe { &*place };
        // SAFETY: a location's name lies in the pool of the configuration.
        let name = unsafe { text::bytes(core.name) };
        let is_part = core.noname() != 0;
        let mount = match () {
            () if is_part => None,
            () if core.named() != 0 || !core.regex.is_null() => Some(Arc::default()),
            () => Some(name.strip_suffix(b"/").unwrap_or(name).into()),
        };
        Self { is_part, mount, core: place }
    }

    /// A `limit_except` needs a handler of its own; an `if` goes on with that of its location.
    fn set_handler(&self, handler: ffi::ngx_http_handler_pt) {
        // SAFETY: the core module's settings of the block that is being merged; read by value.
        let (is_limit, known) = unsafe { ((*self.core).lmt_excpt() != 0, (*self.core).handler) };
        if is_limit && known.is_none() {
            // SAFETY: as above, and nobody else refers to them meanwhile.
            unsafe { (*self.core).handler = handler };
        }
    }
}
