//! httpd's command array, made from the table while the module is compiled: httpd reads it before it calls anything
//! of the module.

use std::ffi::c_int;
use std::fmt;
use std::ptr;

use oxwsgi_core::config::directive::{Context, Directive, SECTIONS};

use crate::apache::directives::set;
use crate::apache::ffi;

const COUNT: usize = {
    let mut count = 0;
    let mut section = 0;
    while section < SECTIONS.len() {
        count += SECTIONS[section].directives.len();
        section += 1;
    }
    count
};

/// Room for any name or help text of the table and the NUL after it. A longer one does not compile.
const LONGEST: usize = 128;

static ROWS: [Directive; COUNT] = {
    let mut rows = [SECTIONS[0].directives[0]; COUNT];
    let (mut section, mut count) = (0, 0);
    while section < SECTIONS.len() {
        let directives = SECTIONS[section].directives;
        let mut row = 0;
        while row < directives.len() {
            rows[count] = directives[row];
            count += 1;
            row += 1;
        }
        section += 1;
    }
    rows
};

/// Name and help of each row, as C text.
static TEXTS: [[[u8; LONGEST]; 2]; COUNT] = {
    let mut texts = [[[0; LONGEST]; 2]; COUNT];
    let mut row = 0;
    while row < COUNT {
        texts[row] = [c_text(ROWS[row].name), c_text(ROWS[row].help)];
        row += 1;
    }
    texts
};

const fn c_text(text: &str) -> [u8; LONGEST] {
    let mut bytes = [0; LONGEST];
    let (head, _) = bytes.split_at_mut(text.len());
    head.copy_from_slice(text.as_bytes());
    assert!(text.len() < LONGEST, "no room for the NUL");
    bytes
}

/// The commands, and the empty one that ends them.
pub struct Commands([ffi::command_rec; COUNT + 1]);

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(ROWS.iter().map(|row| row.name)).finish()
    }
}

// SAFETY: the pointers lead to statics that nobody changes, and httpd only reads the array.
unsafe impl Sync for Commands {}

impl Commands {
    /// For the module's record.
    pub const fn as_raw(&self) -> *const ffi::command_rec {
        self.0.as_ptr()
    }
}

/// What the module's record points to.
pub static COMMANDS: Commands = {
    let mut commands = [LAST; COUNT + 1];
    let mut row = 0;
    while row < COUNT {
        commands[row] = ffi::command_rec {
            name: TEXTS[row][0].as_ptr().cast(),
            func: ffi::cmd_func { raw_args: Some(set) },
            cmd_data: ptr::from_ref(&ROWS[row]).cast_mut().cast(),
            req_override: flags(ROWS[row].context),
            args_how: ffi::RAW_ARGS,
            errmsg: TEXTS[row][1].as_ptr().cast(),
        };
        row += 1;
    }
    Commands(commands)
};

const LAST: ffi::command_rec = ffi::command_rec {
    name: ptr::null(),
    func: ffi::cmd_func { raw_args: None },
    cmd_data: ptr::null_mut(),
    req_override: 0,
    args_how: ffi::RAW_ARGS,
    errmsg: ptr::null(),
};

/// Where httpd lets a directive stand. That [`Context::Global`] means the main server alone is checked when the
/// directive is read, for httpd has no flag that says so.
const fn flags(context: Context) -> c_int {
    match context {
        Context::Global | Context::Server => ffi::RSRC_CONF,
        Context::Directory => ffi::ACCESS_CONF | ffi::RSRC_CONF,
        Context::FileInfo => ffi::OR_FILEINFO,
        Context::AuthConfig => ffi::OR_AUTHCFG,
    }
}
