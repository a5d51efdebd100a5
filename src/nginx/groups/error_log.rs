//! Where a configuration's error logs go, so that another process can write there.

#![allow(unsafe_code, reason = "reads nginx's records of its logs")]

use std::ffi::CStr;
use std::net::SocketAddr;

use oxwsgi_core::daemon::{LogTarget, NginxLog, NginxPlace, SyslogAddress, SyslogServer};
use oxwsgi_core::report::Level;

use super::core_settings::CoreSettings;
use crate::nginx::record::Cycle;
use crate::nginx::{ffi, text};

/// The main error logs of a cycle, once its files are open.
pub fn of(cycle: Cycle<'_>) -> LogTarget {
    let mut logs = Vec::new();
    let mut next = cycle.log().as_raw().cast_const();
    while !next.is_null() {
        // SAFETY: a link of the cycle's chain of logs, which lives as long as the cycle; copied.
        let log = unsafe { *next };
        if let Some(place) = place(cycle, &log) {
            logs.push(NginxLog { level: level(log.log_level), place });
        }
        next = log.next;
    }
    LogTarget::Nginx(logs)
}

/// Where a log writes; none when only this process could (`error_log memory:`).
fn place(cycle: Cycle<'_>, log: &ffi::ngx_log_t) -> Option<NginxPlace> {
    if let Some(writer) = log.writer {
        let is_syslog = writer as usize == ffi::ngx_syslog_writer as *const () as usize;
        return if is_syslog { syslog(cycle, log) } else { None };
    }
    if log.file.is_null() {
        return None;
    }
    // SAFETY: not null, so the record of a file of the configuration's; copied.
    let file = unsafe { *log.file };
    // SAFETY: its name lies in the pool of the configuration.
    let name = unsafe { text::bytes(file.name) };
    (file.fd >= 0).then(|| NginxPlace::File(file.fd, (!name.is_empty()).then(|| name.to_vec())))
}

fn syslog(cycle: Cycle<'_>, log: &ffi::ngx_log_t) -> Option<NginxPlace> {
    let peer: *const ffi::ngx_syslog_peer_t = log.wdata.cast_const().cast();
    // SAFETY: what this writer of nginx's keeps with its logs; all that is used of it is read by value or copied.
    let peer = unsafe { &*peer };
    Some(NginxPlace::Syslog(SyslogServer {
        // SAFETY: nginx has resolved the address, whose length is beside it.
        address: unsafe { address(peer.server.sockaddr.cast(), peer.server.socklen as usize)? },
        facility: u8::try_from(peer.facility).unwrap_or(0),
        // SAFETY: the text lies in the pool of the configuration, or lasts for ever.
        tag: unsafe { text::bytes(peer.tag) }.to_vec(),
        hostname: (peer.nohostname() == 0).then(|| CoreSettings::of(cycle).hostname().to_vec()),
    }))
}

/// # Safety
/// `address` is null, or an address of that many bytes.
unsafe fn address(address: *const libc::sockaddr, length: usize) -> Option<SyslogAddress> {
    if address.is_null() {
        return None;
    }
    // SAFETY: not null; every address begins with its family.
    match i32::from(unsafe { (*address).sa_family }) {
        libc::AF_INET if length >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: of this family and long enough; copied.
            let address = unsafe { *address.cast::<libc::sockaddr_in>() };
            let ip = address.sin_addr.s_addr.to_ne_bytes();
            Some(SyslogAddress::Internet(SocketAddr::from((ip, u16::from_be(address.sin_port)))))
        }
        libc::AF_INET6 if length >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: of this family and long enough; copied.
            let address = unsafe { *address.cast::<libc::sockaddr_in6>() };
            let ip = address.sin6_addr.s6_addr;
            Some(SyslogAddress::Internet(SocketAddr::from((ip, u16::from_be(address.sin6_port)))))
        }
        libc::AF_UNIX => {
            // SAFETY: nginx keeps a whole structure for an address of this family, with a NUL behind the path.
            let path = unsafe {
                CStr::from_ptr((&raw const (*address.cast::<libc::sockaddr_un>()).sun_path).cast())
            };
            Some(SyslogAddress::Unix(path.to_bytes().to_vec()))
        }
        _ => None,
    }
}

/// What nginx's number means; those above `debug` choose what is debugged.
const fn level(number: ffi::ngx_uint_t) -> Level {
    match number {
        0 | ffi::NGX_LOG_EMERG => Level::Emergency,
        ffi::NGX_LOG_ALERT => Level::Alert,
        ffi::NGX_LOG_CRIT => Level::Critical,
        ffi::NGX_LOG_ERR => Level::Error,
        ffi::NGX_LOG_WARN => Level::Warning,
        ffi::NGX_LOG_NOTICE => Level::Notice,
        ffi::NGX_LOG_INFO => Level::Info,
        _ => Level::Debug,
    }
}
