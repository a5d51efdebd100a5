//! Who runs what: the user of httpd's own processes, and those of daemon groups. Known once the configuration is read,
//! whatever the order of its directives.

#![allow(unsafe_code, reason = "reads httpd's settings of its user")]

use std::ffi::CString;

use oxwsgi_core::config::DaemonGroup;
use oxwsgi_core::daemon;
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::os::Account;

use crate::apache::{ffi, record};

/// `User`, `Group` and `ChrootDir`.
fn configured() -> ffi::unixd_config_rec {
    // SAFETY: read by value, on the thread that reads the configuration.
    unsafe { ffi::ap_unixd_config }
}

/// The user and group of httpd's own processes.
pub fn server() -> (u32, u32) {
    if Account::may_change() {
        let unixd = configured();
        return (unixd.user_id, unixd.group_id);
    }
    // SAFETY: takes nothing and cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Who httpd's own processes become, when they may; what the configuration calls them; and the root of their file system.
pub fn of_server() -> Option<(Account, String, Option<CString>)> {
    if !Account::may_change() {
        return None;
    }
    let unixd = configured();
    // SAFETY: null, or C text of the configuration.
    let name = unsafe { record::bytes(unixd.user_name) }.unwrap_or_default();
    let account = match (name, CString::new(name)) {
        ([b'#', ..], _) | (_, Err(_)) => Account::of_uid(unixd.user_id, unixd.group_id),
        (_, Ok(name)) => Account::new(unixd.user_id, unixd.group_id, Some(&name)),
    };
    // SAFETY: as above.
    let root = unsafe { record::bytes(unixd.chroot_dir) }.and_then(|root| CString::new(root).ok());
    Some((account, String::from_utf8_lossy(name).into_owned(), root))
}

/// Who runs a daemon group; none where httpd may not become anybody else.
///
/// # Errors
/// It would be root.
pub fn of_group(group: &DaemonGroup) -> Result<Option<daemon::Account>, String> {
    let (user, server_group) = server();
    Account::may_change().then(|| daemon::Account::of(group, user, server_group, Dialect::Httpd)).transpose()
}
