//! What a worker finds when it starts, and what the server learns of it.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use oxwsgi_core::daemon::board::State;
use oxwsgi_core::daemon::{Account, Resources};

use crate::harness::{NOBODY, Site, bytes, is_root};

#[test]
fn each_group_gets_a_socket_a_board_and_its_processes() {
    let site = Site::new();
    let mut two = site.group("two", "say(READY)\nwait()");
    two.processes = 2;
    let one = site.group("one", "say(READY)\nwait()");
    let supervised = site.supervise(&site.plan(vec![two, one]), &[]);
    let started = supervised.started();
    assert!(started.is_ready && started.failures.is_empty(), "{started:?}");
    let shapes: Vec<_> = started
        .groups
        .iter()
        .map(|(index, known)| {
            (
                *index,
                known.board.processes(),
                known.board.threads(),
                known.await_living(2 - *index as usize, &[]).len(),
            )
        })
        .collect();
    assert_eq!(shapes, [(0, 6, 2, 2), (1, 4, 2, 1)]);
    let (_, known) = &started.groups[0];
    assert_eq!(known.board.process(0).unwrap().state(), State::Starting, "the worker says when it is ready");
    let path = site.folder.join("two.sock");
    let file = path.metadata().unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!((file.mode() & 0o777, file.uid()), (0o600, rustix::process::getuid().as_raw()));
    UnixStream::connect(path).unwrap();
    site.await_line(&["[wsgi:info]", "Starting daemon process 'two' with uid=", " and threads=2."]);
}

#[test]
fn a_worker_has_what_it_needs_and_nothing_else() {
    let site = Site::new();
    let mut group = site.group(
        "g",
        r#"
import fcntl, resource, stat
status = dict(line.split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line)
report("facts", {
    "kinds": [stat.S_IFMT(os.fstat(fd).st_mode) == kind
              for fd, kind in zip(descriptors, (stat.S_IFSOCK, stat.S_IFREG, stat.S_IFIFO, stat.S_IFIFO), strict=True)],
    "open": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
    "input": os.readlink("/proc/self/fd/0"),
    "sid": os.getsid(0) == os.getpid(),
    "masks": [int(status[name], 16) for name in ("SigBlk",)],
    "ignored": signal.getsignal(signal.SIGHUP) == signal.SIG_DFL,
    "mask": os.umask(0),
    "nice": os.nice(0),
    "cpu": resource.getrlimit(resource.RLIMIT_CPU),
    "data": resource.getrlimit(resource.RLIMIT_DATA)[0],
    "space": resource.getrlimit(resource.RLIMIT_AS)[0],
    "cwd": os.getcwd(),
    "arguments": sys.argv[-2:],
})
report("environment", sorted(os.environ))
say(READY)
wait()
"#,
    );
    group.umask = Some(0o027);
    group.home = Some(b"/usr".to_vec());
    group.lang = Some(b"C.UTF-8".to_vec());
    group.python.hash_seed = Some(b"7".to_vec());
    group.resources = Resources {
        cpu_time: Some(Duration::from_secs(60)),
        cpu_priority: 3,
        memory: Some(1 << 30),
        virtual_memory: Some(1 << 34),
        stack_size: None,
    };
    let supervised = site.supervise(&site.plan(vec![group]), &[]);
    supervised.group();
    // Beside the standard ones: control socket, what came over it, and the listing itself.
    let facts = site.await_report("facts");
    let nice = rustix::process::getpriority_process(None).unwrap() + 3;
    let expected = format!(
        r#"{{"kinds": [true, true, true, true], "open": [0, 1, 2, 3, 4, 5, 6, 7, 8], "input": "/dev/null", "sid": true, "masks": [0], "ignored": true, "mask": 23, "nice": {nice}, "cpu": [60, 66], "data": {}, "space": {}, "cwd": "/usr", "arguments": ["/runtime.so", "wsgi:g"]}}"#,
        1u64 << 30,
        1u64 << 34
    );
    assert_eq!(facts, expected.replace(&format!("\"nice\": {nice}"), &format!("\"nice\": {}", 3)));
    let environment = site.await_report("environment");
    for (name, is_there) in [
        ("LANG", true),
        ("PYTHONHASHSEED", true),
        ("SERVERS_SECRET", true),
        ("APACHE_RUN_DIR", false),
        ("LISTEN_FDS", false),
    ] {
        assert_eq!(environment.contains(&format!("{name:?}")), is_there, "{name} in {environment}");
    }
}

