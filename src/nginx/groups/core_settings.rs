//! What nginx's own main directives say: who its processes are, and where their files go.

#![allow(unsafe_code, reason = "reads nginx's settings")]

use oxwsgi_core::daemon::Server;
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::os::Account;

use crate::nginx::record::Cycle;
use crate::nginx::{ffi, text};

/// The settings of a cycle whose configuration was read.
#[derive(Clone, Copy, Debug)]
pub struct CoreSettings<'a> {
    cycle: Cycle<'a>,
    raw: *const ffi::ngx_core_conf_t,
}

impl<'a> CoreSettings<'a> {
    /// The settings of that cycle.
    pub fn of(cycle: Cycle<'a>) -> Self {
        // SAFETY: read by value; nginx has assigned it before it reads any configuration.
        let index = unsafe { ffi::ngx_core_module.index };
        // SAFETY: the handle's record is alive, and its array has an element for each module.
        let raw = unsafe { *(*cycle.as_raw()).conf_ctx.add(index) };
        Self { cycle, raw: raw.cast_const().cast() }
    }

    /// Whether there are processes that serve requests, beside the one that reads configurations (`master_process`).
    pub fn has_master(self) -> bool {
        // SAFETY: the core module's own settings, which live as long as the cycle.
        unsafe { (*self.raw).master != 0 }
    }

    /// User and group that nginx is to run as (`user`); its own when it may not choose.
    pub fn account(self) -> (u32, u32) {
        if !Account::may_change() {
            // SAFETY: takes nothing and cannot fail.
            return unsafe { (libc::geteuid(), libc::getegid()) };
        }
        // SAFETY: as in `has_master`.
        unsafe { ((*self.raw).user, (*self.raw).group) }
    }

    /// The user of the processes that serve requests: a process without a master stays what it was started as.
    pub fn serving_user(self) -> u32 {
        // SAFETY: takes nothing and cannot fail.
        if self.has_master() { self.account().0 } else { unsafe { libc::geteuid() } }
    }

    /// Path of the file with the master's number (`pid`), absolute.
    pub fn pid_file(self) -> &'a [u8] {
        // SAFETY: as in `has_master`; the text lies in the cycle's pool.
        unsafe { text::bytes((*self.raw).pid) }
    }

    /// Where relative paths begin, with a slash at its end.
    pub fn prefix(self) -> &'a [u8] {
        // SAFETY: the handle's record is alive; the text lies in the cycle's pool.
        unsafe { text::bytes((*self.cycle.as_raw()).prefix) }
    }

    /// The name of this machine.
    pub fn hostname(self) -> &'a [u8] {
        // SAFETY: as above.
        unsafe { text::bytes((*self.cycle.as_raw()).hostname) }
    }
}

/// What an application can learn of this server.
pub fn facts() -> Server {
    Server { dialect: Dialect::Nginx, description: ffi::NGINX_VER.to_bytes().to_vec(), ..Server::default() }
}
