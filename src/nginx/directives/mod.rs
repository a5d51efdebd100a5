//! The directives: one row says all there is to say of one. nginx's command array is made from the rows.

#![allow(unsafe_code, reason = "nginx calls the setters with blocks by address")]

mod application;
mod cache;
mod commands;
mod daemon;
mod exchange;
mod line;
mod pass;
mod python;
mod value;

pub use commands::COMMANDS;

use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::ptr;

use oxwsgi_core::report::Level;

use crate::nginx::config::{LocationConfig, MainConfig};
use crate::nginx::record::Reading;
use crate::nginx::{ffi, text};
use line::{Line, Problem};

/// Where a directive may stand; nginx checks it.
type Contexts = ffi::ngx_uint_t;

const MAIN: Contexts = ffi::NGX_HTTP_MAIN_CONF;
const EVERYWHERE: Contexts = ffi::NGX_HTTP_MAIN_CONF | ffi::NGX_HTTP_SRV_CONF | ffi::NGX_HTTP_LOC_CONF;
/// Locations, `if` in them, and `limit_except`.
const LOCATIONS: Contexts = ffi::NGX_HTTP_LOC_CONF | ffi::NGX_HTTP_LIF_CONF | ffi::NGX_HTTP_LMT_CONF;

type Outcome = Result<(), Problem>;

/// A row.
struct Directive {
    /// As written.
    name: &'static CStr,
    contexts: Contexts,
    /// How many words follow the name, at least and at most.
    count: (usize, usize),
    /// What these words are, for messages.
    form: &'static str,
    setter: Setter,
}

