//! Launches of the shell.

use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::*;

fn text(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn shell(script: &str) -> Launch {
    Launch::new(
        vec![text("/bin/sh"), text("-c"), text(script)],
        vec![text("PATH=/usr/bin:/bin"), text("A=b")],
    )
}

/// Output, obstacles and wait status.
fn run(launch: &Launch) -> (String, Vec<Obstacle>, i32) {
    let (mut output, child_output) = io::pipe().unwrap();
    let (mut extra, child_extra) = io::pipe().unwrap();
    let Launched { mut process, mut notes } =
        launch.start(child_output.as_fd(), child_extra.as_fd()).unwrap();
    drop((child_output, child_extra));
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    extra.read_to_string(&mut text).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let status = loop {
        assert!(Instant::now() < deadline);
        match process.reap() {
            Ok(status) => break status,
            Err(still) => process = still,
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    (text, notes.take().unwrap().expect("the child has ended"), status)
}

fn steps(obstacles: &[Obstacle]) -> Vec<(Step, Option<i32>)> {
    obstacles.iter().map(|obstacle| (obstacle.step, obstacle.reason.raw_os_error())).collect()
}

#[test]
fn output_errors_and_the_extra_descriptor_come_back() {
    let (output, obstacles, status) = run(&shell("echo out; echo err >&2; echo extra >&3; exit 3"));
    assert_eq!(output, "out\nerr\nextra\n");
    assert!(obstacles.is_empty());
    assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, 3));
}

#[test]
fn nothing_of_ours_is_handed_on() {
    let held = File::open("/etc/passwd").unwrap();
    let copy = clear(&held).unwrap();
    rustix::io::fcntl_setfd(&copy, rustix::io::FdFlags::empty()).unwrap();
    let (output, ..) = run(&shell("ls /proc/self/fd; env; ps -o pgid= -p $$; echo $$"));
    // The last one is of the listing itself.
    let mut lines = output.lines().map(str::trim);
    let numbers: Vec<&str> = lines.by_ref().take(5).collect();
    assert_eq!(numbers, ["0", "1", "2", "3", "4"]);
    let mut variables: Vec<&str> = lines.by_ref().take_while(|line| line.contains('=')).collect();
    variables.retain(|variable| !variable.starts_with("PWD=") && !variable.starts_with("_="));
    variables.sort_unstable();
    variables.retain(|variable| !["OLDPWD", "SHLVL=0"].contains(variable));
    assert_eq!(variables, ["A=b", "PATH=/usr/bin:/bin"]);
}

#[test]
fn what_stopped_it_is_noted() {
    let (_, obstacles, status) = run(&Launch::new(vec![text("/no/such")], vec![]));
    assert_eq!(steps(&obstacles), [(Step::Execute(0), Some(libc::ENOENT))]);
    assert_eq!(libc::WEXITSTATUS(status), 127);
    let (_, obstacles, _) = run(&shell("").folders(vec![text("/no/such"), text("/no/other")]));
    assert_eq!(steps(&obstacles), [(Step::Folder, Some(libc::ENOENT)); 2]);
    let (output, obstacles, _) = run(&shell("pwd").folders(vec![text("/no/such"), text("/usr")]));
    assert_eq!((output.as_str(), obstacles.len()), ("/usr\n", 1));
}

#[test]
fn limits_mask_and_nice_value_are_set() {
    let limits = vec![
        Limit { kind: LimitKind::Cpu, soft: 7, hard: 9 },
        Limit { kind: LimitKind::Descriptors, soft: 30, hard: 40 },
    ];
    let script = "ulimit -t; ulimit -H -t; ulimit -n; umask; nice";
    let (output, ..) = run(&shell(script).limits(limits).umask(Some(0o27)).priority(5));
    let ours = rustix::process::getpriority_process(None).unwrap();
    assert_eq!(output, format!("7\n9\n30\n0027\n{}\n", (5.max(ours)).min(19)));
}

#[test]
fn an_account_is_assumed_for_good_and_enters_the_folder_itself() {
    if !Account::may_change() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let account = Some(Account::with_groups(65_534, 65_534, vec![65_533]));
    let (output, ..) = run(&shell("id -u; id -g; id -G").account(account.clone()));
    let closed = shell("").account(account).folders(vec![text(folder.path().to_str().unwrap())]);
    let (_, obstacles, _) = run(&closed);
    assert_eq!(output, "65534\n65534\n65534 65533\n");
    assert_eq!(steps(&obstacles), [(Step::Folder, Some(libc::EACCES))]);
}

#[test]
fn a_process_is_ended_with_what_it_started() {
    let (mut output, child_output) = io::pipe().unwrap();
    let launched =
        shell("sleep 100 & echo x; sleep 100").start(child_output.as_fd(), child_output.as_fd()).unwrap();
    drop(child_output);
    output.read_exact(&mut [0; 2]).unwrap();
    assert!(!launched.process.has_ended());
    launched.process.kill_group();
    // Both have closed it.
    assert_eq!(output.read(&mut [0; 2]).unwrap(), 0);
    while !launched.process.has_ended() {}
    assert_eq!(launched.process.reap().map(|status| libc::WTERMSIG(status)).unwrap(), libc::SIGKILL);
}

#[test]
fn notes_are_not_waited_for() {
    let (pipe, mut writer) = io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&pipe, true).unwrap();
    let mut notes = Notes { pipe: File::from(OwnedFd::from(pipe)), read: Vec::new() };
    assert!(notes.take().unwrap().is_none());
    writer.write_all(&[0; 3]).unwrap();
    assert!(notes.take().unwrap().is_none());
    drop(writer);
    assert!(notes.take().unwrap().unwrap().is_empty());
}
