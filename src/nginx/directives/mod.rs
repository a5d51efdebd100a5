//! The directives: one row says all there is to say of one. nginx's command array is made from the rows.

#![allow(unsafe_code, reason = "nginx calls the setters with blocks by address")]

mod commands;
mod line;
mod pass;

pub use commands::COMMANDS;

use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::ptr;

use oxwsgi_core::report::Level;

use crate::nginx::config::{LocationConfig, MainConfig};
use crate::nginx::ffi;
use crate::nginx::record::Reading;
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
    /// Is set by nginx itself.
    Native(Native),
    /// Is not accepted, for this reason.
    Refused(&'static str),
}

/// A setter of nginx's own.
#[derive(Clone, Copy)]
struct Native {
    setter: unsafe extern "C" fn(*mut ffi::ngx_conf_t, *mut ffi::ngx_command_t, *mut c_void) -> *mut c_char,
    /// Whether it is for the block of `http { }`, and not for that of a location.
    is_main: bool,
    /// Of the field in the block.
    offset: usize,
    /// What the setter looks into.
    post: *mut c_void,
}

// SAFETY: the pointer leads to a static of nginx's or of this module's, and is only passed on.
unsafe impl Sync for Native {}

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

/// No more than nginx itself reads.
const ANY: usize = usize::MAX;

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
        Setter::Native(_) | Setter::Refused(_) => Ok(()),
    }
}
