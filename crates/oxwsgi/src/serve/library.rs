//! The server's module to load, and the runtime library that belongs to it.

#![forbid(unsafe_code)]

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use oxwsgi_core::daemon::Handover;

use crate::problem::Problem;
use crate::serve::access::{Mode, Need};

/// The runtime's installed name, and Cargo's.
const RUNTIME_NAMES: [&str; 2] = ["oxwsgi_runtime.abi3.so", "liboxwsgi_runtime.so"];

/// A server's module, as its room describes it.
#[derive(Debug)]
pub struct ModuleFile {
    /// Begins a sentence.
    pub title: &'static str,
    /// Names beside the command; the last one is that of the installed file.
    pub names: &'static [&'static str],
    /// The command that builds it in the source directory.
    pub build: &'static str,
    /// Whether the server's own processes can run Python.
    pub can_embed: bool,
}

impl ModuleFile {
    fn installed_name(&self) -> &'static str {
        self.names.last().copied().unwrap_or_default()
    }
}

/// The module's file.
#[derive(Clone, Debug)]
pub struct Library {
    /// What the server loads.
    pub module: PathBuf,
    kind: &'static ModuleFile,
}

impl Library {
    /// The module named by the user, or beside this command, or among the server's own in `modules`.
    ///
    /// # Errors
    /// It is not there.
    pub fn find(kind: &'static ModuleFile, wanted: Option<&Path>, modules: &Path) -> Result<Self, Problem> {
        if let Some(wanted) = wanted {
            return Self::named(wanted).map(|module| Self { module, kind }).map_err(|error| {
                let (title, name) = (kind.title, kind.installed_name());
                Problem::new(format!("{title} {} cannot be used: {error}", wanted.display()))
                    .cure(format!("name the file of {name}: --module FILE"))
            });
        }
        let beside = env::current_exe().and_then(fs::canonicalize).unwrap_or_default();
        Self::search(kind, beside.parent().unwrap_or(Path::new("/")), modules)
    }

    /// The file at `path`. A link stays one where what belongs to the module is beside the link.
    fn named(path: &Path) -> io::Result<PathBuf> {
        let real = fs::canonicalize(path)?;
        let literal = std::path::absolute(path)?;
        Ok(if literal.with_file_name(Handover::PROGRAM).is_file() { literal } else { real })
    }

    fn search(kind: &'static ModuleFile, beside: &Path, modules: &Path) -> Result<Self, Problem> {
        let name = kind.installed_name();
        let mut places = kind.names.iter().map(|name| beside.join(name)).chain([modules.join(name)]);
        let found = places.find(|file| file.is_file()).and_then(|file| Self::named(&file).ok());
        found.map(|module| Self { module, kind }).ok_or_else(|| {
            Problem::new(format!("{} {name} is not installed", kind.title))
                .detail(format!(
                    "Looked beside this command, in {}, and in {}.",
                    beside.display(),
                    modules.display()
                ))
                .cure("install it from the source directory: make install")
                .cure(format!("build it there without installing: {}", kind.build))
        })
    }

    /// Finds out whether the module can start daemon processes.
    ///
    /// # Errors
    /// The program that it executes for them is not there.
    pub fn check_supervisor(&self) -> Result<(), Problem> {
        let program = self.module.with_file_name(Handover::PROGRAM);
        if program.is_file() {
            return Ok(());
        }
        let problem =
            Problem::new(format!("{} is missing: it starts the application's processes", program.display()))
                .detail(format!("It belongs beside {}, from the same version.", self.module.display()))
                .cure("install both from the source directory: make install");
        Err(match self.kind.can_embed {
            true => problem.cure("run the application inside httpd: --embedded"),
            false => problem,
        })
    }

    /// What the application's processes load after they have given up root.
    pub fn needs(&self) -> Option<Need> {
        let directory = self.module.parent()?;
        let file = RUNTIME_NAMES.map(|name| directory.join(name)).into_iter().find(|file| file.is_file())?;
        Some(Need { what: "the runtime library of oxwsgi", path: file, mode: Mode::Read })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::{httpd, nginx};

    #[test]
    fn the_module_beside_the_command_comes_first() {
        let (beside, modules) =
            (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let problem = Library::search(&httpd::MODULE, beside.path(), modules.path())
            .expect_err("nothing there")
            .to_string();
        assert!(problem.contains("make install"), "{problem}");
        fs::write(modules.path().join("mod_oxwsgi.so"), "").expect("a file");
        let found = Library::search(&httpd::MODULE, beside.path(), modules.path()).expect("installed");
        assert_eq!(found.module, modules.path().join("mod_oxwsgi.so"));
        assert!(found.needs().is_none());
        fs::write(beside.path().join("libmod_oxwsgi.so"), "").expect("a file");
        fs::write(beside.path().join("liboxwsgi_runtime.so"), "").expect("a file");
        let found = Library::search(&httpd::MODULE, beside.path(), modules.path()).expect("built");
        assert_eq!(found.module, beside.path().join("libmod_oxwsgi.so"));
        assert!(found.check_supervisor().expect_err("absent").to_string().contains("--embedded"));
        fs::write(beside.path().join("oxwsgi"), "").expect("a file");
        assert_eq!(found.check_supervisor(), Ok(()));
        assert_eq!(found.needs().expect("a runtime").path, beside.path().join("liboxwsgi_runtime.so"));
    }

    #[test]
    fn a_link_stays_where_what_belongs_to_it_is() {
        let (beside, built) =
            (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        fs::write(built.path().join("libmod_oxwsgi.so"), "").expect("a file");
        let link = beside.path().join("ngx_http_oxwsgi_module.so");
        std::os::unix::fs::symlink(built.path().join("libmod_oxwsgi.so"), &link).expect("a link");
        let find = || Library::search(&nginx::MODULE, beside.path(), built.path()).expect("a module").module;
        assert_eq!(find(), built.path().join("libmod_oxwsgi.so"));
        fs::write(beside.path().join("oxwsgi"), "").expect("a file");
        assert_eq!(find(), link);
    }
}
