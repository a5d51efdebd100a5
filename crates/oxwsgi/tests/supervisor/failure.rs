//! Groups that cannot start: what the server is told, and how they are tried again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use oxwsgi_core::daemon::{ALL_GROUPS, Group, encode};

use crate::harness::{Site, bytes, is_root};

/// The one failure of a start that fails because of `group`.
fn failure(site: &Site, group: Group) -> String {
    let mut supervised = site.supervise(&site.plan(vec![group]), &[]);
    let mut started = supervised.started();
    assert!(!started.is_ready && started.failures.len() == 1, "{started:?}");
    assert_eq!(supervised.ended().code(), Some(1));
    let (index, text) = started.failures.remove(0);
    assert_eq!(index, 0);
    // Who was told says it; the log has it no second time.
    assert!(!site.log().contains("cannot start"), "{}", site.log());
    text
}

fn assert_holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[test]
fn a_missing_home_is_named() {
    let site = Site::new();
    let mut group = site.group("shop", "say(READY)\nwait()");
    group.home = Some(b"/no/such/home".to_vec());
    let text = failure(&site, group);
    assert_holds(&text, &["chdir to home /no/such/home as ", "No such file", "create it, or change home="]);
    assert!(!site.folder.join("shop.sock").exists());
}

#[test]
fn a_closed_home_is_named_with_its_user() {
    let site = Site::new();
    let closed = site.folder.join("closed");
    fs::create_dir_all(closed.join("home")).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o600)).unwrap();
    let mut group = site.group("g", "say(READY)\nwait()");
    group.home = Some(bytes(&closed.join("home")));
    let text = failure(&site, group);
    let whom = if is_root() { "as user 'nobody' (uid=65534)" } else { "as the server's user" };
    assert_holds(&text, &["chdir to home", whom, "Permission denied", "closed to it", "chmod o+x"]);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_missing_program_is_named() {
    let site = Site::new();
    let mut group = site.group("g", "");
    group.python.executable = b"/no/such/python".to_vec();
    assert_holds(&failure(&site, group), &["running /no/such/python as", "No such file", "python-home"]);
}

#[test]
fn a_process_that_ends_early_is_quoted() {
    let site = Site::new();
    let group = site.group("g", "print('thinking')\nsys.exit('No module named shop')");
    let text = failure(&site, group);
    assert_holds(&text, &["ended before it was ready: exit code 1", "\"No module named shop\""]);
    assert_holds(&site.log(), &["thinking", "[wsgi:error]"]);
}

#[test]
fn a_path_that_is_too_long_for_a_socket_is_named() {
    let site = Site::new();
    let mut group = site.group("g", "");
    group.socket = bytes(&site.folder.join("x".repeat(120)));
    assert_holds(&failure(&site, group), &["bytes, and a socket's may have 107", "WSGISocketPrefix"]);
}

#[test]
fn a_plan_of_another_version_is_refused() {
    let site = Site::new();
    let mut plan = site.plan(vec![]);
    plan.package_version = "0.0.9".to_owned();
    for (plan, word) in [(encode(&plan), "0.0.9"), (vec![7; 100], "cannot be read")] {
        let mut supervised = site.supervise_bytes(&plan, &[]);
        let started = supervised.started();
        assert_eq!(started.failures.len(), 1, "{started:?}");
        assert!(started.failures[0].0 == ALL_GROUPS && started.failures[0].1.contains(word), "{started:?}");
        assert_eq!(supervised.ended().code(), Some(1));
    }
}

#[test]
fn all_failures_of_a_start_are_told() {
    let site = Site::new();
    let mut missing = site.group("missing", "");
    missing.python.executable = b"/no/such/python".to_vec();
    let groups = vec![missing, site.group("broken", "sys.exit(4)"), site.group("good", "say(READY)\nwait()")];
    let mut supervised = site.supervise(&site.plan(groups), &[]);
    let mut started = supervised.started();
    started.failures.sort();
    let failed: Vec<u32> = started.failures.iter().map(|(index, _)| *index).collect();
    assert!(!started.is_ready && failed == [0, 1], "{started:?}");
    assert_eq!(supervised.ended().code(), Some(1));
    assert!(!site.folder.join("good.sock").exists());
}

#[test]
fn where_others_serve_a_group_is_tried_again_and_again() {
    let site = Site::new();
    let good = site.group("good", "say(READY)\nwait()");
    let bad =
        site.group("bad", "if count('attempts') < 4: sys.exit(5)\nreport('ready', 1)\nsay(READY)\nwait()");
    let mut plan = site.plan(vec![bad, good]);
    plan.strict = false;
    let begin = Instant::now();
    let supervised = site.supervise(&plan, &[]);
    let started = supervised.started();
    assert!(started.is_ready && started.groups.len() == 2, "{started:?}");
    if started.failures.is_empty() {
        // On a machine so slow that nobody waited for it.
        site.await_line(&["WSGI1201", "'bad' cannot start", "exit code 5"]);
    }
    site.await_line(&["WSGI1203", "'bad' cannot start", "exit code 5", "The next attempt is in 0.2 s."]);
    site.await_line(&["WSGI1203", "'bad' cannot start", "The next attempt is in 0.4 s."]);
    site.await_report("ready");
    assert!(begin.elapsed().as_millis() >= 700);
    site.await_line(&["[wsgi:notice]", "Daemon process group 'bad' works after 3 failed attempts."]);
    assert_eq!(site.count("attempts"), 4);
}

#[test]
fn where_others_serve_nobody_waits_for_a_group_that_takes_long() {
    let site = Site::new();
    let slow = "while not (REPORTS / 'go').exists(): time.sleep(.01)\nsys.exit(6)";
    let mut plan = site.plan(vec![site.group("slow", slow), site.group("good", "say(READY)\nwait()")]);
    plan.strict = false;
    let begin = Instant::now();
    let supervised = site.supervise(&plan, &[]);
    let started = supervised.started();
    assert!(started.is_ready && started.groups.len() == 2 && started.failures.is_empty(), "{started:?}");
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
    fs::write(site.folder.join("reports/go"), "").unwrap();
    // Who would have been told does not listen any more.
    site.await_line(&["[wsgi:error]", "WSGI1201: Daemon process group 'slow' cannot start", "exit code 6"]);
}
