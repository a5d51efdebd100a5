//! The user that nginx has authenticated (`auth_basic`). nginx's own `$remote_user` is what the client says, whether anybody has
//! looked at the password or not; an application takes `REMOTE_USER` for the truth.

#![allow(unsafe_code, reason = "reads the settings of another module of nginx")]

use std::ptr;
use std::sync::LazyLock;

use crate::nginx::record::Request;
use crate::nginx::{ffi, text};

/// Settings of nginx's own module begin with the realm, in all its versions.
#[repr(C)]
struct Settings {
    realm: *mut ffi::ngx_http_complex_value_t,
}

/// The place of its settings; none when nginx was built without it.
static PLACE: LazyLock<Option<usize>> = LazyLock::new(|| {
    // SAFETY: looks a name up among what is loaded.
    let module = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"ngx_http_auth_basic_module".as_ptr()) };
    // SAFETY: null, or nginx's own record of that name; read by value once the configuration was read.
    unsafe { module.cast::<ffi::ngx_module_t>().as_ref() }.map(|module| module.ctx_index)
});

/// The user of a request, when its password was looked at and everything that was asked for held.
pub fn user(request: Request<'_>) -> Option<&[u8]> {
    let place = (*PLACE)?;
    // Nobody looks at a subrequest's password.
    // SAFETY: the main request lives as long as its subrequests.
    let main = unsafe { Request::from_raw((*request.as_raw()).main) };
    // SAFETY: every request has an element for each module, and this one's begins like this.
    let settings = unsafe { (*(*main.as_raw()).loc_conf.add(place)).cast::<Settings>().as_ref() }?;
    // SAFETY: the core module's own settings; read by value.
    let must_hold =
        unsafe { (*main.core_location()).satisfy } == ffi::NGX_HTTP_SATISFY_ALL as ffi::ngx_uint_t;
    // Otherwise the client may have got in without.
    if settings.realm.is_null() || settings.realm == ptr::without_provenance_mut(usize::MAX) || !must_hold {
        return None;
    }
    let mut realm = text::borrowed(b"");
    // SAFETY: the request is alive, and the value belongs to its configuration.
    let done = unsafe { ffi::ngx_http_complex_value(main.as_raw(), settings.realm, &raw mut realm) };
    // SAFETY: just made for the request, or text of its configuration.
    if done != ffi::NGX_OK || unsafe { text::bytes(realm) } == b"off" {
        return None;
    }
    // SAFETY: a text of the request.
    let user = unsafe { text::bytes((*main.as_raw()).headers_in.user) };
    (!user.is_empty()).then_some(user)
}
