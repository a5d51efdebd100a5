//! The installed Apache httpd: its program, its modules, its MIME types, and what to install when one is missing.

#![forbid(unsafe_code)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::problem::Problem;
use crate::serve::packages::install_command;

/// Where distributions keep httpd when an ordinary user's PATH does not lead there.
const SYSTEM_DIRECTORIES: [&str; 6] = [
    "/usr/sbin",
    "/usr/local/sbin",
    "/sbin",
    "/usr/local/apache2/bin",
    "/opt/homebrew/bin",
    "/opt/httpd/bin",
];

const MODULE_DIRECTORIES: [&str; 7] = [
    "/usr/lib/apache2/modules",
    "/usr/lib64/httpd/modules",
    "/usr/lib/httpd/modules",
    "/usr/lib64/apache2",
    "/usr/lib/apache2",
    "/usr/local/libexec/apache24",
    "/opt/homebrew/lib/httpd/modules",
];

/// The package with httpd and its modules for Debian, Fedora, Alpine, Arch and SUSE. Debian's `apache2` would start a
/// server on port 80; `apache2-bin` does not.
const PACKAGES: [&str; 5] = ["apache2-bin", "httpd", "apache2", "apache", "apache2"];

/// An installed httpd.
#[derive(Clone, Debug)]
pub struct Httpd {
    /// The program.
    pub program: PathBuf,
    /// `Apache/2.4.71 (Debian)`.
    pub version: String,
    /// Its compiled-in `ServerRoot`.
    root: PathBuf,
    /// Source names of the modules compiled in, such as `mod_unixd.c`.
    compiled: Vec<String>,
    /// Where its shared modules are.
    modules: PathBuf,
}

/// The processing model to run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mpm {
    /// Threads; connections that wait cost none.
    Event,
    /// Threads, one for each connection.
    Worker,
    /// One process for each request.
    Prefork,
}

impl Httpd {
    /// Finds `wanted`, or else httpd on PATH and in the system's directories.
    ///
    /// # Errors
    /// There is none, or it cannot load modules.
    pub fn find(wanted: Option<&Path>) -> Result<Self, Problem> {
        if let Some(program) = wanted {
            let identity = identify(program).ok_or_else(|| {
                Problem::new(format!("{} is not an Apache httpd 2.4", program.display()))
                    .cure("name one that is: --httpd FILE")
            })?;
            return Self::look_into(program.to_path_buf(), &identity);
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let directories = env::split_paths(&path).chain(SYSTEM_DIRECTORIES.map(PathBuf::from));
        let programs =
            directories.flat_map(|directory| ["apache2", "httpd"].map(|name| directory.join(name)));
        let found = programs
            .filter(|program| program.is_absolute() && program.is_file())
            .find_map(|program| identify(&program).map(|identity| (program, identity)));
        let (program, identity) = found.ok_or_else(|| {
            Problem::new(
                "Apache httpd 2.4 is not installed: there is no apache2 or httpd on PATH or in /usr/sbin",
            )
            .cure(format!("install it: {}", install_command(&PACKAGES)))
        })?;
        Self::look_into(program, &identity)
    }

    fn look_into(program: PathBuf, identity: &str) -> Result<Self, Problem> {
        let version = line_value(identity, "Server version:").unwrap_or("Apache/2.4").to_owned();
        let root = quoted_define(identity, "HTTPD_ROOT").map(PathBuf::from).unwrap_or_default();
        let listing = run(&program, "-l").unwrap_or_default();
        let compiled: Vec<String> =
            listing.lines().map(str::trim).filter(|line| line.ends_with(".c")).map(str::to_owned).collect();
        if !compiled.iter().any(|name| name == "mod_so.c") {
            return Err(Problem::new(format!(
                "{} cannot load modules: it was built without mod_so",
                program.display()
            ))
            .cure(format!("install one that can: {}", install_command(&PACKAGES))));
        }
        let near =
            [root.join("modules"), program.join("../../modules"), program.join("../../lib/httpd/modules")];
        let places = near.into_iter().chain(MODULE_DIRECTORIES.map(PathBuf::from));
        let modules = places
            .filter_map(|directory| fs::canonicalize(directory).ok())
            .find(|directory| directory.join("mod_authz_core.so").is_file())
            .ok_or_else(|| {
                Problem::new(format!("The modules of {} cannot be found", program.display()))
                    .detail(format!(
                        "Looked for mod_authz_core.so in {} and the usual places.",
                        root.join("modules").display()
                    ))
                    .cure(format!("install them: {}", install_command(&PACKAGES)))
            })?;
        Ok(Self { program, version, root, compiled, modules })
    }

    /// The directory of its shared modules.
    pub fn modules(&self) -> &Path {
        &self.modules
    }

    /// The processing model: event where there is one.
    ///
    /// # Errors
    /// There is none at all.
    pub fn mpm(&self) -> Result<Mpm, Problem> {
        let all = [Mpm::Event, Mpm::Worker, Mpm::Prefork];
        // A compiled-in one cannot be replaced.
        let fixed = all.into_iter().find(|mpm| self.compiled.iter().any(|name| *name == mpm.source()));
        let shared =
            || all.into_iter().find(|mpm| self.modules.join(format!("mod_mpm_{}.so", mpm.name())).is_file());
        fixed.or_else(shared).ok_or_else(|| self.lacks("mpm_event"))
    }

    /// The file to load for the module `name` (`authz_core`), or nothing when it is compiled in.
    ///
    /// # Errors
    /// It is neither compiled in nor installed.
    pub fn module(&self, name: &str) -> Result<Option<PathBuf>, Problem> {
        let source = if let Some(mpm) = name.strip_prefix("mpm_") {
            format!("{mpm}.c")
        } else {
            format!("mod_{name}.c")
        };
        if self.compiled.contains(&source) {
            return Ok(None);
        }
        let file = self.modules.join(format!("mod_{name}.so"));
        if file.is_file() { Ok(Some(file)) } else { Err(self.lacks(name)) }
    }

    fn lacks(&self, name: &str) -> Problem {
        Problem::new(format!("Apache httpd has no mod_{name}"))
            .detail(format!("Looked in {} and {}.", self.program.display(), self.modules.display()))
            .cure(format!("install it: {}", install_command(&PACKAGES)))
    }

    /// The file that maps endings to MIME types.
    pub fn mime_types(&self) -> Option<PathBuf> {
        let own = [self.root.join("conf/mime.types"), self.root.join("mime.types")];
        let usual =
            ["/etc/mime.types", "/etc/httpd/conf/mime.types", "/etc/apache2/mime.types"].map(PathBuf::from);
        usual.into_iter().chain(own).find(|file| file.is_file())
    }
}

impl Mpm {
    /// As in `mpm_event`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Worker => "worker",
            Self::Prefork => "prefork",
        }
    }

    fn source(self) -> String {
        format!("{}.c", self.name())
    }
}

