//! The question to a home: which program to run as whom, and what to make of how it went.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::answer::Python;
use super::error::{HomeError, Reason, Runner};
use super::runtime::RuntimeFiles;
use crate::dialect::Dialect;
use crate::os::{Account, End, Errand, Obstacle, Report, Running, Step, environment};

/// Isolated, without site-packages: nothing but the interpreter itself speaks.
const ARGUMENTS: [&str; 4] = ["-I", "-S", "-c", include_str!("question.py")];
/// Has it say where its shared library is, too.
const LIBRARY: &str = "library";

/// A question to a home.
#[derive(Clone, Debug)]
pub struct Question {
    runner: Runner,
    dialect: Dialect,
    home: Option<PathBuf>,
    programs: Vec<PathBuf>,
    user: Option<String>,
    root: Option<PathBuf>,
    runtimes: RuntimeFiles,
    errand: Errand,
}

impl Question {
    /// A Python answers in some 10 ms; a cold one on a slow disk may take seconds.
    pub const PATIENCE: Duration = Duration::from_secs(20);

    /// Asks a home, which is a prefix or a virtual environment; without one the `python3` on `path` (as in the variable
    /// `PATH`).
    pub fn new(runner: Runner, home: Option<&Path>, path: &OsStr, runtimes: RuntimeFiles) -> Self {
        let programs: Vec<PathBuf> = match home {
            Some(home) => prefixes(home)
                .flat_map(|prefix| ["bin/python3", "bin/python"].map(|name| prefix.join(name)))
                .collect(),
            None => std::env::split_paths(path)
                .filter(|folder| folder.is_absolute())
                .map(|folder| folder.join("python3"))
                .collect(),
        };
        let c_text = |bytes: &[u8]| CString::new(bytes).ok();
        let wanted = (runner == Runner::Server).then_some(&LIBRARY);
        let errand = Errand::new(
            programs.iter().filter_map(|program| c_text(program.as_os_str().as_bytes())).collect(),
            ARGUMENTS.iter().chain(wanted).filter_map(|argument| c_text(argument.as_bytes())).collect(),
        )
        .try_reading(runtimes.names())
        .environment(environment(std::env::vars_os(), false, []));
        Self {
            runner,
            dialect: Dialect::Httpd,
            home: home.map(Path::to_owned),
            programs,
            user: None,
            root: None,
            runtimes,
            errand,
        }
    }

    /// Asks for a server whose configuration is written so.
    pub fn dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// Asks as `account`, which the configuration calls `user`, with `root` as the root of the file system.
    pub fn account(self, account: Account, user: String, root: Option<CString>) -> Self {
        let path = root.as_ref().map(|root| PathBuf::from(OsStr::from_bytes(root.as_bytes())));
        Self { errand: self.errand.account(Some(account)).root(root), user: Some(user), root: path, ..self }
    }

    /// Asks a program of a site whose account is not the server's own: most of the server's variables are none of its business.
    pub fn foreign(self) -> Self {
        Self { errand: self.errand.environment(environment(std::env::vars_os(), true, [])), ..self }
    }

    /// Asks, and waits for the answer: the Python and the runtime that fits it.
    pub fn ask(&self) -> Result<(Python, PathBuf), HomeError> {
        self.launch().answer(Self::PATIENCE)
    }

    /// Asks, and lets others be asked meanwhile.
    pub fn launch(&self) -> Asked<'_> {
        Asked { question: self, running: self.start() }
    }

    fn start(&self) -> Result<Running, Reason> {
        // What can be seen without running anything is told right away.
        if let Some(home) = &self.home {
            let prefix = prefixes(home).next().unwrap_or(home);
            let seen = match &self.root {
                Some(root) => root.join(prefix.strip_prefix("/").unwrap_or(prefix)),
                None => prefix.to_owned(),
            };
            match std::fs::metadata(seen) {
                Ok(found) if !found.is_dir() => return Err(Reason::NotFolder),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Reason::NoFolder),
                _ => {}
            }
        }
        self.errand.launch().map_err(Reason::Process)
    }

    /// `program` becomes the one that ran.
    fn conclude(
        &self,
        running: Running,
        limit: Duration,
        program: &mut Option<PathBuf>,
    ) -> Result<(Python, PathBuf), Reason> {
        let Report { obstacles, output, errors, end } = running.collect(limit).map_err(Reason::Process)?;
        if let Some(reason) = self.never_ran(&obstacles) {
            return Err(reason);
        }
        *program = self.programs.get(refused(&obstacles)).cloned();
        match end {
            End::Exited(0) => {}
            End::Stopped => return Err(Reason::Silent { seconds: limit.as_secs() }),
            _ => return Err(failed(&end, &errors)),
        }
        let (python, looked) = Python::parse(&output)?;
        if self.runner == Runner::Server && python.library.is_none() {
            return Err(Reason::NoLibrary { version: python.version, looked });
        }
        let runtime = self.runtimes.choose(&python, obstacles)?;
        Ok((python, runtime))
    }

    /// Why no program was executed, when none was.
    fn never_ran(&self, obstacles: &[Obstacle]) -> Option<Reason> {
        let again = |reason: &io::Error| io::Error::from_raw_os_error(reason.raw_os_error().unwrap_or(0));
        for Obstacle { step, reason, .. } in obstacles {
            match step {
                Step::Root => return Some(Reason::Root(again(reason))),
                Step::Identity => return Some(Reason::Account(again(reason))),
                _ => {}
            }
        }
        if refused(obstacles) < self.programs.len() {
            return None;
        }
        // The first that is there, and may not be run, is the one that was meant.
        let refusal = obstacles.iter().find_map(|Obstacle { step, reason, folder }| match step {
            Step::Execute(index) if !matches!(reason.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {
                let program = self.programs[*index].clone();
                Some(match folder.clone() {
                    Some(folder) => Reason::ClosedFolder { program, folder },
                    None => Reason::NotExecutable { program, reason: again(reason) },
                })
            }
            _ => None,
        });
        Some(refusal.unwrap_or_else(|| Reason::NoProgram { looked: self.programs.clone() }))
    }
}

