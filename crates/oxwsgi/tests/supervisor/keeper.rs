//! A keeper in the place of a server's parent process: what it hands on, whom it replaces, and when it ends.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use oxwsgi_core::daemon::ALL_GROUPS;
use rustix::process::Signal;

use crate::harness::{Site, Supervised, children, eventually, is_alive, kill, signal};

const SERVE: &str = "say(READY)\nwait()";

/// The one process that the keeper has started.
fn supervisor(kept: &Supervised<'_>) -> u32 {
    let found = eventually(|| match children(kept.child.id())[..] {
        [pid] => Some(pid),
        _ => None,
    });
    found.expect("one supervisor")
}

fn successor(kept: &Supervised<'_>, of: u32) -> u32 {
    let found = eventually(|| children(kept.child.id()).into_iter().find(|pid| *pid != of));
    found.expect("another supervisor")
}

#[test]
fn what_a_supervisor_has_made_is_handed_on() {
    let site = Site::new();
    let groups = vec![
        site.group("one", SERVE),
        site.group("two", "report('mask', f'{os.umask(0):o}')\nsay(READY)\nwait()"),
    ];
    let mut plan = site.plan(groups);
    plan.parent = None;
    let kept = site.keep(&plan);
    let started = kept.started();
    assert!(started.is_ready && started.failures.is_empty(), "{started:?}");
    let indices: Vec<u32> = started.groups.iter().map(|(index, _)| *index).collect();
    assert_eq!(indices, [0, 1]);
    for ((_, known), name) in started.groups.iter().zip(["one", "two"]) {
        assert_eq!(known.await_living(1, &[]).len(), 1);
        std::os::unix::net::UnixStream::connect(site.folder.join(format!("{name}.sock"))).unwrap();
    }
    assert_eq!(site.await_report("mask"), "\"22\"");
    assert_eq!(fs::read_link(format!("/proc/{}/cwd", kept.child.id())).unwrap().to_str(), Some("/"));
}

#[test]
fn what_fails_is_told_in_the_words_of_the_configuration() {
    let site = Site::new();
    let mut plan = site.plan(vec![site.group("g", "sys.exit(4)"), site.group("good", SERVE)]);
    plan.server.dialect = oxwsgi_core::dialect::Dialect::Nginx;
    let mut kept = site.keep(&plan);
    let started = kept.started();
    let [(ALL_GROUPS, text)] = &started.failures[..] else { panic!("{started:?}") };
    assert!(text.starts_with("wsgi_daemon_process g cannot start: "), "{text}");
    assert!(text.contains("exit code 4") && !started.is_ready, "{text}");
    assert_eq!(kept.ended().code(), Some(1));
    assert!(!site.folder.join("good.sock").exists());
    // Others go on where that is wanted.
    plan.strict = false;
    let kept = site.keep(&plan);
    let started = kept.started();
    assert!(started.is_ready && started.failures.len() == 1, "{started:?}");
}

#[test]
fn a_plan_of_another_version_is_refused() {
    let site = Site::new();
    let mut plan = site.plan(vec![]);
    plan.package_version = "0.0.9".to_owned();
    let mut kept = site.keep(&plan);
    let started = kept.started();
    assert!(started.failures.len() == 1 && started.failures[0].1.contains("0.0.9"), "{started:?}");
    assert_eq!(kept.ended().code(), Some(1));
}

#[test]
fn a_killed_supervisor_is_replaced_and_processes_go_on_until_it_has_its_own() {
    let site = Site::new();
    let kept = site.keep(&site.plan(vec![site.group("g", SERVE)]));
    let known = kept.group();
    let (_, old) = known.await_living(1, &[])[0];
    let first = supervisor(&kept);
    kill(first);
    let second = successor(&kept, first);
    site.await_line(&["[wsgi:error]", "WSGI1153: ", &format!("(pid={first})"), "signal 9 (SIGKILL)"]);
    // The fake worker looks at no board: that its successor shares it is what counts.
    let (_, new) = known.await_living(1, &[old])[0];
    assert!(is_alive(new) && is_alive(second));
    std::os::unix::net::UnixStream::connect(site.folder.join("g.sock")).unwrap();
    kill(old);
}