/// What `program -V` says, if it is an Apache httpd 2.4; BusyBox for one has a program of that name too.
fn identify(program: &Path) -> Option<String> {
    run(program, "-V")
        .filter(|text| line_value(text, "Server version:").is_some_and(|v| v.starts_with("Apache/2.4")))
}

/// What `program` prints for `option`. Its status says nothing: with `-V` httpd goes on to read its configuration, and
/// an empty one, instead of the system's, names no processing model.
fn run(program: &Path, option: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.args([option, "-f", "/dev/null"]).stdin(Stdio::null()).stderr(Stdio::null());
    command.output().ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn line_value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim().strip_prefix(key)).map(str::trim)
}

fn quoted_define<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    line_value(text, &format!("-D {name}="))?.strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: &str =
        "Server version: Apache/2.4.71 (Debian)\nServer built:   x\n -D HTTPD_ROOT=\"/etc/apache2\"\n";

    #[test]
    fn the_identity_is_read() {
        assert_eq!(line_value(IDENTITY, "Server version:"), Some("Apache/2.4.71 (Debian)"));
        assert_eq!(quoted_define(IDENTITY, "HTTPD_ROOT"), Some("/etc/apache2"));
        assert_eq!(quoted_define(IDENTITY, "SUEXEC_BIN"), None);
    }

    #[test]
    fn compiled_in_modules_need_no_file_and_missing_ones_are_named() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join("mod_alias.so"), "").expect("a file");
        let httpd = Httpd {
            program: PathBuf::from("/usr/sbin/httpd"),
            version: String::new(),
            root: PathBuf::new(),
            compiled: vec!["mod_unixd.c".to_owned(), "worker.c".to_owned()],
            modules: directory.path().to_path_buf(),
        };
        assert_eq!(httpd.module("unixd"), Ok(None));
        assert_eq!(httpd.module("alias"), Ok(Some(directory.path().join("mod_alias.so"))));
        assert!(httpd.module("dir").expect_err("missing").to_string().contains("mod_dir"));
        assert_eq!(httpd.mpm(), Ok(Mpm::Worker));
        assert_eq!(httpd.module("mpm_worker"), Ok(None));
    }
}