#[test]
fn an_account_of_its_own_gets_an_environment_of_its_own() {
    if !is_root() {
        return;
    }
    let site = Site::new();
    let mut group = site.group(
        "g",
        r#"
report("account", [os.getresuid(), os.getresgid(), os.getgroups(), os.getcwd(), dict(os.environ)])
say(READY)
wait()
"#,
    );
    group.foreign = true;
    group.account = Some(Account {
        uid: NOBODY,
        gid: NOBODY,
        groups: vec![NOBODY, 65_533],
        name: Some(b"site".to_vec()),
        home: Some(b"/nonexistent".to_vec()),
    });
    let supervised = site.supervise(&site.plan(vec![group]), &[]);
    supervised.group();
    let account = site.await_report("account");
    assert!(
        account.starts_with("[[65534, 65534, 65534], [65534, 65534, 65534], [65533, 65534], \"/\", "),
        "{account}"
    );
    assert!(
        account.contains(r#""HOME": "/nonexistent""#) && account.contains(r#""USER": "site""#),
        "{account}"
    );
    assert!(!account.contains("SERVERS_SECRET") && !account.contains("CARGO"), "{account}");
    site.await_line(&[
        "[wsgi:info]",
        "'g' work in /, for the home directory /nonexistent of user 'site'",
        "home=",
    ]);
}

#[test]
fn a_nice_value_that_only_root_may_set_is_a_warning() {
    if is_root() {
        return;
    }
    let site = Site::new();
    let mut group = site.group("g", "say(READY)\nwait()");
    group.resources.cpu_priority = -5;
    let supervised = site.supervise(&site.plan(vec![group]), &[]);
    supervised.group();
    site.await_line(&[
        "[wsgi:warn]",
        "WSGI1208: cpu-priority=-5 of daemon process group 'g'",
        "Permission denied",
    ]);
}

#[test]
fn root_runs_no_worker() {
    if !is_root() {
        return;
    }
    let site = Site::new();
    for uid in [None, Some(0)] {
        let mut group = site.group("g", "report('ran', 1)");
        group.account = uid.map(|uid| Account { uid, gid: uid, groups: vec![], name: None, home: None });
        let mut supervised = site.supervise(&site.plan(vec![group]), &[]);
        let started = supervised.started();
        assert!(started.failures[0].1.contains("run as root, which is refused: set user="), "{started:?}");
        assert_eq!(supervised.ended().code(), Some(1));
        assert_eq!(site.count("ran"), 0);
    }
}

#[test]
fn a_group_without_threads_is_ready_when_it_runs_and_runs_again() {
    let site = Site::new();
    let mut group = site.group("service", "count('runs')");
    group.threads = 0;
    let supervised = site.supervise(&site.plan(vec![group]), &[]);
    supervised.group();
    site.await_line(&["[wsgi:info]", "Process 'service' (pid=", "has died; exit code 0, restarting it."]);
    crate::harness::eventually(|| (site.count("runs") >= 2).then_some(())).unwrap();
}

#[test]
fn a_person_who_starts_it_is_told_who_does() {
    let output = Command::new(env!("CARGO_BIN_EXE_oxwsgi")).args(["supervise", "--plan=3"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success()
            && text.contains("needs the argument --control")
            && text.contains("let the server start it"),
        "{text}"
    );
    let help = Command::new(env!("CARGO_BIN_EXE_oxwsgi")).arg("--help").output().unwrap();
    assert!(!String::from_utf8(help.stdout).unwrap().contains("supervise"));
}

#[test]
fn a_stale_socket_is_replaced_and_one_in_use_or_another_file_is_not() {
    let site = Site::new();
    let path = site.folder.join("g.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let group = site.group("g", "say(READY)\nwait()");
    let supervised = site.supervise(&site.plan(vec![group.clone()]), &[]);
    supervised.group();
    UnixStream::connect(&path).unwrap();
    drop(supervised);
    let other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let supervised = site.supervise(&site.plan(vec![group.clone()]), &[]);
    let started = supervised.started();
    let (_, text) = &started.failures[0];
    assert!(text.contains("is in use") && text.contains("WSGISocketPrefix"), "{text}");
    drop(supervised);
    UnixStream::connect(&path).expect("it is another server's");
    drop(other);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    let supervised = site.supervise(&site.plan(vec![group]), &[]);
    let started = supervised.started();
    let (_, text) = &started.failures[0];
    assert!(text.contains("creating its socket") && text.contains("WSGISocketPrefix"), "{text}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    assert_eq!(bytes(&path), bytes(&site.folder.join("g.sock")));
}
