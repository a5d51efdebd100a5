//! nginx: [`program`] finds it, [`configuration`] is written for it, with paths in [`quote`]s; [`log`] is what it tells, and
//! [`refusal`] what that means when it does not start.

pub mod configuration;
pub mod log;
pub mod program;
mod quote;
pub mod refusal;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::serve::library::ModuleFile;

use self::program::Nginx;

/// What nginx loads.
pub const MODULE: ModuleFile = ModuleFile {
    title: "The nginx module",
    names: &["ngx_http_oxwsgi_module.so"],
    build: "make nginx",
    can_embed: false,
};

/// Longest name of a socket below the private directory: the module's own, whose second number counts microseconds.
pub const LONGEST_SOCKET: &str = "/wsgi.4194304.fffffffffffff.1.sock";

/// The socket at which nginx answers when it is ready, in its directory.
pub fn ready_socket(runtime: &Path) -> PathBuf {
    runtime.join("ready.sock")
}

/// What starts it in the foreground; `daemon off` is in the file.
pub fn command(nginx: &Nginx, root: &Path, file: &Path) -> Command {
    let mut command = Command::new(&nginx.program);
    // Errors before it has read where they go.
    command.args(["-e", "stderr", "-p"]).arg(root).arg("-c").arg(file);
    // It would take sockets over from another nginx (its upgrade of the program).
    command.env_remove("NGINX");
    command
}
