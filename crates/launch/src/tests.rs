//! A server's parent process and supervisors that are none: scripts which say what a test wants them to say.

use std::fs;
use std::io::Read;
use std::os::fd::FromRawFd;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use oxwsgi_core::config::{DaemonGroup, Host, ProcessSettings};
use oxwsgi_core::daemon::board::Board;
use oxwsgi_core::daemon::{ALL_GROUPS, Draft, FromSupervisor, LogTarget, Plan, Server, ToSupervisor, encode};
use oxwsgi_core::report::Level;
use tempfile::TempDir;

use super::*;

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

const SCRIPT: &str = r#"
import array, os, socket, sys

arguments = dict(word[2:].split("=", 1) for word in sys.argv[2:])
control = socket.socket(fileno=int(arguments["control"]))
here = os.path.dirname(os.path.abspath(__file__))

def tell(message, *descriptors):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    control.sendmsg([bytes.fromhex(message)], rights if descriptors else [])

def report(name, text):
    with open(os.path.join(here, name + ".new"), "w") as file:
        file.write(text)
    os.rename(os.path.join(here, name + ".new"), os.path.join(here, name))

def group(index):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    board = os.memfd_create("board", 0)
    tell([GROUP_0, GROUP_1][index], listener.fileno(), board)
"#;

/// A supervisor's program, and what it says.
struct Fake {
    folder: TempDir,
}

impl Fake {
    fn new(body: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let messages = [
            ("GROUP_0", FromSupervisor::Group(0)),
            ("GROUP_1", FromSupervisor::Group(1)),
            ("GROUP_7", FromSupervisor::Group(7)),
            ("FAILED_0", FromSupervisor::Failed(0, "no home".into())),
            ("FAILED_1", FromSupervisor::Failed(1, "no socket".into())),
            ("FAILED_ALL", FromSupervisor::Failed(ALL_GROUPS, "no plan".into())),
            ("READY", FromSupervisor::Ready),
        ];
        let hex = |message| encode(message).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let messages: String =
            messages.iter().map(|(name, message)| format!("{name} = \"{}\"\n", hex(message))).collect();
        let fake = Self { folder };
        let text = format!("#!/usr/bin/env python3\n{SCRIPT}\n{messages}\n{body}\n");
        // Not written by this process: a child of another test's that has just been forked would hold the file open for
        // writing, and as long nobody can execute it.
        let script = r#"printf %s "$2" > "$1" && chmod 755 "$1""#;
        let mut shell = Command::new("/bin/sh");
        assert!(shell.args(["-c", script, "sh"]).arg(fake.program()).arg(text).status().unwrap().success());
        fake
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("oxwsgi")
    }

    fn start(&self, strict: bool) -> Result<(Generation, Vec<String>), LaunchError> {
        self.start_within(strict, PATIENCE)
    }

    fn start_within(
        &self,
        strict: bool,
        patience: Duration,
    ) -> Result<(Generation, Vec<String>), LaunchError> {
        Generation::start(&self.program(), plan(strict), Lifeline::new().unwrap(), patience)
    }

    fn complaint(&self, strict: bool) -> String {
        self.start(strict).map(|(_, failures)| failures).unwrap_err().to_string()
    }

    /// What the script has reported.
    fn report(&self, name: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match fs::read_to_string(self.folder.path().join(name)) {
                Ok(text) => return text,
                Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => panic!("no report {name}: {error}"),
            }
        }
    }
}

/// Of the groups `shop` and `blog`.
fn plan(strict: bool) -> Plan {
    let log = LogTarget::Descriptor(2, Level::Info);
    let group = |name: &str| {
        let draft = Draft {
            account: None,
            server_user: 0,
            socket: format!("/nowhere/{name}").into_bytes(),
            log: log.clone(),
            timeout: Duration::from_secs(60),
            executable: std::path::Path::new("/python3"),
            runtime: std::path::Path::new("/runtime.so"),
            environment: Vec::new(),
        };
        draft.complete(&DaemonGroup::new(name.as_bytes(), Host::Main), &ProcessSettings::default())
    };
    Plan {
        package_version: env!("CARGO_PKG_VERSION").to_owned(),
        strict,
        parent: None,
        server_user: 0,
        groups: ["shop", "blog"].map(group).into(),
        log,
        server: Server::default(),
    }
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let fake = Fake::new("");
    fs::remove_file(fake.program()).unwrap();
    let complaint = fake.complaint(true);
    assert!(complaint.contains(&*fake.program().to_string_lossy()), "{complaint}");
    assert!(complaint.contains("No such file") && complaint.contains("install oxwsgi again"), "{complaint}");
}

