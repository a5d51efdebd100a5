//! How the supervisor ends, and everything with it.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::harness::{Site, eventually, is_alive, kill};

#[test]
fn a_draining_supervisor_serves_until_the_last_process_of_the_server_is_gone() {
    let site = Site::new();
    let supervised_group = site.group("g", "say(READY)\nwait()");
    let mut supervised = site.supervise(&site.plan(vec![supervised_group]), &[]);
    let known = supervised.group();
    let (_, pid) = known.await_living(1, &[])[0];
    supervised.say_drain();
    kill(pid);
    let (_, next) = known.await_living(1, &[pid])[0];
    assert!(supervised.child.try_wait().unwrap().is_none());
    assert!(site.folder.join("g.sock").exists());
    supervised.drain = None;
    assert_eq!(supervised.ended().code(), Some(0));
    assert!(!is_alive(next) && !site.folder.join("g.sock").exists());
    site.await_line(&["[wsgi:info]", "has died; signal 15 (SIGTERM)."]);
}

#[test]
fn processes_get_their_time_to_end() {
    let site = Site::new();
    let body = "def end(*_):\n    time.sleep(.5)\n    report('done', 1)\n    sys.exit()\nsignal.signal(signal.SIGTERM, end)\nsay(READY)\nwait()";
    let mut supervised = site.supervise(&site.plan(vec![site.group("g", body)]), &[]);
    supervised.group();
    supervised.drain = None;
    assert_eq!(supervised.ended().code(), Some(0));
    assert_eq!(site.count("done"), 1);
}

#[test]
fn nothing_outlives_the_server() {
    let site = Site::new();
    let body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
                other = subprocess.Popen(['sleep', '1000'])\nreport('other', other.pid)\nsay(READY)\nwait()";
    let mut group = site.group("g", body);
    // Longer than the test waits for the end.
    group.limits.shutdown = Some(Duration::from_secs(60));
    let mut supervised = site.supervise(&site.plan(vec![group]), &[]);
    let known = supervised.group();
    let (_, pid) = known.await_living(1, &[])[0];
    let other = site.await_report("other").parse().unwrap();
    supervised.lifeline = None;
    assert_eq!(supervised.ended().code(), Some(0));
    assert!(!is_alive(pid) && !site.folder.join("g.sock").exists());
    eventually(|| (!is_alive(other)).then_some(())).expect("what the worker started has ended too");
}

#[test]
fn a_signal_ends_it_and_those_of_the_server_do_not() {
    let site = Site::new();
    let mut supervised = site.supervise(&site.plan(vec![site.group("g", "say(READY)\nwait()")]), &[]);
    supervised.group();
    let pid = rustix::process::Pid::from_child(&supervised.child);
    for signal in [rustix::process::Signal::HUP, rustix::process::Signal::USR1] {
        rustix::process::kill_process(pid, signal).unwrap();
    }
    std::thread::sleep(Duration::from_millis(100));
    assert!(supervised.child.try_wait().unwrap().is_none());
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(supervised.ended().code(), Some(0));
}

#[test]
fn one_that_was_sent_a_signal_leaves_the_sockets_to_the_next() {
    let site = Site::new();
    let plan = site.plan(vec![site.group("g", "say(READY)\nwait()")]);
    let mut first = site.supervise(&plan, &[]);
    let known = first.group();
    let (_, old) = known.await_living(1, &[])[0];
    let pid = rustix::process::Pid::from_child(&first.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(first.ended().code(), Some(0));
    assert!(!is_alive(old));

    let adopted = [known];
    let mut second = site.supervise(&plan, &adopted);
    assert!(second.started().is_ready);
    UnixStream::connect(site.folder.join("g.sock")).expect("the server's processes find it by its path");
    second.drain = None;
    assert_eq!(second.ended().code(), Some(0));
    assert!(!site.folder.join("g.sock").exists());
}
