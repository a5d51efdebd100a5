//! When a request goes to another process, and what becomes of it when there is none.

use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use oxwsgi_core::config::ScriptOwner;
use oxwsgi_core::exchange::{Outcome, RetryReason, Send};
use oxwsgi_core::request::BodyLength;
use oxwsgi_core::wire::encode_retry;

use super::fake::{Group, PID, Session, TestExchange, with_view};
use crate::ending;

/// Longer than anything takes on a loaded machine that does not wait for this.
const LONG: Duration = Duration::from_secs(60);

/// A worker that does as `first` says with its first connection, and serves on all others.
fn at_first(group: &Group, first: fn(&mut Session)) {
    group.accept(move |worker| {
        if worker.connection == 0 {
            first(worker);
        } else {
            worker.begin();
            worker.reply(b"served");
        }
    });
}

fn ends_with(group: &Group, status: i32) {
    group.board.process(0).unwrap().bury(status);
}

#[test]
fn a_request_that_nobody_took_goes_to_another_process() {
    let scripts: [fn(&mut Session); 4] = [
        // Gone before it said who it is.
        |_| (),
        // Gone before it read.
        |worker| worker.hello(),
        // Gone after it read.
        |worker| {
            worker.hello();
            assert!(worker.request());
        },
        |worker| {
            worker.hello();
            assert!(worker.request());
            encode_retry(&mut worker.out, RetryReason::Stopping);
            worker.flush();
        },
    ];
    for first in scripts {
        let group = Group::new(1, 1);
        at_first(&group, first);
        let (outcome, exchange) = group.get();
        assert_eq!((outcome, exchange.sent()), (Outcome::Sent, b"served".to_vec()));
        assert!(exchange.logged.is_empty());
    }
}

#[test]
fn its_body_goes_along() {
    let group = Group::new(1, 1);
    group.accept(|worker| {
        worker.hello();
        assert!(worker.request());
        let body = worker.inline.take().unwrap();
        if worker.connection > 0 {
            worker.mark(|mark, sequence| mark.accept(sequence));
            worker.reply(&body);
        }
    });
    let mut exchange = TestExchange::with_body(b"body".to_vec());
    let outcome = with_view(BodyLength::Bytes(4), &[], |view| group.client.serve(view, &mut exchange));
    assert_eq!((outcome, exchange.sent()), (Outcome::Sent, b"body".to_vec()));
}

#[test]
fn a_request_whose_application_was_called_does_not() {
    static IS_SOON: AtomicBool = AtomicBool::new(false);
    let group = Group::new(1, 1);
    at_first(&group, |worker| {
        worker.begin();
        let end = Instant::now();
        worker.stream.shutdown(std::net::Shutdown::Both).unwrap();
        // Until the supervisor learns of it.
        std::thread::sleep(Duration::from_millis(20));
        worker.board.process(0).unwrap().bury(9);
        IS_SOON.store(end.elapsed() < ending::PATIENCE, Ordering::SeqCst);
    });
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(502), vec!["WSGI0146"]));
    let line = &exchange.logged[0].1;
    // On a machine so slow that nobody waited for it, there is no more to say.
    if IS_SOON.load(Ordering::SeqCst) {
        assert!(line.contains("(pid=4000) has ended with signal 9 (SIGKILL)"), "{line}");
    }
    assert!(line.contains("GET /path?query"), "{line}");
}

#[test]
fn a_slot_that_has_a_new_process_tells_nothing_of_the_old_one() {
    let group = Group::new(1, 1);
    at_first(&group, |worker| {
        worker.hello();
        assert!(worker.request());
        let process = worker.board.process(0).unwrap();
        process.assign();
        process.set_pid(PID + 10);
    });
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(502), vec!["WSGI0146"]));
}

#[test]
fn the_mark_of_a_later_connection_tells_nothing_of_an_earlier_one() {
    let group = Group::new(1, 1);
    at_first(&group, |worker| {
        worker.begin();
        // It breaks, and another connection has its number before the client looks.
        worker.mark(|mark, _| assert!(mark.begin() > 0));
    });
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(502), vec!["WSGI0146"]));
}

#[test]
fn a_connection_that_somebody_else_holds_open_ends_when_its_mark_says_so() {
    let group = Group::new(1, 2);
    group.accept(|worker| {
        worker.process_takes_ticket();
        worker.hello();
        assert!(worker.request());
        if worker.connection > 0 {
            worker.mark(|mark, sequence| mark.accept(sequence));
            worker.reply(b"served");
            return;
        }
        // A child of the application's has a copy of the connection.
        std::mem::forget(worker.stream.try_clone().unwrap());
        // The request was not looked at.
        worker.process_gives_ticket();
        worker.mark(|mark, _| mark.close());
    });
    // Nobody who waits for the end of the connection gets this: there is none within the time for silence.
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.sent()), (Outcome::Sent, b"served".to_vec()));
    assert_eq!(group.board.process(0).unwrap().idle(), 2);
}

#[test]
fn a_process_that_only_closes_the_connection_is_named() {
    let group = Group::new(1, 1);
    at_first(&group, Session::begin);
    let (outcome, exchange) = group.get();
    assert_eq!(outcome, Outcome::Refused(502));
    assert!(exchange.logged[0].1.contains("(pid=4000) has closed the connection"));
}

#[test]
fn an_end_in_the_middle_of_a_reply_breaks_it() {
    let group = Group::new(1, 1);
    ends_with(&group, 3 << 8);
    at_first(&group, |worker| {
        worker.begin();
        worker.head(10, &[]);
        worker.data(b"half", Send::MORE);
        worker.flush();
    });
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.sent()), (Outcome::Broken, b"half".to_vec()));
    assert_eq!(exchange.numbers(), ["WSGI0119"]);
    assert!(exchange.logged[0].1.contains("exit code 3"), "{:?}", exchange.logged);
}

