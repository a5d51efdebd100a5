//! From a URL to a script: the `translate_name` hook, for script aliases.
//!
//! httpd calls it on the thread of the request.

#![allow(unsafe_code, reason = "a hook that httpd calls")]

use std::ffi::{CStr, c_char, c_int};
use std::io::Write;
use std::ptr;

use oxwsgi_core::boundary::guard;
use oxwsgi_core::config::ScriptAlias;
use oxwsgi_core::report::Level;

use crate::apache::pool::Pool;
use crate::apache::record::{self, Request};
use crate::apache::{directives, ffi, log};

/// The handler names of WSGI scripts; script aliases set the first one.
pub const HANDLERS: [&CStr; 2] = [c"wsgi-script", c"application/x-httpd-wsgi"];

/// A note of the request: the alias's place in the server's list, and the path that it was for. A note goes with a
/// subrequest that takes its parent's place, as for `DirectoryIndex`; a module's own data does not.
const ALIAS_NOTE: &CStr = c"oxwsgi-script-alias";

/// Names of modules, ending with null, as httpd keeps them until it has sorted its hooks.
struct Modules<const N: usize>([*const c_char; N]);

// SAFETY: the pointers lead to literals, and nobody changes the array.
unsafe impl<const N: usize> Sync for Modules<N> {}

static BEFORE: Modules<2> = Modules([c"mod_alias.c".as_ptr(), ptr::null()]);
static AFTER: Modules<3> = Modules([c"mod_userdir.c".as_ptr(), c"mod_vhost_alias.c".as_ptr(), ptr::null()]);

/// Registers the hook: an `Alias` is looked at first, whatever the order in the configuration.
pub fn register_hooks() {
    let (before, after) = (BEFORE.0.as_ptr(), AFTER.0.as_ptr());
    // SAFETY: a function of the type that the hook calls; both lists are static and end with null.
    unsafe { ffi::ap_hook_translate_name(Some(translate), before, after, ffi::APR_HOOK_MIDDLE) }
}

/// The script alias that a request came by.
pub fn script_alias<'a>(request: Request<'a>) -> Option<&'a ScriptAlias> {
    // SAFETY: the handle's record is alive, and the field is read by value.
    let notes = unsafe { (*request.as_raw()).notes };
    // SAFETY: the request's own table, and C text.
    let note = unsafe { ffi::apr_table_get(notes, ALIAS_NOTE.as_ptr()) };
    // SAFETY: null, or C text that lasts as long as the request.
    let note = unsafe { record::bytes::<'a>(note) }?;
    let (place, path) = note.split_at(note.iter().position(|byte| *byte == b' ')?);
    // SAFETY: the handle's record is alive; the path is null, or C text that lasts as long as the request.
    let current = unsafe { record::bytes::<'a>((*request.as_raw()).uri) }?;
    // The parent's note stays when the subrequest came by no alias: it must not vouch for another file.
    if path.get(1..) != Some(current) {
        return None;
    }
    let place: usize = str::from_utf8(place).ok()?.parse().ok()?;
    directives::server(request.server()).script_aliases.get(place).map(|alias| &**alias)
}

unsafe extern "C" fn translate(r: *mut ffi::request_rec) -> c_int {
    // SAFETY: httpd passes the request of this thread, alive during the call.
    let request = unsafe { Request::from_raw(r) };
    guard(
        || translate_request(request),
        |panic| {
            log::request(request, Level::Error, format_args!("WSGI1104: mapping a URL failed: {panic}"));
            ffi::HTTP_INTERNAL_SERVER_ERROR
        },
    )
}

fn translate_request(request: Request<'_>) -> c_int {
    let aliases = &directives::server(request.server()).script_aliases;
    let r = request.as_raw();
    // SAFETY: the handle's record is alive, and the field is read by value.
    let uri = unsafe { (*r).uri };
    if aliases.is_empty() || uri.is_null() {
        return ffi::DECLINED;
    }
    // SAFETY: not null, so C text in the request's pool, which is not changed in place.
    let path = unsafe { CStr::from_ptr(uri) };
    // A path of neither form is another server's URL, or `*`.
    if !matches!(path.to_bytes(), [] | [b'/', ..]) {
        return ffi::DECLINED;
    }
    let found = aliases.iter().enumerate().find_map(|(place, alias)| Some((place, alias.map(path)?)));
    let Some((place, mapped)) = found else { return ffi::DECLINED };

    let pool = request.pool();
    let filename = joined(pool, &mapped.target, mapped.rest);
    // SAFETY: the handle's record is alive; the file's name is C text in the request's pool.
    unsafe { (*r).filename = filename };
    // SAFETY: as above; the handler's name is static.
    unsafe { (*r).handler = HANDLERS[0].as_ptr() };
    let mut text = [0; 24];
    let mut free = &mut text[..];
    // A place has 20 digits at most.
    let _ = write!(free, "{place} ");
    let unused = free.len();
    let note = joined(pool, &text[..text.len() - unused], path.to_bytes());
    // SAFETY: the field is read by value.
    let notes = unsafe { (*r).notes };
    // SAFETY: the request's own table; name and value last as long as the request.
    unsafe { ffi::apr_table_setn(notes, ALIAS_NOTE.as_ptr(), note) };
    ffi::OK
}

/// Both, one after the other, as C text.
fn joined(pool: Pool<'_>, first: &[u8], second: &[u8]) -> *mut c_char {
    let room = pool.room::<u8>(first.len() + second.len() + 1);
    for (slot, byte) in room.iter_mut().zip(first.iter().chain(second).chain(b"\0")) {
        slot.write(*byte);
    }
    room.as_mut_ptr().cast()
}
