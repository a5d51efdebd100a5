//! The Python that runs the application: which one is meant, and what it says about itself.
//!
//! It is executed with the rights of the user that runs the application, never as root: a site may own it.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Access, access};

use crate::problem::Problem;
use crate::serve::access::{Mode, Need};
use crate::serve::account::Account;
use crate::serve::before_exec;
use crate::serve::packages;

const PROBE: &str = include_str!("probe.py");

/// The oldest CPython that is supported.
const OLDEST: (u32, u32) = (3, 10);

/// What a Python said about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Python {
    /// The program that was asked.
    pub program: PathBuf,
    /// `sys.prefix`: what `WSGIPythonHome` takes. A virtual environment's own directory.
    pub home: PathBuf,
    /// `3.11.2`.
    pub version: String,
    /// Files and directories it reads at its start.
    pub reads: Vec<PathBuf>,
    /// Names that the script it was shown binds at its top level.
    pub binds: Vec<String>,
}

/// The program of the wanted Python: `option`, else the active virtual environment, else the `python3` on `path`.
///
/// # Errors
/// There is none there.
pub fn locate(option: Option<&Path>, active: Option<&Path>, path: &OsStr) -> Result<PathBuf, Problem> {
    if let Some(wanted) = option {
        return program_of(wanted).ok_or_else(|| missing_in(wanted, "--python"));
    }
    if let Some(active) = active {
        return program_of(active)
            .ok_or_else(|| missing_in(active, "$VIRTUAL_ENV").cure("deactivate it: unset VIRTUAL_ENV"));
    }
    let on_path = std::env::split_paths(path).map(|directory| directory.join("python3"));
    on_path.filter(|program| program.is_absolute()).find(|program| is_program(program)).ok_or_else(|| {
        Problem::new("There is no python3 on PATH")
            .cure(format!("install it: {}", packages::install_command(&["python3"; 5])))
            .cure("name a virtual environment, a prefix or an executable: --python DIR")
    })
}

/// What must be readable before the program can be asked.
pub fn program_need(program: &Path) -> Need {
    Need { what: "the Python of the application", path: program.to_path_buf(), mode: Mode::Execute }
}

fn program_of(wanted: &Path) -> Option<PathBuf> {
    let wanted = std::path::absolute(wanted).ok()?;
    let mut programs = ["bin/python3", "bin/python"].map(|name| wanted.join(name)).into_iter();
    if is_program(&wanted) { Some(wanted) } else { programs.find(|program| is_program(program)) }
}

fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

fn missing_in(wanted: &Path, origin: &str) -> Problem {
    let shown = wanted.display();
    let summary = if wanted.exists() {
        format!("There is no Python in {shown}: it has no bin/python3")
    } else {
        format!("There is no Python at {shown}: no such file or directory")
    };
    Problem::new(summary)
        .detail(format!("{origin} names it."))
        .cure(format!("make it a virtual environment: python3 -m venv {shown}"))
        .cure("name another virtual environment, prefix or python executable: --python DIR")
}

