//! Where this module's file is: what belongs to it lies beside it.

#![allow(unsafe_code, reason = "asks the loader where this file came from")]

use std::ffi::{CStr, OsStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;

/// The folder of the file that this code was loaded from. A link among the server's modules is followed when `is_home`
/// does not find there what belongs beside the file.
pub fn own_folder(is_home: impl Fn(&Path) -> bool) -> PathBuf {
    let named = own_file();
    let folder = |file: &Path| file.parent().map(Path::to_owned).unwrap_or_default();
    let literal = folder(&named);
    match named.canonicalize() {
        Ok(real) if !is_home(&literal) => folder(&real),
        _ => literal,
    }
}

fn own_file() -> PathBuf {
    // SAFETY: plain pointers, and null is a value of each.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    let own_code: fn() -> PathBuf = own_file;
    // SAFETY: any address may be asked for; the answer goes to our own variable.
    let known = unsafe { libc::dladdr(own_code as *const c_void, ptr::from_mut(&mut found)) };
    if known == 0 || found.dli_fname.is_null() {
        return PathBuf::new();
    }
    // SAFETY: not null, so the loader's name for this file, which lasts as long as the file is loaded.
    let name = unsafe { CStr::from_ptr(found.dli_fname) };
    OsStr::from_bytes(name.to_bytes()).into()
}
