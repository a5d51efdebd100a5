//! The variables that a program of a site's starts with: what is the server's business, or the service manager's, is none of
//! its.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;

/// What an account other than the server's own may know of the server's environment.
const ALLOWED: [&str; 6] = ["PATH", "LANG", "LC_*", "TZ", "TMPDIR", "PYTHON*"];

/// What belongs to the server or to its service manager (`systemd.exec(5)`, `sd_notify(3)`, `sd_listen_fds(3)`), or says where a
/// Python is that is not the group's.
const WITHHELD: [&str; 20] = [
    "APACHE_*",
    "HTTPD*",
    "NGINX*",
    "NOTIFY_SOCKET",
    "LISTEN_*",
    "WATCHDOG_*",
    "MAINPID",
    "MANAGERPID*",
    "SYSTEMD_EXEC_PID",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "CREDENTIALS_DIRECTORY",
    "RUNTIME_DIRECTORY",
    "STATE_DIRECTORY",
    "CACHE_DIRECTORY",
    "LOGS_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "MEMORY_PRESSURE_*",
    "SUDO_*",
    "PYTHONHOME",
];

/// `NAME=value` of the variables `server` that a program may know, which a `foreign` account runs or the server's own; `more`
/// are set besides. What has a NUL is left out.
pub fn environment(
    server: impl IntoIterator<Item = (OsString, OsString)>,
    foreign: bool,
    more: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
) -> Vec<CString> {
    let server = server.into_iter().map(|(name, value)| (name.into_vec(), value.into_vec()));
    let mut variables: BTreeMap<_, _> = server.filter(|(name, _)| passes(name, foreign)).collect();
    variables.extend(more);
    variables
        .into_iter()
        .filter_map(|(name, value)| CString::new([name.as_slice(), b"=", value.as_slice()].concat()).ok())
        .collect()
}

fn passes(name: &[u8], foreign: bool) -> bool {
    let is_withheld = WITHHELD.iter().any(|pattern| matches(pattern, name));
    let is_allowed = || ALLOWED.iter().any(|pattern| matches(pattern, name));
    !is_withheld && (!foreign || is_allowed())
}

fn matches(pattern: &str, name: &[u8]) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start.as_bytes()),
        None => name == pattern.as_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_besides_comes_instead() {
        let server = [("PATH", "/bin"), ("LANG", "C"), ("SECRET", "1")];
        let server = server.map(|(name, value)| (name.into(), value.into()));
        let more = [("LANG", "de_DE"), ("HOME", "a\0")].map(|(name, value)| (name.into(), value.into()));
        let found = environment(server, true, more);
        assert_eq!(found, [c"LANG=de_DE".to_owned(), c"PATH=/bin".to_owned()]);
    }

    #[test]
    fn a_foreign_account_learns_little_of_the_server() {
        for name in ["PATH", "LANG", "LC_TIME", "TZ", "PYTHONDONTWRITEBYTECODE"] {
            assert!(passes(name.as_bytes(), true), "{name}");
        }
        for name in ["SECRET", "HOME", "USER", "PATHS", "NOTIFY_SOCKET", "PYTHONHOME", "LD_PRELOAD"] {
            assert!(!passes(name.as_bytes(), true), "{name}");
        }
    }

    #[test]
    fn the_own_account_gets_all_that_is_not_the_servers_business() {
        for name in ["SECRET", "HOME", "PATH", "DATABASE_URL"] {
            assert!(passes(name.as_bytes(), false), "{name}");
        }
        for name in
            ["APACHE_RUN_DIR", "NGINX", "LISTEN_FDS", "INVOCATION_ID", "PYTHONHOME", "CREDENTIALS_DIRECTORY"]
        {
            assert!(!passes(name.as_bytes(), false), "{name}");
        }
    }
}
