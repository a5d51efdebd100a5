//! nginx's command array, made from the rows while the module is compiled: nginx reads it before it calls anything of the
//! module.

#![allow(unsafe_code, reason = "an array of pointers that nginx reads")]

use std::fmt;
use std::mem::offset_of;
use std::ptr;

use super::{Directive, MAIN, Setter, application, cache, daemon, exchange, pass, python, set};
use crate::nginx::{ffi, text};

/// All rows.
const SECTIONS: [&[Directive]; 6] = [
    pass::DIRECTIVES,
    application::DIRECTIVES,
    exchange::DIRECTIVES,
    cache::DIRECTIVES,
    daemon::DIRECTIVES,
    python::DIRECTIVES,
];

const COUNT: usize = {
    let mut count = 0;
    let mut section = 0;
    while section < SECTIONS.len() {
        count += SECTIONS[section].len();
        section += 1;
    }
    count
};

/// The commands, and the empty one that ends them.
pub struct Commands([ffi::ngx_command_t; COUNT + 1]);

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(SECTIONS.iter().copied().flatten()).finish()
    }
}

// SAFETY: the pointers lead to statics that nobody changes, and nginx only reads the array.
unsafe impl Sync for Commands {}

impl Commands {
    /// For the module's record.
    pub const fn as_raw(&self) -> *mut ffi::ngx_command_t {
        self.0.as_ptr().cast_mut()
    }
}

/// What the module's record points to.
pub static COMMANDS: Commands = {
    let mut commands = [LAST; COUNT + 1];
    let (mut section, mut place) = (0, 0);
    while section < SECTIONS.len() {
        let mut row = 0;
        while row < SECTIONS[section].len() {
            commands[place] = command(&SECTIONS[section][row]);
            place += 1;
            row += 1;
        }
        section += 1;
    }
    Commands(commands)
};

const LAST: ffi::ngx_command_t = ffi::ngx_command_t {
    name: text::borrowed(b""),
    type_: 0,
    set: None,
    conf: 0,
    offset: 0,
    post: ptr::null_mut(),
};

const fn command(row: &'static Directive) -> ffi::ngx_command_t {
    let is_main = match row.setter {
        Setter::Main(_) => true,
        Setter::Location(_) => false,
        Setter::Native(_) | Setter::Refused(_) => row.contexts == MAIN,
    };
    ffi::ngx_command_t {
        name: text::fixed(row.name),
        // How many words there may be is checked with better words than nginx has.
        type_: row.contexts | ffi::NGX_CONF_ANY,
        set: Some(set),
        conf: if is_main {
            offset_of!(ffi::ngx_http_conf_ctx_t, main_conf)
        } else {
            offset_of!(ffi::ngx_http_conf_ctx_t, loc_conf)
        },
        offset: 0,
        post: ptr::from_ref(row).cast_mut().cast(),
    }
}