#[test]
fn everything_ends_with_the_server() {
    let site = Site::new();
    let mut kept = site.keep(&site.plan(vec![site.group("g", SERVE)]));
    let known = kept.group();
    let (_, worker) = known.await_living(1, &[])[0];
    let supervisor = supervisor(&kept);
    kept.lifeline = None;
    assert_eq!(kept.ended().code(), Some(0));
    assert!(!is_alive(supervisor) && !is_alive(worker) && !site.folder.join("g.sock").exists());
    assert!(!site.log().contains("WSGI1153"), "{}", site.log());
}

#[test]
fn everything_ends_with_the_generation_and_the_server_hears_of_it() {
    let site = Site::new();
    let mut kept = site.keep(&site.plan(vec![site.group("g", SERVE)]));
    let known = kept.group();
    let (_, worker) = known.await_living(1, &[])[0];
    kept.say_drain();
    std::thread::sleep(Duration::from_millis(100));
    assert!(is_alive(worker) && kept.child.try_wait().unwrap().is_none());
    kept.drain = None;
    assert!(kept.hangs_up());
    assert!(!is_alive(worker) && !site.folder.join("g.sock").exists());
    assert_eq!(kept.ended().code(), Some(0));
    assert!(!site.log().contains("WSGI1153"), "{}", site.log());
}

#[test]
fn processes_that_have_lost_their_supervisor_end_with_the_generation() {
    let site = Site::new();
    let mut group = site.group("g", SERVE);
    group.limits.shutdown = Some(Duration::from_secs(1));
    let mut kept = site.keep(&site.plan(vec![group]));
    let (_, worker) = kept.group().await_living(1, &[])[0];
    let first = supervisor(&kept);
    signal(kept.child.id(), Signal::STOP);
    kill(first);
    kept.drain = None;
    signal(kept.child.id(), Signal::CONT);
    assert_eq!(kept.ended().code(), Some(0));
    // The fake worker looks at no board, where it would learn of its end.
    kill(worker);
    assert!(!site.folder.join("g.sock").exists());
}

#[test]
fn without_its_keeper_a_supervisor_goes_on_until_the_server_ends() {
    let site = Site::new();
    let mut kept = site.keep(&site.plan(vec![site.group("g", SERVE)]));
    let known = kept.group();
    let (_, old) = known.await_living(1, &[])[0];
    let supervisor = supervisor(&kept);
    kill(kept.child.id());
    kept.ended();
    kill(old);
    let (_, new) = known.await_living(1, &[old])[0];
    assert!(is_alive(supervisor) && is_alive(new));
    kept.lifeline = None;
    eventually(|| (!is_alive(supervisor) && !is_alive(new)).then_some(())).expect("they end with the server");
}

#[test]
fn a_signal_ends_everything() {
    let site = Site::new();
    let mut kept = site.keep(&site.plan(vec![site.group("g", SERVE)]));
    let known = kept.group();
    let (_, worker) = known.await_living(1, &[])[0];
    for ignored in [Signal::HUP, Signal::USR1] {
        signal(kept.child.id(), ignored);
    }
    std::thread::sleep(Duration::from_millis(100));
    assert!(kept.child.try_wait().unwrap().is_none());
    signal(kept.child.id(), Signal::TERM);
    assert_eq!(kept.ended().code(), Some(0));
    assert!(!is_alive(worker));
}

#[test]
fn a_keeper_holds_nothing_that_is_not_its_own() {
    let site = Site::new();
    let kept = site.keep(&site.plan(vec![site.group("g", SERVE)]));
    kept.group();
    let open = |pid: u32| -> BTreeSet<String> {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let links = entries.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        links.map(|link| link.to_string_lossy().into_owned()).collect()
    };
    let of_kind = |kind: &str| -> BTreeSet<String> {
        open(kept.child.id()).into_iter().filter(|link| link.starts_with(kind)).collect()
    };
    let ours = open(std::process::id());
    // The ends of lifeline and drain, and the output that it has from the test.
    let foreign: Vec<_> = of_kind("pipe:").difference(&ours).cloned().collect();
    assert!(foreign.is_empty() && of_kind("pipe:").len() <= 4, "{foreign:?}");
    assert_eq!(of_kind("/memfd:").len(), 1, "the board");
    assert_eq!(of_kind("anon_inode:").len(), 1, "what it waits with");
    // Ends of the two control sockets, the group's, and two pairs for signals.
    assert_eq!(of_kind("socket:").len(), 7);
}