/// What a directive does.
#[derive(Clone, Copy)]
enum Setter {
    /// Sets a field of the block of `http { }`.
    Main(fn(&mut MainConfig, &Line<'_>) -> Outcome),
    /// Sets a field of the block it stands in.
    Location(fn(&mut LocationConfig, &Line<'_>) -> Outcome),
    /// Sets a field of nginx's own, or in a way of its own.
    Native(Native),
    /// Is not accepted, for this reason.
    Refused(&'static str),
}

/// A setter of nginx's own.
#[derive(Clone, Copy)]
struct Native {
    setter: Function,
    /// Of the field in the block.
    offset: usize,
    /// What the setter looks into.
    post: *mut c_void,
}

/// What nginx calls for a directive.
type Function =
    unsafe extern "C" fn(*mut ffi::ngx_conf_t, *mut ffi::ngx_command_t, *mut c_void) -> *mut c_char;

/// What a reply or a failure can be, for directives that choose among them.
const CONDITIONS: &[(&str, ffi::ngx_uint_t)] = &[
    ("error", ffi::NGX_HTTP_UPSTREAM_FT_ERROR),
    ("timeout", ffi::NGX_HTTP_UPSTREAM_FT_TIMEOUT),
    ("invalid_header", ffi::NGX_HTTP_UPSTREAM_FT_INVALID_HEADER),
    ("non_idempotent", ffi::NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT),
    ("http_500", ffi::NGX_HTTP_UPSTREAM_FT_HTTP_500),
    ("http_502", ffi::NGX_HTTP_UPSTREAM_FT_HTTP_502),
    ("http_503", ffi::NGX_HTTP_UPSTREAM_FT_HTTP_503),
    ("http_504", ffi::NGX_HTTP_UPSTREAM_FT_HTTP_504),
    ("http_403", ffi::NGX_HTTP_UPSTREAM_FT_HTTP_403),
    ("http_404", ffi::NGX_HTTP_UPSTREAM_FT_HTTP_404),
    ("http_429", ffi::NGX_HTTP_UPSTREAM_FT_HTTP_429),
    ("updating", ffi::NGX_HTTP_UPSTREAM_FT_UPDATING),
    ("off", ffi::NGX_HTTP_UPSTREAM_FT_OFF),
];

impl fmt::Debug for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Directive").field(&self.name).finish()
    }
}

impl Directive {
    /// One for `http { }` alone.
    const fn main(
        name: &'static CStr,
        count: (usize, usize),
        form: &'static str,
        setter: fn(&mut MainConfig, &Line<'_>) -> Outcome,
    ) -> Self {
        Self { name, contexts: MAIN, count, form, setter: Setter::Main(setter) }
    }

    /// One for `http { }`, servers and locations.
    const fn location(
        name: &'static CStr,
        count: (usize, usize),
        form: &'static str,
        setter: fn(&mut LocationConfig, &Line<'_>) -> Outcome,
    ) -> Self {
        Self { name, contexts: EVERYWHERE, count, form, setter: Setter::Location(setter) }
    }
}

/// Called by nginx for each directive of ours that it reads.
unsafe extern "C" fn set(
    reading: *mut ffi::ngx_conf_t,
    command: *mut ffi::ngx_command_t,
    block: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx passes what it is reading, on its only thread.
    let reading = unsafe { Reading::from_raw(reading) };
    // SAFETY: nginx passes the row of `COMMANDS`, whose `post` is a row of ours, which lasts for ever.
    let directive = unsafe { &*(*command).post.cast::<Directive>() };
    let body = || {
        // SAFETY: as each row asks for by its kind, nginx passes the block that this module made for `http { }` or for the
        // level that the directive stands in, and nobody else refers to it meanwhile.
        match unsafe { apply(directive, reading, block) } {
            Ok(()) => ptr::null_mut(),
            Err(problem) => {
                if let Problem::Text(text) = problem {
                    let position = reading.position().unwrap_or_default();
                    let name = directive.name.to_string_lossy();
                    reading.log().write(Level::Emergency, format_args!("\"{name}\" {text} in {position}"));
                }
                FAILED
            }
        }
    };
    catch!(FAILED, body())
}

/// `NGX_CONF_ERROR`.
const FAILED: *mut c_char = ptr::without_provenance_mut(usize::MAX);

/// # Safety
/// `block` is a [`MainConfig`] or [`LocationConfig`], as the directive's setter wants it, that nobody else refers to.
unsafe fn apply(directive: &Directive, reading: Reading<'_>, block: *mut c_void) -> Outcome {
    let line = Line::new(reading);
    if let Setter::Refused(reason) = directive.setter {
        return Err(Problem::new(reason));
    }
    let (least, most) = directive.count;
    if !(least..=most).contains(&line.words().len()) {
        return Err(Problem::new(format!("takes {}", directive.form)));
    }
    match directive.setter {
        // SAFETY: the caller's word.
        Setter::Main(setter) => setter(unsafe { &mut *block.cast() }, &line),
        // SAFETY: the caller's word.
        Setter::Location(setter) => setter(unsafe { &mut *block.cast() }, &line),
        // SAFETY: the caller's word.
        Setter::Native(native) => unsafe { apply_native(directive, native, reading, block) },
        Setter::Refused(_) => Ok(()),
    }
}

/// # Safety
/// `block` is what the setter wants, and has a field of the type that it sets at its offset.
unsafe fn apply_native(
    directive: &Directive,
    native: Native,
    reading: Reading<'_>,
    block: *mut c_void,
) -> Outcome {
    let mut command = ffi::ngx_command_t {
        name: text::fixed(directive.name),
        type_: directive.contexts,
        set: Some(native.setter),
        conf: 0,
        offset: native.offset,
        post: native.post,
    };
    // SAFETY: what nginx is reading, a row as its setters want it, and the caller's block.
    let answer = unsafe { (native.setter)(reading.as_raw(), &raw mut command, block) };
    match answer {
        _ if answer.is_null() => Ok(()),
        // nginx has said what is wrong, and of which directive it leaves out.
        _ if answer == FAILED => Err(Problem::new(format!("takes {}", directive.form))),
        words => {
            // SAFETY: neither of the two other answers, so C text that lasts for ever.
            let words = unsafe { CStr::from_ptr(words) }.to_string_lossy();
            Err(Problem::new(format!("{words}; it takes {}", directive.form)))
        }
    }
}
