//! A server without a server: hands a supervisor its plan, as httpd's parent process would, and watches.

use std::fs::{self, File, OpenOptions};
use std::io::{self, PipeWriter, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use oxwsgi_core::daemon::board::{Board, State};
use oxwsgi_core::daemon::{
    Account, FromSupervisor, FromWorker, Group, Handover, Limits, LogTarget, Plan, Python, Reason, Resources,
    Role, Server, ToSupervisor, decode, encode,
};
use oxwsgi_core::os::packet::{self, Wait};
use oxwsgi_core::report::Level;
use rustix::io::FdFlags;

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// The user that runs workers when the tests run as root: `nobody`, who owns nothing.
pub const NOBODY: u32 = 65_534;

/// Descriptors are inherited while no other test starts a process.
static STARTING: Mutex<()> = Mutex::new(());

/// A folder with a server's configuration.
#[derive(Debug)]
pub struct Site {
    /// Where everything is; readable for all.
    pub folder: PathBuf,
    log: File,
}

impl Site {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        fs::create_dir(folder.join("reports")).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(folder.join("reports"), fs::Permissions::from_mode(0o777)).unwrap();
        let log = OpenOptions::new().create(true).append(true).open(folder.join("error.log")).unwrap();
        Self { folder, log }
    }

    /// A group whose `python` is a fake worker that does `body`.
    pub fn group(&self, name: &str, body: &str) -> Group {
        let program = self.folder.join(format!("{name}.py"));
        let messages = [
            ("READY", FromWorker::Ready),
            ("ENDING", FromWorker::Ending(Reason::MaximumRequests)),
            ("STOPPING", FromWorker::Stopping),
            ("LOG", FromWorker::Log(Level::Notice, b"a message".to_vec())),
            ("EMERGENCY", FromWorker::Log(Level::Emergency, b"no emergency".to_vec())),
            ("DEBUG", FromWorker::Log(Level::Debug, b"too fine".to_vec())),
        ];
        let mut text = format!("#!{}\n{}\n", python(), include_str!("fake_worker.py"));
        for (name, message) in messages {
            let hex: String = encode(&message).iter().map(|byte| format!("{byte:02x}")).collect();
            text.push_str(&format!("{name} = \"{hex}\"\n"));
        }
        text.push_str(body);
        write_program(&program, &text);
        let account = is_root().then(|| Account {
            uid: NOBODY,
            gid: NOBODY,
            groups: Vec::new(),
            name: Some(b"nobody".to_vec()),
            home: None,
        });
        Group {
            name: name.as_bytes().to_vec(),
            processes: 1,
            threads: 2,
            multiprocess: false,
            account,
            foreign: false,
            socket: bytes(&self.folder.join(format!("{name}.sock"))),
            socket_user: rustix::process::getuid().as_raw(),
            backlog: 10,
            socket_buffers: (0, 0),
            log: self.log_target(),
            umask: None,
            chroot: None,
            home: None,
            lang: None,
            locale: None,
            environment: Vec::new(),
            display_name: None,
            resources: Resources::default(),
            limits: Limits { shutdown: Some(Duration::from_secs(5)), ..Limits::default() },
            python: Python {
                executable: bytes(&program),
                runtime: b"/runtime.so".to_vec(),
                ..Python::default()
            },
            imports: Vec::new(),
        }
    }

    pub fn log_target(&self) -> LogTarget {
        LogTarget::Descriptor(self.log.as_raw_fd(), Level::Info)
    }

    pub fn plan(&self, groups: Vec<Group>) -> Plan {
        Plan {
            package_version: env!("CARGO_PKG_VERSION").to_owned(),
            strict: true,
            parent: Some(std::process::id()),
            server_user: rustix::process::getuid().as_raw(),
            log: self.log_target(),
            server: Server::default(),
            groups,
        }
    }

    /// Starts a supervisor, in place of the one whose `adopted` groups these are.
    pub fn supervise(&self, plan: &Plan, adopted: &[Known]) -> Supervised<'_> {
        self.supervise_bytes(&encode(plan), &adopted.iter().map(Some).collect::<Vec<_>>())
    }

    pub fn supervise_bytes(&self, plan: &[u8], adopted: &[Option<&Known>]) -> Supervised<'_> {
        self.start(Role::Supervisor, plan, adopted)
    }

    /// Starts a keeper, which starts a supervisor.
    pub fn keep(&self, plan: &Plan) -> Supervised<'_> {
        self.start(Role::Keeper, &encode(plan), &[])
    }

    fn start(&self, role: Role, plan: &[u8], adopted: &[Option<&Known>]) -> Supervised<'_> {
        let file = tempfile::tempfile().unwrap();
        (&file).write_all(plan).unwrap();
        let (control, theirs) = packet::pair().unwrap();
        let (lifeline, lifeline_writer) = io::pipe().unwrap();
        let (drain, drain_writer) = io::pipe().unwrap();
        let handover = Handover {
            plan: file.as_raw_fd(),
            control: theirs.as_raw_fd(),
            lifeline: lifeline.as_raw_fd(),
            drain: drain.as_raw_fd(),
            adopted: adopted
                .iter()
                .map(|known| known.map(|known| (known.listener.as_raw_fd(), known.descriptor.as_raw_fd())))
                .collect(),
        };
        let mut inherited =
            vec![file.as_fd(), theirs.as_fd(), lifeline.as_fd(), drain.as_fd(), self.log.as_fd()];
        inherited.extend(
            adopted.iter().flatten().flat_map(|known| [known.listener.as_fd(), known.descriptor.as_fd()]),
        );
        let mut command = Command::new(env!("CARGO_BIN_EXE_oxwsgi"));
        command.args(handover.arguments(role)).stdin(Stdio::null());
        command.env("SERVERS_SECRET", "1").env("APACHE_RUN_DIR", "1").env("LISTEN_FDS", "1");
        let child = {
            let _alone = STARTING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let set = |flags| inherited.iter().for_each(|fd| rustix::io::fcntl_setfd(fd, flags).unwrap());
            set(FdFlags::empty());
            let child = command.spawn().unwrap();
            set(FdFlags::CLOEXEC);
            child
        };
        Supervised { site: self, child, control, lifeline: Some(lifeline_writer), drain: Some(drain_writer) }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("error.log")).unwrap()
    }

    /// Waits for a line with all of these parts.
    pub fn await_line(&self, parts: &[&str]) -> String {
        let text = || {
            self.log().lines().find(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned)
        };
        eventually(text).unwrap_or_else(|| panic!("no line with {parts:?} in:\n{}", self.log()))
    }

    /// Waits for what a fake worker has reported.
    pub fn await_report(&self, name: &str) -> String {
        let path = self.folder.join("reports").join(name);
        eventually(|| fs::read_to_string(&path).ok())
            .unwrap_or_else(|| panic!("no report {name}; the log:\n{}", self.log()))
    }

    pub fn count(&self, name: &str) -> u64 {
        fs::metadata(self.folder.join("reports").join(name)).map_or(0, |file| file.len())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A group that the supervisor has told of.
#[derive(Debug)]
pub struct Known {
    pub listener: OwnedFd,
    pub descriptor: OwnedFd,
    pub board: Board,
}

impl Known {
    /// Slot and number of the processes that are not dead.
    pub fn living(&self) -> Vec<(u32, u32)> {
        let living = self.board.all().filter(|(_, process)| {
            process.pid() != 0 && !matches!(process.state(), State::Free | State::Dead)
        });
        living.map(|(slot, process)| (slot, process.pid())).collect()
    }

    /// Waits until `count` processes live, none of which is one of `others`.
    pub fn await_living(&self, count: usize, others: &[u32]) -> Vec<(u32, u32)> {
        let found = eventually(|| {
            let mut living = self.living();
            living.retain(|(_, pid)| !others.contains(pid));
            (living.len() == count).then_some(living)
        });
        found.unwrap_or_else(|| panic!("not {count} processes but {:?}", self.living()))
    }
}

/// A supervisor that runs.
#[derive(Debug)]
pub struct Supervised<'a> {
    site: &'a Site,
    pub child: Child,
    control: OwnedFd,
    pub lifeline: Option<PipeWriter>,
    pub drain: Option<PipeWriter>,
}

