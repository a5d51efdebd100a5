//! httpd's regular expressions, for `WSGIScriptAliasMatch`. Compiled with the configuration, used by all threads.

#![allow(unsafe_code, reason = "calls httpd's functions for regular expressions")]

use std::ffi::CStr;
use std::fmt;
use std::ptr::NonNull;

use oxwsgi_core::config::{Groups, Regex};

use crate::apache::ffi;
use crate::apache::pool::Pool;

/// A regular expression as httpd compiles them.
pub struct Expression {
    compiled: NonNull<ffi::ap_regex_t>,
}

// SAFETY: a compiled expression is only read; `ap_regexec` is called for one from all of httpd's threads.
unsafe impl Send for Expression {}
// SAFETY: as above.
unsafe impl Sync for Expression {}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expression").finish_non_exhaustive()
    }
}

impl Expression {
    /// Compiles `text`, in the configuration's own pool; `None` when it is no regular expression.
    pub fn compile(pool: Pool<'_>, text: &[u8]) -> Option<Box<dyn Regex>> {
        let text = pool.c_text(text);
        // SAFETY: the pool is alive, and the text is C text.
        let compiled = unsafe { ffi::ap_pregcomp(pool.as_raw(), text, ffi::AP_REG_EXTENDED) };
        Some(Box::new(Self { compiled: NonNull::new(compiled)? }))
    }
}

impl Regex for Expression {
    fn find(&self, path: &CStr) -> Option<Groups> {
        const COUNT: usize = ffi::AP_MAX_REG_MATCH as usize;
        let mut matches = [ffi::ap_regmatch_t { rm_so: -1, rm_eo: -1 }; COUNT];
        // SAFETY: compiled in the pool of the configuration that this expression is part of; the path is C text; the
        // array has room for as many matches as it says.
        let status =
            unsafe { ffi::ap_regexec(self.compiled.as_ptr(), path.as_ptr(), COUNT, matches.as_mut_ptr(), 0) };
        if status != 0 {
            return None;
        }
        let mut groups = Groups::default();
        for (group, found) in groups.iter_mut().zip(matches) {
            // -1 where a group took no part.
            *group =
                usize::try_from(found.rm_so).ok().zip(usize::try_from(found.rm_eo).ok()).map(|(s, e)| s..e);
        }
        Some(groups)
    }
}
