//! How the processes of a group are started, and what it means when the system refuses a step of it.

#![forbid(unsafe_code)]

use std::ffi::{CString, OsString};
use std::fmt::Write;
use std::time::Duration;

use oxwsgi_core::daemon::{Group, bootstrap};
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::os::{Account, Launch, Limit, LimitKind, Obstacle, Step, environment};

/// The launch of a group's processes.
#[derive(Debug)]
pub struct Recipe {
    /// To start one.
    pub launch: Launch,
    limits: Vec<Limit>,
    folders: Vec<Vec<u8>>,
    dialect: Dialect,
}

impl Recipe {
    /// `server` are the variables of the server, whose settings are called as in `dialect`; `descriptors` is the limit that was
    /// there before this process raised its own.
    ///
    /// # Errors
    /// A path or name cannot be handed to the system.
    pub fn new(
        group: &Group,
        server: impl IntoIterator<Item = (OsString, OsString)>,
        descriptors: Option<Limit>,
        dialect: Dialect,
    ) -> Result<Self, String> {
        let arguments = c_texts(bootstrap::command(group))?;
        let limits: Vec<Limit> = limits(group).chain(descriptors).collect();
        let folders = folders(group);
        let root = group.chroot.clone().map(c_text).transpose()?;
        let account = group.account.as_ref().map(|account| {
            let own = || vec![account.gid];
            let groups = if account.groups.is_empty() { own() } else { account.groups.clone() };
            Account::with_groups(account.uid, account.gid, groups)
        });
        let own = bootstrap::environment(group).into_iter().map(|(name, value)| (name.into(), value));
        let environment = environment(server, group.foreign, own.chain(group.environment.iter().cloned()));
        let launch = Launch::new(arguments, environment)
            .limits(limits.clone())
            .priority(group.resources.cpu_priority)
            .umask(group.umask)
            .root(root)
            .account(account)
            .folders(c_texts(folders.clone())?);
        Ok(Self { launch, limits, folders, dialect })
    }

    /// Why no process could be started, and what to do about it; none when the obstacles are no reason.
    pub fn refusal(&self, group: &Group, obstacles: &[Obstacle]) -> Option<String> {
        // Whoever gives up does it right after noting why.
        let last = obstacles.last().filter(|last| match last.step {
            Step::Priority => false,
            Step::Folder => self.entered(obstacles).is_none(),
            _ => true,
        })?;
        Some(self.describe(group, last))
    }

    /// The nice value that was asked for and could not be set.
    pub fn refused_priority(&self, group: &Group, obstacles: &[Obstacle]) -> Option<String> {
        let obstacle = obstacles.iter().find(|obstacle| obstacle.step == Step::Priority)?;
        let (name, priority) = (lossy(&group.name), group.resources.cpu_priority);
        let option = self.dialect.option("cpu-priority");
        Some(format!(
            "{option}={priority} of daemon process group '{name}' could not be set: {}.",
            obstacle.reason
        ))
    }

    /// Where a process works that could not enter the home directory of its account.
    pub fn other_folder(&self, group: &Group, obstacles: &[Obstacle]) -> Option<String> {
        let obstacle = obstacles.iter().find(|obstacle| obstacle.step == Step::Folder)?;
        Some(format!(
            "The processes of daemon process group '{}' work in {}, for the home directory {} of {} cannot be entered: \
             {}. With home= they work elsewhere.",
            lossy(&group.name),
            lossy(self.entered(obstacles)?),
            lossy(self.folders.first()?),
            whom(group),
            obstacle.reason
        ))
    }

    /// The folder that a process works in after these obstacles.
    fn entered(&self, obstacles: &[Obstacle]) -> Option<&[u8]> {
        let refused = obstacles.iter().filter(|obstacle| obstacle.step == Step::Folder).count();
        self.folders.get(refused).map(Vec::as_slice)
    }