#[test]
fn a_program_is_looked_at_before_it_is_started() {
    let fake = Fake::new("");
    assert_eq!(look_at(&fake.program()), Ok(()));
    let complaint = look_at(fake.folder.path()).unwrap_err();
    assert!(complaint.contains("is not a file; install oxwsgi again"), "{complaint}");
    fs::remove_file(fake.program()).unwrap();
    let complaint = look_at(&fake.program()).unwrap_err();
    assert!(complaint.contains("cannot be used: No such file"), "{complaint}");
}

#[test]
fn a_program_that_ends_is_told() {
    let complaint = Fake::new("sys.exit(3)").complaint(true);
    assert!(
        complaint.ends_with("ended before its daemon process groups were ready: exit code 3"),
        "{complaint}"
    );
}

#[test]
fn a_program_that_is_silent_is_ended() {
    let fake = Fake::new("report('pid', str(os.getpid()))\nimport time\ntime.sleep(1000)");
    let error = fake.start_within(true, Duration::from_secs(1)).map(|(_, failures)| failures).unwrap_err();
    assert!(matches!(error, LaunchError::Silent(_)), "{error}");
    // One that ends when it is told to might not have come so far.
    if let Ok(pid) = fs::read_to_string(fake.folder.path().join("pid")) {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for body in ["tell('ffff')", "tell(GROUP_0)", "tell(GROUP_7, 0, 0)"] {
        let complaint = Fake::new(body).complaint(true);
        assert!(complaint.contains("answers something that is not understood"), "{body}: {complaint}");
    }
}

#[test]
fn groups_hand_over_their_sockets_and_boards() {
    let fake = Fake::new(
        "report('descriptors', ' '.join(sorted(os.listdir('/proc/self/fd'), key=int)))\n\
         report('input', os.readlink('/proc/self/fd/0'))\n\
         report('arguments', ' '.join(sys.argv[1:]))\n\
         report('plan', os.pread(int(arguments['plan']), 1 << 20, 0).hex())\n\
         group(0)\ngroup(1)\ntell(READY)\ncontrol.recv(100)",
    );
    let (generation, failures) = fake.start(true).unwrap();
    assert!(failures.is_empty());
    assert!(generation.board(0).is_some() && generation.board(1).is_some() && generation.board(2).is_none());
    assert!(generation.pid().is_some());
    assert_eq!(fake.report("input"), "/dev/null");
    let arguments = fake.report("arguments");
    assert!(arguments.starts_with("supervise --plan=") && !arguments.contains("--adopt"), "{arguments}");
    // The standard ones, the four that are named, and the folder that is read; none of this process's many others.
    let named = arguments.split_whitespace().filter_map(|word| word.split_once('=')).count();
    let descriptors = fake.report("descriptors");
    assert_eq!((named, descriptors.split_whitespace().count()), (4, 3 + 4 + 1), "{descriptors}");
    let written: String = encode(&plan(true)).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(fake.report("plan"), written);
}

#[test]
fn all_groups_that_fail_are_named() {
    let complaint = Fake::new("tell(FAILED_0)\ngroup(1)\ntell(FAILED_1)").complaint(true);
    assert_eq!(
        complaint,
        "WSGIDaemonProcess shop cannot start: no home; WSGIDaemonProcess blog cannot start: no socket"
    );
    assert_eq!(Fake::new("tell(FAILED_ALL)").complaint(false), "no plan");
}

#[test]
fn others_go_on_where_that_is_wanted() {
    let fake = Fake::new("tell(FAILED_0)\ngroup(1)\ntell(READY)\ncontrol.recv(100)");
    let (generation, failures) = fake.start(false).unwrap();
    assert_eq!(failures, ["WSGIDaemonProcess shop cannot start: no home"]);
    assert!(generation.board(0).is_none() && generation.board(1).is_some());
}

#[test]
fn another_supervisor_gets_what_the_first_has_made() {
    let fake = Fake::new(
        "if 'adopt' in arguments:\n\
         \x20   report('adopted', arguments['adopt'])\n\
         \x20   for pair in arguments['adopt'].split(','):\n\
         \x20       [os.fstat(int(number)) for number in pair.split(':') if pair != '-']\n\
         \x20   report('plan', os.pread(int(arguments['plan']), 1 << 20, 0).hex())\n\
         \x20   report('heard', repr(control.recv(100)))\n\
         else:\n\
         \x20   tell(FAILED_0)\n\
         \x20   group(1)\n\
         \x20   tell(READY)",
    );
    let (mut generation, _) = fake.start(false).unwrap();
    let first = generation.pid();
    generation.lose_supervisor();
    assert_eq!(generation.pid(), None);
    assert_ne!(Some(generation.restart().unwrap()), first);
    let adopted = fake.report("adopted");
    assert!(adopted.starts_with("-,") && adopted.contains(':'), "{adopted}");
    let written: String = encode(&plan(false)).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(fake.report("plan"), written);
    assert_eq!(fake.report("heard"), "b''", "nobody has anything to say to it");
}

#[test]
fn another_supervisor_makes_no_group_that_the_first_could_not_make() {
    let fake = Fake::new(
        "if 'adopt' in arguments:\n\
         \x20   report('adopted', arguments['adopt'])\n\
         else:\n\
         \x20   tell(FAILED_0)\n\
         \x20   tell(FAILED_1)\n\
         \x20   tell(READY)",
    );
    let (mut generation, _) = fake.start(false).unwrap();
    generation.restart().unwrap();
    assert_eq!(fake.report("adopted"), "-,-");
}

#[test]
fn a_supervisor_hears_of_the_end() {
    let drain: Vec<u8> = encode(&ToSupervisor::Drain);
    let fake = Fake::new(
        "group(0)\ngroup(1)\ntell(READY)\n\
         report('heard', control.recv(100).hex())\n\
         report('drained', repr(os.read(int(arguments['drain']), 1)))",
    );
    let (generation, _) = fake.start(true).unwrap();
    assert!(generation.end().is_some());
    assert_eq!(fake.report("heard"), drain.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    assert_eq!(fake.report("drained"), "b''");
}

#[test]
fn nothing_is_left_of_a_start_that_has_failed() {
    let fake = Fake::new(
        "path = os.path.join(here, 'shop.sock')\n\
         listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)\n\
         listener.bind(path)\n\
         tell(GROUP_0, listener.fileno(), os.memfd_create('board', 0))\n\
         os._exit(3)",
    );
    let socket = fake.folder.path().join("shop.sock");
    let mut plan = plan(true);
    plan.groups[0].socket = socket.to_str().unwrap().into();
    // Of a group that it had not come to, so it is not its.
    let other = fake.folder.path().join("blog.sock");
    drop(std::os::unix::net::UnixListener::bind(&other).unwrap());
    plan.groups[1].socket = other.to_str().unwrap().into();
    let start = Generation::start(&fake.program(), plan, Lifeline::new().unwrap(), PATIENCE);
    assert!(matches!(start.unwrap_err(), LaunchError::Ended { .. }));
    assert!(!socket.exists() && other.exists());
}

#[test]
fn a_keeper_is_nobodys_child_and_has_none_of_the_servers_signals() {
    let fake = Fake::new(
        "import signal, time\n\
         status = dict(line.split(':\\t', 1) for line in open('/proc/self/status') if ':\\t' in line)\n\
         facts = [sys.argv[1], os.getpid() == os.getsid(0), int(status['SigBlk'], 16)]\n\
         report('facts', repr(facts))\n\
         report('parent', str(os.getppid()))\n\
         group(0)\ngroup(1)\ntell(READY)\n\
         report('heard', control.recv(100).hex())\n\
         os.read(int(arguments['drain']), 1)\n\
         time.sleep(.3)\n\
         report('end', '')",
    );
    let lifeline = Lifeline::new().unwrap();
    let start = || Generation::start_kept(&fake.program(), plan(true), lifeline, PATIENCE);
    let (generation, failures) = oxwsgi_core::os::signals::with_all_blocked(start).unwrap();
    assert!(failures.is_empty() && generation.pid().is_none() && generation.board(1).is_some());
    assert_eq!(fake.report("facts"), "['keep', True, 0]", "it leads a session of its own");
    assert_ne!(fake.report("parent"), std::process::id().to_string());
    generation.end_within(PATIENCE);
    let drain: String = encode(&ToSupervisor::Drain).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(fs::read_to_string(fake.folder.path().join("heard")).unwrap(), drain);
    assert!(fake.folder.path().join("end").exists(), "its end was waited for");
}

#[test]
fn a_keeper_that_cannot_be_executed_or_ends_is_told() {
    let fake = Fake::new("sys.exit(3)");
    let start = || Generation::start_kept(&fake.program(), plan(true), Lifeline::new().unwrap(), PATIENCE);
    let complaint = start().map(|(_, failures)| failures).unwrap_err().to_string();
    assert!(complaint.ends_with("groups were ready: an unknown status"), "{complaint}");
    fs::remove_file(fake.program()).unwrap();
    let complaint = start().map(|(_, failures)| failures).unwrap_err().to_string();
    assert!(complaint.contains("No such file") && complaint.contains("install oxwsgi again"), "{complaint}");
}

#[test]
fn a_child_keeps_what_it_needs_and_starts_nothing() {
    let fake = Fake::new("group(0)\ngroup(1)\ntell(READY)\nreport('heard', repr(control.recv(100)))");
    let (mut generation, _) = fake.start(true).unwrap();
    generation.enter_child();
    assert!(generation.board(0).is_some());
    assert!(matches!(generation.restart(), Err(LaunchError::Prepare(_))));
    assert_eq!(fake.report("heard"), "b''", "the socket is closed");
    // What a script calls a board is none.
    assert!(Board::open(generation.board(0).unwrap()).is_err());
}

#[test]
#[allow(unsafe_code, reason = "forks as an application does")]
fn a_process_that_a_child_forks_keeps_no_generation_alive() {
    let fake = Fake::new(
        "group(0)\ngroup(1)\ntell(READY)\nreport('drained', repr(os.read(int(arguments['drain']), 1)))",
    );
    let (mut generation, _) = fake.start(true).unwrap();
    generation.enter_child();
    // SAFETY: the child does nothing but wait for its end.
    let forked = unsafe { libc::fork() };
    if forked == 0 {
        loop {
            // SAFETY: takes nothing.
            unsafe { libc::pause() };
        }
    }
    drop(generation);
    let drained = std::panic::catch_unwind(|| fake.report("drained"));
    // SAFETY: a child of ours that nobody has waited for.
    unsafe { libc::kill(forked, libc::SIGKILL) };
    // SAFETY: the status is not wanted.
    unsafe { libc::waitpid(forked, std::ptr::null_mut(), 0) };
    assert_eq!(drained.expect("the drain pipe has ended"), "b''");
}

#[test]
fn a_lifeline_ends_with_its_maker() {
    let lifeline = Lifeline::new().unwrap();
    // SAFETY: made above, and given away here: this end is closed once, by the file.
    #[allow(unsafe_code, reason = "reads the pipe")]
    let mut read = unsafe { fs::File::from_raw_fd(lifeline.read) };
    // SAFETY: as above, for the other end.
    #[allow(unsafe_code, reason = "closes the pipe")]
    drop(unsafe { fs::File::from_raw_fd(lifeline.write) });
    assert_eq!(read.read(&mut [0]).unwrap(), 0);
}