impl Python {
    /// Runs `program` as `account` and asks it; `script` is parsed for the names it binds.
    ///
    /// # Errors
    /// It does not run, is too old, or is not CPython.
    pub fn ask(program: &Path, account: Option<&Account>, script: Option<&Path>) -> Result<Self, Problem> {
        let mut command = Command::new(program);
        command.args(["-I", "-c", PROBE]).args(script).stdin(Stdio::null()).env_remove("PYTHONHOME");
        if let Some(account) = account {
            command.current_dir("/").env("HOME", &account.home);
            before_exec::run_as(&mut command, account);
        }
        let failed = |why: String| {
            Problem::new(format!("{} does not run: {why}", program.display()))
                .cure("repair that Python, or name another: --python DIR")
        };
        let output = command.output().map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
            return Err(failed(format!("{}\n{text}", output.status)));
        }
        Self::from_answer(program, &output.stdout)
    }

    fn from_answer(program: &Path, answer: &[u8]) -> Result<Self, Problem> {
        let pairs: Vec<(&[u8], &[u8])> = answer
            .split(|byte| *byte == b'\n')
            .filter_map(|line| {
                line.iter().position(|byte| *byte == b'\t').map(|at| (&line[..at], &line[at + 1..]))
            })
            .collect();
        let all = |key: &str| {
            let key = key.as_bytes().to_owned();
            pairs.iter().filter(move |(name, _)| *name == key).map(|(_, value)| *value)
        };
        let text = |key: &str| all(key).next().map(|value| String::from_utf8_lossy(value).into_owned());
        let path = |value: &[u8]| PathBuf::from(OsStr::from_bytes(value));
        let (Some(version), Some(home)) = (text("version"), all("prefix").next().map(path)) else {
            return Err(Problem::new(format!("{} is not a Python: it did not answer", program.display()))
                .cure("name a virtual environment, a prefix or a python executable: --python DIR"));
        };
        let implementation = text("implementation").unwrap_or_default();
        let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
        let level = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if implementation != "cpython" || level < OLDEST {
            let name = if implementation == "cpython" { "Python" } else { &implementation };
            return Err(Problem::new(format!("{} is {name} {version}", program.display()))
                .detail(format!("Applications run on CPython {}.{} and newer.", OLDEST.0, OLDEST.1))
                .cure("name a newer one: --python DIR"));
        }
        let program = match text("executable") {
            // A version manager puts shims on PATH; the messages should name the Python behind them.
            Some(executable) if !executable.is_empty() => PathBuf::from(executable),
            _ => program.to_path_buf(),
        };
        let reads = all("reads").map(path).collect();
        let binds = all("binds").map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        Ok(Self { program, home, version, reads, binds })
    }

    /// Finds out that `WSGIPythonHome` means this Python: a prefix such as `/usr` may hold several, and stands for the
    /// one its `bin/python3` is.
    ///
    /// # Errors
    /// It means another one.
    pub fn check_home(&self) -> Result<(), Problem> {
        let real = |path: &Path| fs::canonicalize(path).ok();
        let usual = program_of(&self.home).and_then(|program| real(&program));
        if usual.is_some() && usual == real(&self.program) {
            return Ok(());
        }
        let home = self.home.display();
        let summary = format!("{} is not the python3 of its prefix {home}", self.program.display());
        Err(Problem::new(summary).detail("The server is told the prefix only.").cure(format!(
            "make a virtual environment of it: {} -m venv DIR, and --python DIR",
            self.program.display()
        )))
    }

    /// What must be readable for it to start.
    pub fn needs(&self) -> Vec<Need> {
        let home =
            Need { what: "the home of the application's Python", path: self.home.clone(), mode: Mode::List };
        let reads = self.reads.iter().map(|path| Need {
            what: "part of the application's Python",
            path: path.clone(),
            mode: if path.is_dir() { Mode::List } else { Mode::Read },
        });
        std::iter::once(home).chain(reads).collect()
    }

    /// The callable of a script that names none itself: `application`, as everywhere, or `app`, as in Flask's examples.
    pub fn usual_callable(&self) -> &'static str {
        let binds = |name: &str| self.binds.iter().any(|bound| bound == name);
        if !binds("application") && binds("app") { "app" } else { "application" }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn python_in(directory: &Path, name: &str) -> PathBuf {
        let program = directory.join(name);
        fs::create_dir_all(program.parent().expect("a parent")).expect("a directory");
        fs::write(&program, "#!/bin/sh\n").expect("a file");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("chmod");
        program
    }

    #[test]
    fn the_option_wins_over_the_environment_and_that_over_the_path() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = directory.path();
        let (option, active) = (root.join("option"), root.join("active"));
        let in_option = python_in(root, "option/bin/python3");
        let in_active = python_in(root, "active/bin/python");
        let on_path = python_in(root, "path/python3");
        let path = root.join("path").into_os_string();
        assert_eq!(locate(Some(&option), Some(&active), &path), Ok(in_option.clone()));
        assert_eq!(locate(None, Some(&active), &path), Ok(in_active));
        assert_eq!(locate(None, None, &path), Ok(on_path));
        assert_eq!(locate(Some(&in_option), None, &path), Ok(in_option));
    }

    #[test]
    fn a_virtual_environment_keeps_its_own_program() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let real = python_in(directory.path(), "real");
        fs::create_dir_all(directory.path().join("venv/bin")).expect("a directory");
        symlink(real, directory.path().join("venv/bin/python3")).expect("a link");
        let found = locate(Some(&directory.path().join("venv")), None, OsStr::new(""));
        assert_eq!(found, Ok(directory.path().join("venv/bin/python3")));
    }

    #[test]
    fn an_empty_place_is_a_problem_that_names_who_named_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let named = locate(Some(directory.path()), None, OsStr::new("")).expect_err("empty").to_string();
        assert!(named.contains("--python names it"), "{named}");
        let active = locate(None, Some(directory.path()), OsStr::new("")).expect_err("empty").to_string();
        assert!(active.contains("$VIRTUAL_ENV names it"), "{active}");
        let nowhere = locate(None, None, directory.path().as_os_str()).expect_err("empty").to_string();
        assert!(nowhere.contains("no python3 on PATH"), "{nowhere}");
    }

    #[test]
    fn an_answer_is_read() {
        let answer = b"version\t3.12.1\nimplementation\tcpython\nprefix\t/srv/venv\nexecutable\t/srv/venv/bin/python3\n\
            reads\t/usr/lib/python3.12\nbinds\tFlask\nbinds\tapp\n";
        let python = Python::from_answer(Path::new("/shim"), answer).expect("an answer");
        assert_eq!(python.home, Path::new("/srv/venv"));
        assert_eq!(python.program, Path::new("/srv/venv/bin/python3"));
        assert_eq!(python.reads, [PathBuf::from("/usr/lib/python3.12")]);
        assert_eq!(python.usual_callable(), "app");
    }

    #[test]
    fn old_and_foreign_pythons_are_refused() {
        let old = b"version\t3.9.18\nimplementation\tcpython\nprefix\t/usr\n";
        let problem = Python::from_answer(Path::new("/usr/bin/python3"), old).expect_err("old").to_string();
        assert!(problem.starts_with("/usr/bin/python3 is Python 3.9.18"), "{problem}");
        let foreign = b"version\t3.11.13\nimplementation\tpypy\nprefix\t/opt\n";
        let problem = Python::from_answer(Path::new("/opt/pypy"), foreign).expect_err("pypy").to_string();
        assert!(problem.contains("pypy 3.11.13"), "{problem}");
        assert!(Python::from_answer(Path::new("/bin/true"), b"").is_err());
    }
}
