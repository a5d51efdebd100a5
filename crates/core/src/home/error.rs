//! Why a home cannot be used: the text names the directive, the path, the reason and the cure.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::answer::OLDEST;
use crate::dialect::Dialect;
use crate::os::End;

/// Who is to run a home's Python. It decides what is needed of it, and which settings a cure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Runner {
    /// The server's own processes, which load its shared library; `WSGIPythonHome` names the home.
    Server,
    /// A daemon group, which executes it; `WSGIPythonHome` names the home, for the group has no `python-home`. (In either
    /// server's [`Dialect`].)
    Group,
    /// A daemon group with a `python-home`.
    GroupWithHome,
}

/// A home that cannot be used.
#[derive(Debug)]
pub struct HomeError {
    /// For whom.
    pub runner: Runner,
    /// In which configuration.
    pub dialect: Dialect,
    /// The value of the setting; `None` stands for the `python3` on `PATH`.
    pub home: Option<PathBuf>,
    /// The program that answered, when one did.
    pub program: Option<PathBuf>,
    /// The account that was to run it, as the configuration names it; `None` for our own.
    pub user: Option<String>,
    /// The root of the file system that it was to see, when it is another one.
    pub root: Option<PathBuf>,
    /// What is the matter.
    pub reason: Box<Reason>,
}

