//! Processes that serve: how their ends are seen, what they may say, and how they are replaced.

use oxwsgi_core::daemon::board::State;

use crate::harness::{Site, eventually, is_alive, kill};

#[test]
fn a_killed_process_is_on_the_board_and_replaced() {
    let site = Site::new();
    let supervised = site.supervise(&site.plan(vec![site.group("g", "say(READY)\nwait()")]), &[]);
    let known = supervised.group();
    let (slot, pid) = known.await_living(1, &[])[0];
    // One that has served for a while, which its supervisor is to see in its own time.
    std::thread::sleep(std::time::Duration::from_millis(3000));
    kill(pid);
    let (next, _) = known.await_living(1, &[pid])[0];
    assert_ne!(slot, next, "its slot still says how it ended");
    let dead = known.board.process(slot).unwrap();
    assert_eq!((dead.state(), dead.pid(), dead.wait_status()), (State::Dead, pid, 9));
    let line =
        site.await_line(&["WSGI1202", &format!("Process 'g' (pid={pid}) has died; signal 9 (SIGKILL)")]);
    assert!(line.contains("[wsgi:error]") && line.ends_with(", restarting it."), "{line}");
}

#[test]
fn a_process_that_dies_young_is_not_restarted_at_once() {
    let site = Site::new();
    let body = "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n\
                report(str(count('starts')), time.monotonic())\nsay(READY)\nif count('lives') > 3: wait()\nos.abort()";
    let supervised = site.supervise(&site.plan(vec![site.group("g", body)]), &[]);
    supervised.group();
    for wait in ["0.1", "0.2", "0.4"] {
        site.await_line(&[&format!("signal 6 (SIGABRT), restarting it in {wait} s.")]);
    }
    let starts: Vec<f64> =
        (1..=4).map(|number| site.await_report(&number.to_string()).parse().unwrap()).collect();
    let pauses: Vec<f64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[0] >= 0.1 && pauses[1] >= 0.2 && pauses[2] >= 0.4, "{pauses:?}");
}

#[test]
fn a_process_that_says_its_end_before_it_is_ready_has_failed_too() {
    let site = Site::new();
    let body = "if count('starts') < 4: say(ENDING); sys.exit()\nsay(READY)\nwait()";
    let mut plan = site.plan(vec![site.group("g", body)]);
    plan.strict = false;
    let supervised = site.supervise(&plan, &[]);
    supervised.started();
    site.await_line(&["WSGI1203", "before it was ready: maximum_requests", "The next attempt is in 0.2 s."]);
    site.await_line(&["WSGI1203", "The next attempt is in 0.4 s."]);
    eventually(|| (site.count("starts") == 4).then_some(())).unwrap();
}

#[test]
fn a_process_that_ends_is_replaced_before_it_has_ended() {
    let site = Site::new();
    let body = "say(READY)\nif count('starts') > 1: wait()\ntime.sleep(.1)\nsay(ENDING)\n\
                while not (REPORTS / 'go').exists(): time.sleep(.01)\nsay(STOPPING)";
    let supervised = site.supervise(&site.plan(vec![site.group("g", body)]), &[]);
    let known = supervised.group();
    let both = known.await_living(2, &[]);
    assert!(both.iter().all(|(_, pid)| is_alive(*pid)));
    std::fs::write(site.folder.join("reports/go"), "").unwrap();
    known.await_living(1, &[]);
    site.await_line(&["[wsgi:info]", "has died; exit code 0, replacing it."]);
}

#[test]
fn a_process_that_does_not_end_is_ended() {
    let site = Site::new();
    let mut group = site.group("g", "say(READY)\nif count('starts') > 1: wait()\nsay(STOPPING)\nwait()");
    group.limits.shutdown = Some(std::time::Duration::ZERO);
    let supervised = site.supervise(&site.plan(vec![group]), &[]);
    supervised.group();
    site.await_line(&[
        "[wsgi:warn]",
        "WSGI1205: Shutdown timeout expired; aborting daemon process 'g' (pid=",
    ]);
    site.await_line(&["has died; signal 9 (SIGKILL) from its supervisor, replacing it."]);
}

