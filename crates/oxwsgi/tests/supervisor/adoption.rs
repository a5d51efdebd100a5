//! A supervisor in place of one that was killed: same sockets, same boards, and the processes of the one before go on until its
//! own serve.

use std::os::unix::net::UnixStream;

use oxwsgi_core::daemon::board::State;
use oxwsgi_core::daemon::encode;

use crate::harness::{Site, bytes, eventually, is_alive, kill};

/// Ready when the test says so, from the second process on.
const WORKER: &str = "report(f'{os.getpid()}', 1)\nwhile count('starts') > 1 and not (REPORTS / 'go').exists(): \
                      time.sleep(.01)\nsay(READY)\nwait()";

#[test]
fn the_processes_of_a_killed_supervisor_go_on_until_there_are_others() {
    let site = Site::new();
    let plan = site.plan(vec![site.group("g", WORKER)]);
    let mut first = site.supervise(&plan, &[]);
    let known = first.group();
    let (old_slot, old) = known.await_living(1, &[])[0];
    first.child.kill().unwrap();
    first.ended();
    assert!(is_alive(old));
    let epoch = 1;
    assert!(!known.board.is_past(epoch));

    let adopted = [known];
    let second = site.supervise(&plan, &adopted);
    let known = &adopted[0];
    let (new_slot, new) = known.await_living(1, &[old])[0];
    assert_ne!(old_slot, new_slot);
    site.await_report(&new.to_string());
    assert!(is_alive(old) && !known.board.is_past(epoch), "the new one does not serve yet");
    std::fs::write(site.folder.join("reports/go"), "").unwrap();
    let started = second.started();
    assert!(started.is_ready && started.groups.len() == 1, "{started:?}");
    eventually(|| known.board.is_past(epoch).then_some(())).expect("the old ones are told to end");
    assert!(!known.board.is_past(epoch + 1), "and the new ones are not");
    UnixStream::connect(site.folder.join("g.sock")).unwrap();

    // It belongs to nobody any more, so nobody can say how it ended; that it did can be seen.
    kill(old);
    let process = known.board.process(old_slot).unwrap();
    eventually(|| (process.state() == State::Dead).then_some(())).expect("its slot says that it is gone");
    assert_eq!(process.pid(), old);
    site.await_line(&[
        "[wsgi:info]",
        &format!("Process 'g' (pid={old}) of an earlier supervisor has ended."),
    ]);
    assert!(is_alive(new));
}

#[test]
fn a_group_that_was_not_there_is_not_made_by_another_supervisor() {
    let site = Site::new();
    let groups = vec![site.group("absent", WORKER), site.group("g", "say(READY)\nwait()")];
    let mut plan = site.plan(groups);
    plan.strict = false;
    plan.groups[0].socket = b"/no/such/folder/absent.sock".to_vec();
    let mut first = site.supervise(&plan, &[]);
    let mut started = first.started();
    assert!(started.is_ready && started.failures.len() == 1 && started.groups.len() == 1, "{started:?}");
    let (_, known) = started.groups.remove(0);
    let (_, old) = known.await_living(1, &[])[0];
    first.child.kill().unwrap();
    first.ended();
    // Whatever was in the way is not any more.
    plan.groups[0].socket = bytes(&site.folder.join("absent.sock"));
    for adopted in [[None, Some(&known)], [None, None]] {
        let mut second = site.supervise_bytes(&encode(&plan), &adopted);
        let started = second.started();
        let indexes: Vec<u32> = started.groups.iter().map(|(index, _)| *index).collect();
        let expected: &[u32] = if adopted[1].is_some() { &[1] } else { &[] };
        assert!(started.is_ready && started.failures.is_empty() && indexes == expected, "{started:?}");
        assert!(!site.folder.join("absent.sock").exists());
        second.drain = None;
        assert_eq!(second.ended().code(), Some(0));
    }
    kill(old);
}

#[test]
fn a_failure_after_adoption_ends_nobody() {
    let site = Site::new();
    let plan = site.plan(vec![site.group("g", "if count('starts') > 1: sys.exit(3)\nsay(READY)\nwait()")]);
    let mut first = site.supervise(&plan, &[]);
    let known = first.group();
    let (_, old) = known.await_living(1, &[])[0];
    first.child.kill().unwrap();
    first.ended();
    let adopted = [known];
    let mut second = site.supervise(&plan, &adopted);
    let started = second.started();
    assert!(started.is_ready, "{started:?}");
    site.await_line(&["WSGI1203", "exit code 3"]);
    assert!(is_alive(old) && !adopted[0].board.is_past(1));
    assert!(second.child.try_wait().unwrap().is_none());
    // When no request can come any more, nobody else could end it.
    second.drain = None;
    assert_eq!(second.ended().code(), Some(0));
    assert!(adopted[0].board.is_past(1));
    kill(old);
}
