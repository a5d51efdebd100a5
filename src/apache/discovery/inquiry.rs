//! All questions to homes of one reading of the configuration: each home is asked once for each account that will run it,
//! many at the same time, and at a start only in the first pass.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oxwsgi_core::config::{DaemonGroup, ProcessSettings};
use oxwsgi_core::daemon::{decode, encode};
use oxwsgi_core::home::{Python, Question, Runner, RuntimeFiles};

use crate::apache::account;
use crate::apache::discovery::Found;
use crate::apache::kept::Kept;
use crate::apache::phase::Phase;
use crate::apache::record::Server;

/// Under this name the first pass leaves its answers.
const KEPT: &CStr = c"oxwsgi-pythons";

/// A Python takes a processor for some 10 ms and waits for its disk: a few at a time are done soonest.
const AT_ONCE: usize = 8;

/// At a restart, when other people's sites stand still, all homes together get the time of one, and each at least this.
const SHARE: Duration = Duration::from_secs(2);

/// The Python and its runtime, or what is wrong.
pub type Answer = Result<Found, String>;

/// A question's place among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u64);

/// Questions to ask.
#[derive(Debug)]
pub struct Inquiry<'a> {
    settings: &'a ProcessSettings,
    runtimes: RuntimeFiles,
    questions: Vec<(u64, Question)>,
}

/// What came of them.
#[derive(Debug)]
pub struct Answers(HashMap<u64, Answer>);

impl<'a> Inquiry<'a> {
    /// No questions yet. `module` is the folder of this module.
    pub fn new(settings: &'a ProcessSettings, module: &Path) -> Self {
        Self { settings, runtimes: RuntimeFiles::beside(module), questions: Vec::new() }
    }

    /// Asks for the Python of httpd's own processes.
    pub fn for_server(&mut self) -> Place {
        let home = self.settings.python_home.as_deref();
        let runs = account::of_server();
        let key = key(&(Runner::Server, home, runs.as_ref().map(|(account, _, root)| (account, root))));
        self.add(key, Runner::Server, home, runs, false)
    }

    /// Asks for the Python of a daemon group.
    ///
    /// # Errors
    /// Nobody may run it.
    pub fn for_group(&mut self, group: &DaemonGroup) -> Result<Place, String> {
        let own = group.python_home.as_deref();
        let runner = if own.is_some() { Runner::GroupWithHome } else { Runner::Group };
        let home = own.or(self.settings.python_home.as_deref());
        let root = group.chroot.as_deref();
        let account = account::of_group(group)?;
        let is_foreign = account.as_ref().is_some_and(|account| account.uid != account::server().0);
        let runs = account.map(|account| {
            let root = root.and_then(|root| CString::new(root).ok());
            (account.identity(), account.title(), root)
        });
        let key = key(&(runner, home, runs.as_ref().map(|(account, _, root)| (account, root))));
        Ok(self.add(key, runner, home, runs, is_foreign))
    }

    fn add(
        &mut self,
        key: u64,
        runner: Runner,
        home: Option<&[u8]>,
        runs: Option<(oxwsgi_core::os::Account, String, Option<CString>)>,
        is_foreign: bool,
    ) -> Place {
        if !self.questions.iter().any(|(known, _)| *known == key) {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let home = home.map(|home| Path::new(OsStr::from_bytes(home)));
            let question = Question::new(runner, home, &path, self.runtimes.clone());
            let question = match runs {
                Some((account, user, root)) => question.account(account, user, root),
                None => question,
            };
            let question = if is_foreign { question.foreign() } else { question };
            self.questions.push((key, question));
        }
        Place(key)
    }

    /// Waits for the answers.
    pub fn ask(self, main: Server<'_>, phase: Phase) -> Answers {
        let kept = Kept::new(main, KEPT);
        let mut answers = Answers::read(kept.get().filter(|_| phase == Phase::Start));
        kept.clear();
        // A configuration that reads differently the second time has questions of its own.
        let unknown: Vec<_> = self.questions.iter().filter(|(key, _)| !answers.0.contains_key(key)).collect();
        let begin = Instant::now();
        for some in unknown.chunks(AT_ONCE) {
            let limit = match phase {
                Phase::Restart => Question::PATIENCE.saturating_sub(begin.elapsed()).max(SHARE),
                _ => Question::PATIENCE,
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

/// As the pool of the process keeps it: the key, and the Python and the runtime's path, or what is wrong.
type Written = (u64, Result<(Vec<u8>, Vec<u8>), String>);

impl Answers {
    /// The answer to a question that was asked.
    pub fn get(&self, place: Place) -> Answer {
        self.0.get(&place.0).cloned().unwrap_or_else(|| Err("it was not asked".to_owned()))
    }

    /// Leaves them for the second pass.
    pub fn keep(self, main: Server<'_>) {
        let written: Vec<Written> = self
            .0
            .into_iter()
            .map(|(key, answer)| {
                (key, answer.map(|found| (found.python.to_text(), found.runtime.into_os_string().into_vec())))
            })
            .collect();
        Kept::new(main, KEPT).set(&encode(&written));
    }

    fn read(kept: Option<&[u8]>) -> Self {
        let written: Vec<Written> = kept.and_then(decode).unwrap_or_default();
        let read = |(key, answer): Written| {
            let answer = match answer {
                Ok((python, runtime)) => Ok(Found {
                    python: Python::from_text(&python)?,
                    runtime: PathBuf::from(std::ffi::OsString::from_vec(runtime)),
                }),
                Err(text) => Err(text),
            };
            Some((key, answer))
        };
        Self(written.into_iter().filter_map(read).collect())
    }
}
