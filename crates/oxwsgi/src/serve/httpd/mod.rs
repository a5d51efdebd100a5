//! Apache httpd: [`program`] finds it, [`configuration`] is written for it, [`log`] is what it tells.

pub mod configuration;
pub mod log;
pub mod program;

use std::path::Path;
use std::process::Command;

use crate::problem::Problem;
use crate::serve::library::ModuleFile;
use crate::serve::site::Site;

use self::configuration::Configuration;
use self::program::Httpd;

/// What httpd loads: Cargo's name, and the installed one.
pub const MODULE: ModuleFile = ModuleFile {
    title: "The Apache module",
    names: &["libmod_oxwsgi.so", "mod_oxwsgi.so"],
    build: "cargo build --release",
    can_embed: true,
};

/// Longest name of a socket below the private directory.
pub const LONGEST_SOCKET: &str = "/wsgi.4194304.99.9.sock";

/// What `httpd` needs besides `site`.
///
/// # Errors
/// A module of httpd's is not installed.
pub fn configure(httpd: &Httpd, site: Site) -> Result<Configuration, Problem> {
    let mpm = httpd.mpm()?;
    let mut names = vec![format!("mpm_{}", mpm.name())];
    names.extend(["unixd", "authz_core", "log_config"].map(str::to_owned));
    if !site.statics.is_empty() {
        names.extend(["mime", "dir", "alias"].map(str::to_owned));
    }
    let mut modules = Vec::new();
    for name in names {
        if let Some(file) = httpd.module(&name)? {
            modules.push((name, file));
        }
    }
    let mime_types = httpd.mime_types().filter(|_| !site.statics.is_empty());
    Ok(Configuration { site, modules, mpm, mime_types })
}

/// What starts it in the foreground.
pub fn command(httpd: &Httpd, root: &Path, file: &Path) -> Command {
    let mut command = Command::new(&httpd.program);
    command.arg("-d").arg(root).arg("-f").arg(file).arg("-DFOREGROUND");
    command
}
