//! Where a server's error log goes, so that another process can write there.

use std::ffi::c_int;

use oxwsgi_core::daemon::LogTarget;

use crate::apache::log;
use crate::apache::record::Server;

/// The error log of a server, and the least severe level that it takes of this module.
pub fn of(server: Server<'_>) -> LogTarget {
    let level = log::server_level(server);
    match server.error_log() {
        Some(descriptor) => LogTarget::Descriptor(descriptor, level),
        None => match server.error_log_name().and_then(facility) {
            Some(facility) => LogTarget::Syslog(facility, level),
            // A log that only a module of httpd's can write: what else comes there is what goes to the standard error.
            None => LogTarget::Descriptor(libc::STDERR_FILENO, level),
        },
    }
}

/// Facilities of `syslog(3)`, as httpd knows them.
const FACILITIES: [(&str, c_int); 20] = [
    ("auth", libc::LOG_AUTH),
    ("authpriv", libc::LOG_AUTHPRIV),
    ("cron", libc::LOG_CRON),
    ("daemon", libc::LOG_DAEMON),
    ("ftp", libc::LOG_FTP),
    ("kern", libc::LOG_KERN),
    ("lpr", libc::LOG_LPR),
    ("mail", libc::LOG_MAIL),
    ("news", libc::LOG_NEWS),
    ("syslog", libc::LOG_SYSLOG),
    ("user", libc::LOG_USER),
    ("uucp", libc::LOG_UUCP),
    ("local0", libc::LOG_LOCAL0),
    ("local1", libc::LOG_LOCAL1),
    ("local2", libc::LOG_LOCAL2),
    ("local3", libc::LOG_LOCAL3),
    ("local4", libc::LOG_LOCAL4),
    ("local5", libc::LOG_LOCAL5),
    ("local6", libc::LOG_LOCAL6),
    ("local7", libc::LOG_LOCAL7),
];

/// The facility of `syslog[:facility[:tag]]`.
fn facility(error_log: &[u8]) -> Option<c_int> {
    let (kind, rest) = error_log.split_at_checked(b"syslog".len())?;
    if !kind.eq_ignore_ascii_case(b"syslog") {
        return None;
    }
    let name =
        rest.strip_prefix(b":").unwrap_or_default().split(|byte| *byte == b':').next().unwrap_or_default();
    let known = FACILITIES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
    Some(known.map_or(libc::LOG_LOCAL7, |(_, facility)| *facility))
}