/// What is the matter with a home.
#[derive(Debug)]
pub enum Reason {
    /// There is no such folder.
    NoFolder,
    /// It is a file.
    NotFolder,
    /// There is no program of the names tried.
    NoProgram {
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// A folder on the way to the program is closed to the account.
    ClosedFolder {
        /// The program.
        program: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// The program cannot be executed.
    NotExecutable {
        /// The program.
        program: PathBuf,
        /// The operating system's reason.
        reason: io::Error,
    },
    /// The process could not become the account.
    Account(io::Error),
    /// The process could not change its root.
    Root(io::Error),
    /// No process could be started, or its answer not be read.
    Process(io::Error),
    /// It did not answer in time.
    Silent {
        /// The limit in seconds.
        seconds: u64,
    },
    /// It ended badly, or said something else.
    NotPython,
    /// It failed, and said this.
    Failed {
        /// How it ended.
        end: End,
        /// The last line of its errors.
        said: String,
    },
    /// Its answer makes no sense.
    Garbled,
    /// It is not CPython.
    OtherImplementation {
        /// What it calls itself.
        implementation: String,
    },
    /// It is too old.
    TooOld {
        /// Its version.
        version: (u32, u32, u32),
    },
    /// It has no shared library that the account may read.
    NoLibrary {
        /// Its version.
        version: (u32, u32, u32),
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// There is no runtime for it beside the server's module.
    NoRuntime {
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// The runtime is there, but the account may not read it.
    UnreadableRuntime {
        /// The file.
        file: PathBuf,
        /// The operating system's reason.
        reason: io::Error,
        /// The folder on the way that is closed to the account.
        folder: Option<PathBuf>,
    },
}

impl HomeError {
    fn user(&self) -> String {
        self.user.as_ref().map_or_else(|| "this user".to_owned(), |user| format!("user {user}"))
    }
}

impl std::error::Error for HomeError {}

impl fmt::Display for HomeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (account_settings, root_setting) = match self.runner {
            Runner::Server => ("User and Group", "ChrootDir"),
            Runner::Group | Runner::GroupWithHome => ("user= and group=", "chroot="),
        };
        let (option, directive) = (self.dialect.option("python-home"), self.dialect.python_home());
        match (self.runner, &self.home) {
            (Runner::GroupWithHome, Some(home)) => write!(f, "{option}={}: ", home.display())?,
            (_, Some(home)) => write!(f, "{directive} {}: ", home.display())?,
            (Runner::Server, None) => {
                write!(f, "{directive} is not set, and the python3 on PATH cannot be used: ")?;
            }
            (_, None) => write!(
                f,
                "neither {option}= nor {directive} is set, and the python3 on PATH cannot be used: ",
            )?,
        }
        if let Some(program) = &self.program {
            write!(f, "{}: ", program.display())?;
        }
        let user = self.user();
        match &*self.reason {
            Reason::NoFolder => write!(f, "there is no such folder; {NAME_A_PREFIX}"),
            Reason::NotFolder => write!(f, "this is not a folder; {NAME_A_PREFIX}"),
            Reason::NoProgram { looked } => {
                write!(f, "there is no Python: {} not found; {NAME_A_PREFIX}", list(looked))
            }
            Reason::ClosedFolder { program, folder } => write!(
                f,
                "{user} may not run {}, because the folder {} is closed to it; install Python where {user} can reach it, \
                 or let others through (chmod o+x {1})",
                program.display(),
                folder.display(),
            ),
            Reason::NotExecutable { program, reason } => {
                write!(f, "{user} cannot run {}: {}", program.display(), words(reason))
            }
            Reason::Account(reason) => write!(
                f,
                "Python is never run as root, and {user} cannot be assumed: {}; check {account_settings}",
                words(reason)
            ),
            Reason::Root(reason) => write!(f, "{root_setting} cannot be entered: {}", words(reason)),
            Reason::Process(reason) => write!(f, "Python cannot be started: {}", words(reason)),
            Reason::Silent { seconds } => write!(
                f,
                "it did not say its version within {seconds} seconds; run it by hand as {user} to see why"
            ),
            Reason::NotPython => write!(f, "this is not a Python; {NAME_A_PREFIX}"),
            Reason::Failed { end, said } => {
                write!(f, "run as {user} it ")?;
                match end {
                    End::Exited(status) => write!(f, "ended with status {status}")?,
                    End::Signalled(signal) => write!(f, "was ended by signal {signal}")?,
                    End::Stopped => write!(f, "did not end")?,
                }
                if !said.is_empty() {
                    write!(f, " and said \"{said}\"")?;
                }
                write!(f, "; {NAME_A_PREFIX}")
            }
            Reason::Garbled => write!(f, "what it says of itself makes no sense; {NAME_A_PREFIX}"),
            Reason::OtherImplementation { implementation } => {
                write!(f, "this is {implementation}, and only CPython can be loaded; {NAME_A_PREFIX}")
            }
            Reason::TooOld { version: (major, minor, patch) } => write!(
                f,
                "Python {major}.{minor}.{patch} is too old; use Python {}.{} or later",
                OLDEST.0, OLDEST.1
            ),
            Reason::NoLibrary { version: (major, minor, _), looked } => write!(
                f,
                "this Python has no shared library that {user} can read: {} not found; install it (Debian: \
                 libpython{major}.{minor}), build Python with --enable-shared, or use daemon mode, which needs none",
                list(looked)
            ),
            Reason::NoRuntime { looked } => write!(
                f,
                "the runtime is missing beside the server's module: {} not found; install oxwsgi again",
                list(looked)
            ),
            Reason::UnreadableRuntime { file, folder: Some(folder), .. } => write!(
                f,
                "{user} may not read the runtime {}, because the folder {} is closed to it; let others through (chmod \
                 o+x {1})",
                file.display(),
                folder.display(),
            ),
            Reason::UnreadableRuntime { file, reason, .. } => {
                write!(f, "{user} cannot read the runtime {}: {}", file.display(), words(reason))?;
                match &self.root {
                    Some(root) => {
                        write!(
                            f,
                            "; below {} it must be under the same name, so copy it there",
                            root.display()
                        )
                    }
                    None => Ok(()),
                }
            }
        }
    }
}

const NAME_A_PREFIX: &str =
    "name a prefix or virtual environment that has a bin/python (its sys.prefix), of CPython 3.10 or later";

fn list(paths: &[PathBuf]) -> String {
    match paths {
        [] => "it".to_owned(),
        [first, rest @ ..] => rest.iter().take(5).fold(first.display().to_string(), |mut text, path| {
            text.push_str(", ");
            text.push_str(&path.display().to_string());
            text
        }),
    }
}

/// The operating system's words, without Rust's addition of the number.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