/// A question that has been asked.
#[derive(Debug)]
pub struct Asked<'a> {
    question: &'a Question,
    running: Result<Running, Reason>,
}

impl Asked<'_> {
    /// Waits for the answer, until `limit` after it was asked.
    pub fn answer(self, limit: Duration) -> Result<(Python, PathBuf), HomeError> {
        let Self { question, running } = self;
        let mut program = None;
        let answer = running.and_then(|running| question.conclude(running, limit, &mut program));
        answer.map_err(|reason| HomeError {
            runner: question.runner,
            dialect: question.dialect,
            home: question.home.clone(),
            program,
            user: question.user.clone(),
            root: question.root.clone(),
            reason: Box::new(reason),
        })
    }
}

/// How many programs could not be executed: the next one was.
fn refused(obstacles: &[Obstacle]) -> usize {
    obstacles.iter().filter(|obstacle| matches!(obstacle.step, Step::Execute(_))).count()
}

/// `WSGIPythonHome` may be `prefix:exec_prefix`, as in `PYTHONHOME`; programs are in the latter.
fn prefixes(home: &Path) -> impl Iterator<Item = &Path> {
    let parts = home.as_os_str().as_bytes().split(|byte| *byte == b':');
    parts.rev().map(|part| Path::new(OsStr::from_bytes(part)))
}