#[test]
fn an_end_is_noticed_although_a_child_of_the_process_holds_the_connection_open() {
    for (script, expected) in [
        (Session::begin as fn(&mut Session), Outcome::Refused(502)),
        (
            |worker: &mut Session| {
                worker.begin();
                worker.head(-1, &[]);
                worker.data(b"half", Send::FLUSH);
                worker.flush();
            },
            Outcome::Broken,
        ),
        (
            |worker: &mut Session| {
                worker.hello();
                assert!(worker.request());
            },
            Outcome::Sent,
        ),
    ] {
        let group = Group::with(1, 1, |settings| settings.socket_timeout = None);
        group.accept(move |worker| {
            if worker.connection > 0 {
                worker.begin();
                worker.reply(b"served");
                return;
            }
            script(worker);
            let child = worker.stream.try_clone().unwrap();
            worker.board.process(0).unwrap().bury(9);
            std::thread::sleep(Duration::from_secs(60));
            drop(child);
        });
        let start = Instant::now();
        let (outcome, exchange) = group.get();
        assert_eq!(outcome, expected, "{:?}", exchange.logged);
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn what_a_process_sent_before_its_end_counts() {
    let group = Group::new(1, 1);
    at_first(&group, |worker| {
        worker.begin();
        worker.board.process(0).unwrap().bury(9);
        worker.wait_for_the_end();
        worker.reply(b"after all");
    });
    // Seen to have ended after a second, and nobody waits for more.
    let (outcome, _) = group.get();
    assert_eq!(outcome, Outcome::Refused(502));
    let group = Group::new(1, 1);
    at_first(&group, |worker| {
        worker.begin();
        worker.reply(b"in time");
        worker.board.process(0).unwrap().bury(9);
    });
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.sent()), (Outcome::Sent, b"in time".to_vec()));
}

#[test]
fn a_changed_script_is_given_back_by_each_process_at_most_twice() {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let group = Group::new(2, 1);
    group.accept(|worker| {
        worker.hello();
        assert!(worker.request());
        COUNT.fetch_add(1, Ordering::Relaxed);
        encode_retry(&mut worker.out, RetryReason::Reload);
        worker.flush();
    });
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(503), vec!["WSGI0124"]));
    assert_eq!(COUNT.load(Ordering::Relaxed), 5);
    assert!(exchange.retry_after.is_some());
}

#[test]
fn a_request_that_has_waited_too_long_is_not_tried_again() {
    let group = Group::new(1, 1);
    at_first(&group, |worker| {
        worker.hello();
        assert!(worker.request());
        encode_retry(&mut worker.out, RetryReason::TooOld);
        worker.flush();
    });
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(504), vec!["WSGI0084"]));
}

#[test]
fn processes_that_never_take_anything_are_given_up() {
    let group = Group::with(1, 1, |settings| settings.connect_timeout = Duration::from_millis(300));
    group.accept(|_| ());
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(502), vec!["WSGI1123"]));
}

#[test]
fn a_full_queue_is_answered_at_once() {
    let group = Group::with(1, 1, |settings| settings.connect_timeout = LONG);
    // The shortest queue there is; nobody accepts.
    rustix::net::listen(group.listener.as_fd(), 0).unwrap();
    // A queue takes one more than its length.
    let _waiting = UnixStream::connect(&group.socket).unwrap();
    let start = Instant::now();
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(503), vec!["WSGI0116"]));
    assert!(exchange.logged[0].1.contains("listen-backlog=100"), "{:?}", exchange.logged);
    assert!(exchange.retry_after.is_some() && start.elapsed() < LONG);
}

#[test]
fn a_group_that_nobody_listens_for_is_waited_for() {
    let limit = Duration::from_millis(300);
    let mut group = Group::with(1, 1, |settings| settings.connect_timeout = limit);
    // The file stays when the listener goes.
    let elsewhere = group.socket.with_extension("other");
    group.listener = std::sync::Arc::new(UnixListener::bind(&elsewhere).unwrap());
    let start = Instant::now();
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(503), vec!["WSGI0116"]));
    assert!(start.elapsed() >= limit);
}

#[test]
fn a_group_without_a_socket_is_not_waited_for() {
    let group = Group::with(1, 1, |settings| settings.connect_timeout = LONG);
    std::fs::remove_file(&group.socket).unwrap();
    let start = Instant::now();
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(503), vec!["WSGI0117"]));
    assert!(exchange.logged[0].1.contains("uid="), "{:?}", exchange.logged);
    assert!(start.elapsed() < LONG);
}

#[test]
fn a_path_that_is_no_sockets_is_refused() {
    let group = Group::with(1, 1, |settings| settings.socket = "/x".repeat(100).into());
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(503), vec!["WSGI0117"]));
}

#[test]
fn scripts_of_others_do_not_run() {
    let group = Group::with(1, 1, |settings| settings.script_owner = Some(ScriptOwner::User(u32::MAX)));
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(403), vec!["WSGI0162"]));
}

#[test]
fn writes_to_the_client_are_bounded_where_that_is_set() {
    let limit = Duration::from_secs(7);
    let group = Group::with(1, 1, |settings| settings.response_socket_timeout = Some(limit));
    at_first(&group, |worker| {
        worker.begin();
        worker.reply(b"");
    });
    assert_eq!(group.get().1.send_timeout, Some(limit));
}