    fn describe(&self, group: &Group, obstacle: &Obstacle) -> String {
        let Obstacle { step, reason, folder } = obstacle;
        let whom = whom(group);
        let mut text = match step {
            Step::Root => {
                format!("chroot to {}: {reason}", lossy(group.chroot.as_deref().unwrap_or_default()))
            }
            Step::Identity => format!("becoming {whom}: {reason}"),
            Step::Limit(index) => {
                let option = match self.limits.get(*index).map(|limit| limit.kind) {
                    Some(LimitKind::Cpu) => "cpu-time-limit",
                    Some(LimitKind::Data) => "memory-limit",
                    Some(LimitKind::AddressSpace) => "virtual-memory-limit",
                    Some(LimitKind::Descriptors) | None => "the number of open files",
                };
                format!("setting {}: {reason}", self.dialect.option(option))
            }
            Step::Folder => {
                let home = self.folders.last().map(Vec::as_slice).unwrap_or_default();
                format!("chdir to home {} as {whom}: {reason}", lossy(home))
            }
            Step::Execute(_) => {
                format!("running {} as {whom}: {reason}", lossy(&group.python.executable))
            }
            Step::Priority | Step::Read(_) => reason.to_string(),
        };
        let python_home = self.dialect.option("python-home");
        // Writing to a text cannot fail.
        let _ = match (step, folder, reason.raw_os_error()) {
            (_, Some(folder), _) => {
                let folder = folder.display();
                write!(
                    text,
                    "; {folder} is closed to it (chmod o+x {folder} opens the way, without showing what is in it)"
                )
            }
            (Step::Folder, _, Some(libc::ENOENT)) => write!(text, "; create it, or change home="),
            (Step::Execute(_), _, Some(libc::ENOENT)) if group.chroot.is_some() => {
                write!(text, "; {python_home} names a Python inside of the chroot directory")
            }
            (Step::Execute(_), _, Some(libc::ENOENT)) => {
                write!(
                    text,
                    "; {python_home} was replaced while the server was running: start the server again"
                )
            }
            _ => Ok(()),
        };
        text
    }
}

/// `user 'bob' (uid=1001)`, or whoever runs the server.
pub fn whom(group: &Group) -> String {
    match &group.account {
        None => "the server's user".to_owned(),
        Some(account) => match &account.name {
            Some(name) => format!("user '{}' (uid={})", lossy(name), account.uid),
            None => format!("uid={}", account.uid),
        },
    }
}

/// Bytes of somebody's configuration, for a text.
pub fn lossy(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn limits(group: &Group) -> impl Iterator<Item = Limit> {
    let resources = &group.resources;
    let seconds = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let cpu = resources.cpu_time.map(|time| {
        // The process is told first, and finishes its requests; the kernel ends it when that takes too much as well.
        let hard = seconds(time) + 1 + group.limits.shutdown.map_or(0, seconds);
        Limit { kind: LimitKind::Cpu, soft: seconds(time), hard }
    });
    let bytes = |kind| move |bytes| Limit { kind, soft: bytes, hard: bytes };
    let data = resources.memory.map(bytes(LimitKind::Data));
    let space = resources.virtual_memory.map(bytes(LimitKind::AddressSpace));
    [cpu, data, space].into_iter().flatten()
}

/// Where the processes work: the first that they can enter.
fn folders(group: &Group) -> Vec<Vec<u8>> {
    let own = || group.account.as_ref().filter(|_| group.foreign)?.home.clone();
    match &group.home {
        Some(home) => vec![home.clone()],
        None => own().into_iter().chain([b"/".to_vec()]).collect(),
    }
}

fn c_text(bytes: Vec<u8>) -> Result<CString, String> {
    CString::new(bytes).map_err(|error| format!("{:?} has a NUL in it", lossy(&error.into_vec())))
}

fn c_texts(texts: Vec<Vec<u8>>) -> Result<Vec<CString>, String> {
    texts.into_iter().map(c_text).collect()
}