/// What it has said of its start.
#[derive(Debug, Default)]
pub struct Started {
    pub groups: Vec<(u32, Known)>,
    pub failures: Vec<(u32, String)>,
    pub is_ready: bool,
}

impl Supervised<'_> {
    /// Waits until it is ready, or has given up.
    pub fn started(&self) -> Started {
        let mut started = Started::default();
        let mut buffer = [0; 4096];
        loop {
            let mut packet = eventually(|| packet::receive(&self.control, &mut buffer, 2, Wait::Never).ok())
                .unwrap_or_else(|| panic!("no word from the supervisor; the log:\n{}", self.site.log()));
            if packet.length == 0 {
                return started;
            }
            match decode(&buffer[..packet.length]).expect("a message") {
                FromSupervisor::Group(index) => {
                    let descriptor = packet.descriptors.pop().unwrap();
                    let listener = packet.descriptors.pop().unwrap();
                    let board = Board::open(descriptor.as_fd()).unwrap();
                    started.groups.push((index, Known { listener, descriptor, board }));
                }
                FromSupervisor::Failed(index, text) => started.failures.push((index, text)),
                FromSupervisor::Ready => {
                    started.is_ready = true;
                    return started;
                }
            }
        }
    }

    /// The one group of a plan, started.
    pub fn group(&self) -> Known {
        let mut started = self.started();
        assert!(started.is_ready, "{started:?}; the log:\n{}", self.site.log());
        started.groups.remove(0).1
    }

    pub fn say_drain(&self) {
        packet::send(&self.control, &encode(&ToSupervisor::Drain), &[], Wait::Socket).unwrap();
    }

    /// Waits for the end of the control socket.
    pub fn hangs_up(&self) -> bool {
        let mut buffer = [0; 4096];
        eventually(|| packet::receive(&self.control, &mut buffer, 2, Wait::Never).ok())
            .is_some_and(|packet| packet.length == 0)
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually(|| child.try_wait().unwrap())
            .unwrap_or_else(|| panic!("it goes on; the log:\n{}", self.site.log()))
    }
}

