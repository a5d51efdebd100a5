//! All questions to homes of one reading of the configuration: each home is asked once for each account that will run it,
//! many at the same time.

#[cfg(feature = "apache")]
mod written;

use std::collections::HashMap;
use std::ffi::{CString, OsStr};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oxwsgi_core::config::DaemonGroup;
use oxwsgi_core::daemon;
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::home::{Python, Question, Runner, RuntimeFiles};
use oxwsgi_core::os::Account;

/// A Python takes a processor for some 10 ms and waits for its disk: a few at a time are done soonest.
const AT_ONCE: usize = 8;

/// When other people's sites stand still meanwhile, all homes together get the time of one, and each at least this.
const SHARE: Duration = Duration::from_secs(2);

/// The Python that was asked for and the runtime that fits it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The Python.
    pub python: Python,
    /// The runtime's file.
    pub runtime: PathBuf,
}

/// The Python and its runtime, or what is wrong.
pub type Answer = Result<Found, String>;

/// Who runs a home: the account, what the configuration calls it, and what it sees as the root of the file system.
pub type RunBy = (Account, String, Option<CString>);

/// A question's place among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u64);

/// Questions to ask.
#[derive(Debug)]
pub struct Inquiry {
    dialect: Dialect,
    runtimes: RuntimeFiles,
    server_user: u32,
    questions: Vec<(u64, Question)>,
}

/// What came of them.
#[derive(Debug, Default)]
pub struct Answers(HashMap<u64, Answer>);

impl Inquiry {
    /// No questions yet. `module` is the folder of this module; accounts other than `server_user` learn little of the server's
    /// environment.
    pub fn new(dialect: Dialect, module: &Path, server_user: u32) -> Self {
        Self { dialect, runtimes: RuntimeFiles::beside(module), server_user, questions: Vec::new() }
    }

    /// Asks for the Python of the server's own processes.
    #[cfg(feature = "apache")]
    pub fn for_server(&mut self, home: Option<&[u8]>, run_by: Option<RunBy>) -> Place {
        self.add(Runner::Server, home, run_by, false)
    }

    /// Asks for the Python of a daemon group, which `account` runs; without a home of its own it has the `common` one.
    pub fn for_group(
        &mut self,
        group: &DaemonGroup,
        common: Option<&[u8]>,
        account: Option<&daemon::Account>,
    ) -> Place {
        // One that is the common one is best known by that name.
        let own = group.python_home.as_deref().filter(|own| Some(*own) != common);
        let runner = if own.is_some() { Runner::GroupWithHome } else { Runner::Group };
        let root = group.chroot.as_deref();
        let is_foreign = account.is_some_and(|account| account.uid != self.server_user);
        let run_by = account.map(|account| {
            let root = root.and_then(|root| CString::new(root).ok());
            (account.identity(), account.title(), root)
        });
        self.add(runner, own.or(common), run_by, is_foreign)
    }

    fn add(&mut self, runner: Runner, home: Option<&[u8]>, run_by: Option<RunBy>, is_foreign: bool) -> Place {
        let key = key(&(runner, home, run_by.as_ref().map(|(account, _, root)| (account, root))));
        if !self.questions.iter().any(|(known, _)| *known == key) {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let home = home.map(|home| Path::new(OsStr::from_bytes(home)));
            let question = Question::new(runner, home, &path, self.runtimes.clone()).dialect(self.dialect);
            let question = match run_by {
                Some((account, user, root)) => question.account(account, user, root),
                None => question,
            };
            let question = if is_foreign { question.foreign() } else { question };
            self.questions.push((key, question));
        }
        Place(key)
    }

    /// Waits for the answers to what is not among the `known` ones; not for long when other people's sites stand still meanwhile.
    pub fn ask(self, known: Answers, others_wait: bool) -> Answers {
        let mut answers = known;
        let unknown: Vec<_> = self.questions.iter().filter(|(key, _)| !answers.0.contains_key(key)).collect();
        let begin = Instant::now();
        for some in unknown.chunks(AT_ONCE) {
            let limit = match others_wait {
                true => Question::PATIENCE.saturating_sub(begin.elapsed()).max(SHARE),
                false => Question::PATIENCE,
            };
            let asked: Vec<_> = some.iter().map(|(key, question)| (*key, question.launch())).collect();
            for (key, asked) in asked {
                let answer = asked.answer(limit).map(|(python, runtime)| Found { python, runtime });
                answers.0.insert(key, answer.map_err(|error| error.to_string()));
            }
        }
        answers
    }
}

/// Of what an answer depends on.
fn key(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

impl Answers {
    /// The answer to a question that was asked.
    pub fn get(&self, place: Place) -> Answer {
        self.0.get(&place.0).cloned().unwrap_or_else(|| Err("it was not asked".to_owned()))
    }
}