fn failed(end: &End, errors: &[u8]) -> Reason {
    let lines = String::from_utf8_lossy(errors);
    let last = lines.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    // Somebody else's words: no control characters, and not many.
    let said = last.trim().chars().filter(|character| !character.is_control()).take(300).collect();
    Reason::Failed { end: *end, said }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A folder that goes away.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let prefix = format!("oxwsgi-home-{name}-");
            let path = tempfile::Builder::new().prefix(&prefix).tempdir().unwrap().keep();
            fs::create_dir(path.join("bin")).unwrap();
            fs::write(path.join("oxwsgi_runtime.abi3.so"), "x").unwrap();
            Self(path)
        }

        fn script(self, text: &str) -> Self {
            let program = self.0.join("bin/python3");
            // Not written by this process: a child of another test's that has just been forked would hold the file open for
            // writing, and as long nobody can execute it.
            let mut shell = std::process::Command::new("/bin/sh");
            shell.args(["-c", r#"printf '#!/bin/sh\n%s\n' "$2" > "$1" && chmod 755 "$1""#, "sh"]);
            assert!(shell.arg(program).arg(text).status().unwrap().success());
            self
        }

        fn ask(&self) -> Result<(Python, PathBuf), HomeError> {
            let runtimes = RuntimeFiles::beside(&self.0);
            Question::new(Runner::Server, Some(&self.0), OsStr::new(""), runtimes).ask()
        }

        fn complaint(&self) -> String {
            self.ask().unwrap_err().to_string()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn assert_holds(text: &str, parts: &[&str]) {
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
    }

    #[test]
    fn a_missing_home_is_named() {
        let question = Question::new(
            Runner::Server,
            Some(Path::new("/no/such/home")),
            OsStr::new(""),
            RuntimeFiles::beside(Path::new("/")),
        );
        assert_holds(
            &question.ask().unwrap_err().to_string(),
            &["WSGIPythonHome /no/such/home: there is no such folder"],
        );
    }

    #[test]
    fn a_home_without_a_program_is_named() {
        assert_holds(&Folder::new("empty").complaint(), &["bin/python3, ", "bin/python not found"]);
    }

    #[test]
    fn a_program_that_is_no_python_is_told() {
        assert_holds(&Folder::new("other").script("echo hello").complaint(), &["not a Python"]);
        let failing = Folder::new("failing").script("echo 'no encodings' >&2; exit 127");
        assert_holds(&failing.complaint(), &["status 127", "no encodings"]);
    }

    #[test]
    fn a_program_that_may_not_be_executed_is_told() {
        let folder = Folder::new("mode").script("");
        fs::set_permissions(folder.0.join("bin/python3"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_holds(&folder.complaint(), &["cannot run", "bin/python3: Permission denied"]);
    }

    #[test]
    fn an_answer_and_its_runtime_are_found() {
        let folder = Folder::new("good").script(
            "printf 'oxwsgi-python\\nimplementation=cpython\\nversion=3.12.1\\nexecutable=/x/bin/python3\\n\
             extension_suffix=.cpython-312-x86_64-linux-gnu.so\\nlibrary=/x/lib/libpython3.12.so.1.0\\nend\\n'",
        );
        let (python, runtime) = folder.ask().unwrap();
        assert_eq!(python.version, (3, 12, 1));
        assert_eq!(runtime, folder.0.join("oxwsgi_runtime.abi3.so"));
        fs::remove_file(&runtime).unwrap();
        assert_holds(&folder.complaint(), &["runtime is missing", "oxwsgi_runtime.abi3.so"]);
    }

    #[test]
    fn a_group_needs_no_library_and_is_asked_beside_others() {
        let script = "case $* in *library) exit 1;; esac; printf 'oxwsgi-python\\nimplementation=cpython\\nversion=3.12.1\\n\
                      executable=/x/bin/python3\\nextension_suffix=.cpython-312-x86_64-linux-gnu.so\\nend\\n'";
        let folder = Folder::new("group").script(script);
        let question =
            |runner| Question::new(runner, Some(&folder.0), OsStr::new(""), RuntimeFiles::beside(&folder.0));
        let (group, server) = (question(Runner::GroupWithHome), question(Runner::Server));
        let (group, server) = (group.launch(), server.launch());
        assert_holds(
            &server.answer(Question::PATIENCE).unwrap_err().to_string(),
            &["WSGIPythonHome /", "status 1"],
        );
        assert_eq!(group.answer(Question::PATIENCE).unwrap().0.library, None);
    }

    #[test]
    fn a_foreign_program_learns_little_of_the_server() {
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "the variable that it looks for");
        let script = "test -z \"$CARGO_MANIFEST_DIR\" -a -n \"$PATH\" || exit 9; exit 7";
        let folder = Folder::new("foreign").script(script);
        let runtimes = RuntimeFiles::beside(&folder.0);
        let question = Question::new(Runner::GroupWithHome, Some(&folder.0), OsStr::new(""), runtimes);
        assert_holds(&question.ask().unwrap_err().to_string(), &["status 9"]);
        assert_holds(&question.foreign().ask().unwrap_err().to_string(), &["status 7"]);
    }

    #[test]
    fn a_group_hears_of_its_own_settings() {
        let question =
            |runner, home| Question::new(runner, home, OsStr::new(""), RuntimeFiles::beside(Path::new("/")));
        let complaint = |runner, home| question(runner, home).ask().unwrap_err().to_string();
        let home = Some(Path::new("/no/such/home"));
        assert_holds(
            &complaint(Runner::GroupWithHome, home),
            &["python-home=/no/such/home: there is no such"],
        );
        assert_holds(&complaint(Runner::Group, home), &["WSGIPythonHome /no/such/home: there is no such"]);
        assert_holds(&complaint(Runner::Group, None), &["neither python-home= nor WSGIPythonHome is set"]);
        let in_nginx =
            |runner, home| question(runner, home).dialect(Dialect::Nginx).ask().unwrap_err().to_string();
        assert_holds(&in_nginx(Runner::GroupWithHome, home), &["python_home=/no/such/home: there is"]);
        assert_holds(&in_nginx(Runner::Group, home), &["wsgi_python_home /no/such/home: there is"]);
    }

    #[test]
    fn the_python_on_path_says_what_it_is() {
        let folder = Folder::new("path");
        let path = std::env::var_os("PATH").unwrap();
        let question = Question::new(Runner::Server, None, &path, RuntimeFiles::beside(&folder.0));
        match question.ask() {
            Ok((python, _)) => {
                assert!(python.version >= (3, 10, 0) && python.executable.is_file());
                assert!(python.library.is_some_and(|library| library.is_file()));
            }
            // A Python without a shared library is a good answer too.
            Err(error) => match *error.reason {
                Reason::NoLibrary { ref looked, .. } => assert!(!looked.is_empty()),
                _ => panic!("{error}"),
            },
        }
    }

    #[test]
    fn a_link_into_a_closed_folder_is_named() {
        let folder = Folder::new("link");
        let closed = folder.0.join("closed");
        fs::create_dir(&closed).unwrap();
        fs::write(closed.join("python"), "").unwrap();
        symlink(closed.join("python"), folder.0.join("bin/python3")).unwrap();
        for path in [&closed, &folder.0] {
            fs::set_permissions(
                path,
                fs::Permissions::from_mode(if path == &closed { 0o000 } else { 0o755 }),
            )
            .unwrap();
        }
        let runtimes = RuntimeFiles::beside(&folder.0);
        let mut question = Question::new(Runner::Server, Some(&folder.0), OsStr::new(""), runtimes);
        if Account::may_change() {
            question = question.account(Account::new(65_534, 65_534, None), "nobody".into(), None);
        }
        let complaint = question.ask().unwrap_err().to_string();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        assert_holds(&complaint, &["may not run", "closed is closed to it", "chmod o+x"]);
    }
}