impl Drop for Supervised<'_> {
    fn drop(&mut self) {
        // Its workers end with it.
        self.lifeline = None;
        let child = &mut self.child;
        if eventually(|| child.try_wait().unwrap()).is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn eventually<R>(mut look: impl FnMut() -> Option<R>) -> Option<R> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = look() {
            return Some(found);
        }
        sleep(Duration::from_millis(5));
    }
    None
}

/// Writes a program. Not by this process: a child of another test's that has just been forked would hold the file open for
/// writing, and as long nobody can execute it.
fn write_program(path: &Path, text: &str) {
    let script = r#"printf %s "$2" > "$1" && chmod 755 "$1""#;
    let written = Command::new("/bin/sh").args(["-c", script, "sh"]).arg(path).arg(text).status().unwrap();
    assert!(written.success());
}

/// The processes that a process has started and not waited for.
pub fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Whether a process is there, and not only waiting to be waited for.
pub fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

pub fn kill(pid: u32) {
    signal(pid, rustix::process::Signal::KILL);
}

pub fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub fn bytes(path: &Path) -> Vec<u8> {
    path.to_str().unwrap().as_bytes().to_vec()
}

/// A Python that everybody may execute, if there is one.
fn python() -> &'static str {
    let usual = "/usr/bin/python3";
    if Path::new(usual).exists() { usual } else { "/usr/bin/env python3" }
}
