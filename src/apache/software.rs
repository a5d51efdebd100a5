//! What httpd says of itself, for applications that ask.

#![allow(unsafe_code, reason = "asks httpd")]

use std::ptr;

use oxwsgi_core::daemon;
use oxwsgi_core::dialect::Dialect;

use crate::apache::{ffi, record};

/// Version, name and build of this httpd.
pub fn facts() -> daemon::Server {
    let mut version = ffi::ap_version_t { major: 0, minor: 0, patch: 0, add_string: ptr::null() };
    // SAFETY: writes to our own variable.
    unsafe { ffi::ap_get_server_revision(&raw mut version) };
    // SAFETY: takes nothing, gives C text.
    let (description, mpm_name, built) =
        unsafe { (ffi::ap_get_server_description(), ffi::ap_show_mpm(), ffi::ap_get_server_built()) };
    // SAFETY: C text that lasts as long as the configuration.
    let copy = |text| unsafe { record::bytes(text) }.unwrap_or_default().to_vec();
    daemon::Server {
        dialect: Dialect::Httpd,
        version: [version.major, version.minor, version.patch].map(|part| u32::try_from(part).unwrap_or(0)),
        description: copy(description),
        mpm_name: copy(mpm_name),
        built: copy(built),
    }
}
