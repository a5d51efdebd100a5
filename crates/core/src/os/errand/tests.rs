//! Errands to the shell.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use super::*;
use crate::os::{End, Report};

fn text(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn shell(script: &str) -> Errand {
    Errand::new(vec![text("/bin/sh")], vec![text("-c"), text(script)])
}

fn run(errand: &Errand) -> Report {
    errand.launch().unwrap().collect(Duration::from_secs(20)).unwrap()
}

#[test]
fn output_errors_and_status_come_back() {
    let report = run(&shell("echo out; echo err >&2; exit 3"));
    assert_eq!(report.output, b"out\n");
    assert_eq!(report.errors, b"err\n");
    assert_eq!(report.end, End::Exited(3));
    assert!(report.obstacles.is_empty());
}

#[test]
fn only_the_variables_that_are_given_are_there() {
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "this process has others");
    let environment = Errand::new(vec![text("/usr/bin/env")], Vec::new());
    assert_eq!(run(&environment).output, b"");
    assert_eq!(run(&environment.environment(vec![text("A=1")])).output, b"A=1\n");
}

#[test]
fn the_first_program_that_runs_is_run() {
    let errand = Errand::new(vec![text("/no/such"), text("/etc/passwd"), text("/bin/echo")], vec![text("x")]);
    let report = run(&errand);
    assert_eq!(report.output, b"x\n");
    let steps: Vec<_> = report.obstacles.iter().map(|o| (o.step, o.reason.raw_os_error())).collect();
    assert_eq!(steps, [(Step::Execute(0), Some(libc::ENOENT)), (Step::Execute(1), Some(libc::EACCES))]);
}

#[test]
fn a_program_that_hangs_is_ended_with_its_children() {
    let before = Instant::now();
    let running = shell("sleep 100 & sleep 100").launch().unwrap();
    let report = running.collect(Duration::from_millis(200)).unwrap();
    assert_eq!(report.end, End::Stopped);
    assert!(before.elapsed() < Duration::from_secs(50));
}

#[test]
fn time_runs_from_the_start_and_an_answer_that_came_in_time_counts() {
    let slow = shell("sleep 100").launch().unwrap();
    let quick = shell("head -c 20000 /dev/zero").launch().unwrap();
    let limit = Duration::from_secs(3);
    assert_eq!(slow.collect(limit).unwrap().end, End::Stopped);
    let before = Instant::now();
    let report = quick.collect(limit).unwrap();
    assert_eq!((report.output.len(), report.end), (20_000, End::Exited(0)));
    assert!(before.elapsed() < limit);
    let late = shell("sleep 100").launch().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(late.collect(Duration::from_millis(50)).unwrap().end, End::Stopped);
    assert!(before.elapsed() < limit);
}

#[test]
fn too_much_output_is_no_answer() {
    assert_eq!(run(&shell("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxx; done")).end, End::Stopped);
}

#[test]
fn none_of_our_descriptors_is_handed_on() {
    let held = File::open("/etc/passwd").unwrap();
    let copy = clear(&held).unwrap();
    // SAFETY: plain numbers; the copy would survive an exec.
    unsafe { libc::fcntl(copy.as_raw_fd(), libc::F_SETFD, 0) };
    let report = run(&shell("for f in 3 4 5 6 7 8 9; do (eval \"true <&$f\") 2>/dev/null && echo $f; done"));
    assert_eq!(report.output, b"");
}

#[test]
fn what_the_account_may_not_reach_is_named() {
    let folder = tempfile::tempdir().unwrap().keep();
    let closed = folder.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("file"), "x").unwrap();
    symlink(closed.join("file"), folder.join("link")).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    // Root is refused nothing, so it becomes somebody; anyone else is refused already.
    let nobody = Account::may_change().then(|| Account::new(65_534, 65_534, None));
    let files = ["closed/file", "link"].map(|name| text(folder.join(name).to_str().unwrap()));
    let report = run(&shell("id -u").account(nobody.clone()).try_reading(files.to_vec()));
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    if nobody.is_some() {
        assert_eq!(report.output, b"65534\n");
    }
    let found: Vec<_> = report.obstacles.iter().map(|o| (o.step, o.folder.clone())).collect();
    assert_eq!(found, [(Step::Read(0), Some(closed.clone())), (Step::Read(1), Some(closed))]);
}