#[test]
fn a_group_without_room_ends_the_process_that_has_been_ending_for_longest() {
    let site = Site::new();
    // Three slots are left to those that end, and the fifth process serves.
    let body = "say(READY)\nif count('starts') > 4: wait()\n\
                report(f'ending-{count(\"endings\")}', os.getpid())\nsay(ENDING)\nwait()";
    let supervised = site.supervise(&site.plan(vec![site.group("g", body)]), &[]);
    let known = supervised.group();
    let pids: Vec<String> = (1..=4).map(|number| site.await_report(&format!("ending-{number}"))).collect();
    let line = site.await_line(&["[wsgi:error]", "WSGI1213: Daemon process group 'g' has no room"]);
    assert!(line.contains(&format!("4 take long to end (pid={})", pids.join(", "))), "{line}");
    assert!(line.contains("request-timeout="), "{line}");
    let first: u32 = pids[0].parse().unwrap();
    known.await_living(4, &[first]);
    eventually(|| (site.count("starts") == 5).then_some(())).unwrap();
    assert!(!is_alive(first) && pids[1..].iter().all(|pid| is_alive(pid.parse().unwrap())));
    site.await_line(&[&format!(
        "(pid={first}) has died; signal 9 (SIGKILL) from its supervisor, replacing it."
    )]);
}

#[test]
fn what_is_no_message_ends_its_process() {
    for body in ["control.send(b'nonsense')", "control.send(b'\\3' * 40000)"] {
        let site = Site::new();
        let text = format!("say(READY)\nif count('starts') > 1: wait()\n{body}\nwait()");
        let supervised = site.supervise(&site.plan(vec![site.group("g", &text)]), &[]);
        supervised.group();
        site.await_line(&["WSGI1206", "what is no message"]);
        site.await_line(&["signal 9 (SIGKILL) from its supervisor"]);
        eventually(|| (site.count("starts") == 2).then_some(())).unwrap();
    }
}

#[test]
fn descriptors_from_a_process_do_not_come_in() {
    let site = Site::new();
    let body = "say(READY)\nif count('starts') > 1: wait()\nfile = open('/etc/passwd')\n\
                socket.send_fds(control, [bytes.fromhex(LOG)], [file.fileno()])\nwait()";
    let supervised = site.supervise(&site.plan(vec![site.group("g", body)]), &[]);
    supervised.group();
    site.await_line(&["WSGI1206"]);
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", supervised.child.id())).unwrap();
    let files: Vec<_> =
        descriptors.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok()).collect();
    assert!(files.len() > 5 && !files.contains(&"/etc/passwd".into()), "{files:?}");
}

#[test]
fn lines_of_a_process_are_logged_as_its_own() {
    let site = Site::new();
    let body = "print('printed', flush=True)\nsay(LOG)\nsay(EMERGENCY)\nsay(DEBUG)\n\
                os.write(2, b'raw \\x1b[31m\\nhalf')\nos.write(2, b' a line\\n')\nos.write(2, b'x' * 20000 + b'\\n')\n\
                report('pid', os.getpid())\nsay(READY)\nwait()";
    let supervised = site.supervise(&site.plan(vec![site.group("g", body)]), &[]);
    supervised.group();
    let pid = site.await_report("pid");
    let head = |level: &str| format!("] [wsgi:{level}] [pid {pid}:tid {pid}] ");
    site.await_line(&[&(head("error") + "printed")]);
    site.await_line(&[&(head("notice") + "a message")]);
    site.await_line(&[&(head("crit") + "no emergency")]);
    site.await_line(&[&(head("error") + "raw \\x1b[31m")]);
    site.await_line(&[&(head("error") + "half a line")]);
    let count = |text: &str| text.bytes().filter(|byte| *byte == b'x').count();
    eventually(|| (site.log().lines().map(count).sum::<usize>() >= 20000).then_some(())).unwrap();
    assert!(site.log().lines().all(|line| line.len() < 8192 && line.starts_with('[')));
    assert!(!site.log().contains("too fine"));
}

#[test]
fn much_output_of_one_group_does_not_hold_up_another() {
    let site = Site::new();
    let noisy = site.group("noisy", "say(READY)\nwhile True: os.write(2, b'noise\\n' * 1000)");
    let other = site.group("other", "say(READY)\nwait()");
    let mut supervised = site.supervise(&site.plan(vec![noisy, other]), &[]);
    let started = supervised.started();
    let known = &started.groups[1].1;
    let (_, pid) = known.await_living(1, &[])[0];
    kill(pid);
    // There is no end to the noise: whoever waited for one would wait in vain.
    known.await_living(1, &[pid]);
    supervised.lifeline = None;
    assert_eq!(supervised.ended().code(), Some(0));
}
