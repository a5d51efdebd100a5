//! The Apache module to load, and the runtime library that belongs to it.

#![forbid(unsafe_code)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use oxwsgi_core::daemon::Handover;

use crate::problem::Problem;
use crate::serve::access::{Mode, Need};

/// Cargo's name for the module, and its installed one.
const MODULE_NAMES: [&str; 2] = ["libmod_oxwsgi.so", "mod_oxwsgi.so"];

/// The runtime's installed name, and Cargo's.
const RUNTIME_NAMES: [&str; 2] = ["oxwsgi_runtime.abi3.so", "liboxwsgi_runtime.so"];

/// The module's file.
#[derive(Clone, Debug)]
pub struct Library {
    /// What `LoadModule` gets.
    pub module: PathBuf,
}

impl Library {
    /// The module named by the user, or beside this command, or among httpd's own in `modules`.
    ///
    /// # Errors
    /// It is not there.
    pub fn find(wanted: Option<&Path>, modules: &Path) -> Result<Self, Problem> {
        if let Some(wanted) = wanted {
            return fs::canonicalize(wanted).map(|module| Self { module }).map_err(|error| {
                Problem::new(format!("The Apache module {} cannot be used: {error}", wanted.display()))
                    .cure("name the file of mod_oxwsgi.so: --module FILE")
            });
        }
        let beside = env::current_exe().and_then(fs::canonicalize).unwrap_or_default();
        Self::search(beside.parent().unwrap_or(Path::new("/")), modules)
    }

    fn search(beside: &Path, modules: &Path) -> Result<Self, Problem> {
        let mut places =
            MODULE_NAMES.map(|name| beside.join(name)).into_iter().chain([modules.join("mod_oxwsgi.so")]);
        places.find(|file| file.is_file()).map(|module| Self { module }).ok_or_else(|| {
            Problem::new("The Apache module mod_oxwsgi.so is not installed")
                .detail(format!(
                    "Looked beside this command, in {}, and in {}.",
                    beside.display(),
                    modules.display()
                ))
                .cure("install it from the source directory: make install")
                .cure("build it there without installing: cargo build --release")
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
        Err(Problem::new(format!("{} is missing: it starts the application's processes", program.display()))
            .detail(format!("It belongs beside {}, from the same version.", self.module.display()))
            .cure("install both from the source directory: make install")
            .cure("run the application inside httpd: --embedded"))
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

    #[test]
    fn the_module_beside_the_command_comes_first() {
        let (beside, modules) =
            (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let problem = Library::search(beside.path(), modules.path()).expect_err("nothing there").to_string();
        assert!(problem.contains("make install"), "{problem}");
        fs::write(modules.path().join("mod_oxwsgi.so"), "").expect("a file");
        let found = Library::search(beside.path(), modules.path()).expect("installed");
        assert_eq!(found.module, modules.path().join("mod_oxwsgi.so"));
        assert!(found.needs().is_none());
        fs::write(beside.path().join("libmod_oxwsgi.so"), "").expect("a file");
        fs::write(beside.path().join("liboxwsgi_runtime.so"), "").expect("a file");
        let found = Library::search(beside.path(), modules.path()).expect("built");
        assert_eq!(found.module, beside.path().join("libmod_oxwsgi.so"));
        assert!(found.check_supervisor().expect_err("absent").to_string().contains("--embedded"));
        fs::write(beside.path().join("oxwsgi"), "").expect("a file");
        assert_eq!(found.check_supervisor(), Ok(()));
        assert_eq!(found.needs().expect("a runtime").path, beside.path().join("liboxwsgi_runtime.so"));
    }
}
