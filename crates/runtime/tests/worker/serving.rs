//! Requests, their answers, and what the board says of both.

use std::io::Write;
use std::time::{Duration, Instant};

use oxwsgi_core::exchange::{Outcome, RetryReason};

use crate::stage::{Request, Stage, wait_for};

const HELLO: &str = r#"
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello " + environ["PATH_INFO"].encode()]
"#;

const SLOW: &str = r#"
import time

def application(environ, start_response):
    time.sleep(float(environ["PATH_INFO"][1:]))
    start_response("200 OK", [])
    return [b"done"]
"#;

#[test]
fn a_request_is_answered_and_the_connection_serves_the_next() {
    let stage = Stage::new(HELLO);
    let worker = stage.ready();
    assert_eq!(worker.process().idle(), 2);
    let mut connection = worker.connect();
    for path in ["/a", "/b", "/c"] {
        let answer = connection.get(path);
        assert_eq!(answer.text(), format!("hello {path}"));
        assert_eq!((answer.status_line.as_str(), answer.outcome), ("200 OK", Some(Outcome::Sent)));
        assert_eq!(answer.headers, [("Content-Type".to_owned(), "text/plain".to_owned())]);
    }
    let hello = connection.hello.unwrap();
    assert_eq!((hello.pid, hello.slot), (worker.child.id(), 0));
    let mark = worker.process().mark(hello.connection).unwrap();
    assert!(mark.is_waiting_after(hello.base + 3));
    assert!(worker.process().was_accepted(hello.pid, hello.connection, hello.base + 3));
    assert!(!worker.process().was_accepted(hello.pid, hello.connection, hello.base + 4));
    assert_eq!(worker.process().served(), 3);
}

#[test]
fn a_ticket_is_back_by_the_time_of_the_answer() {
    let stage = Stage::new(HELLO).with(|group| group.threads = 1);
    let worker = stage.ready();
    let mut connection = worker.connect();
    connection.get("/");
    for _ in 0..200 {
        assert!(worker.process().take_ticket());
        connection.get("/");
        assert!(worker.process().is_idle());
    }
}

#[test]
fn long_requests_run_on_all_threads_at_once() {
    let stage = Stage::new(
        r#"
import threading

ALL = threading.Barrier(4, timeout=15)

def application(environ, start_response):
    # Each goes on when all four are here.
    ALL.wait()
    start_response("200 OK", [])
    return [b"done"]
"#,
    )
    .with(|group| group.threads = 4);
    let worker = stage.ready();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(worker.get("/").text(), "done"));
        }
    });
}

#[test]
fn more_requests_than_threads_wait_in_the_queue_and_all_are_answered() {
    let stage = Stage::new(SLOW);
    let worker = stage.ready();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(worker.get("/0.02").text(), "done"));
        }
    });
    wait_for("all tickets", || worker.process().idle() == 2);
    assert_eq!(worker.process().served(), 20);
}

#[test]
fn requests_that_come_while_the_script_is_loaded_wait_for_it() {
    let script = format!("import time\ntime.sleep(0.3)\n{HELLO}");
    for reloading in [true, false] {
        let stage = Stage::new(&script).with(|group| group.threads = 4);
        let worker = stage.ready();
        let mtime = if reloading { stage.mtime() } else { -1 };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let answer = worker.connect().ask(&Request { mtime, ..Request::to("/") });
                    assert_eq!(answer.text(), "hello /", "{answer:?}");
                });
            }
        });
    }
}

#[test]
fn a_lost_ticket_is_found_again() {
    let stage = Stage::new(HELLO).with(|group| group.threads = 1);
    let worker = stage.ready();
    let start = Instant::now();
    assert!(worker.process().take_ticket());
    // Whoever comes now waits in the queue until the worker has seen that nobody sends anything.
    assert_eq!(worker.get("/").text(), "hello /");
    assert!(start.elapsed() > Duration::from_secs(1));
    assert!(worker.process().is_idle());
}

#[test]
fn a_lost_ticket_is_found_by_a_process_that_is_never_still() {
    let stage = Stage::new(HELLO);
    let worker = stage.ready();
    let mut busy = worker.connect();
    busy.get("/");
    assert!(worker.process().take_ticket());
    wait_for("the lost ticket", || {
        assert!(worker.process().take_ticket(), "the other one is not touched");
        busy.get("/");
        worker.process().idle() == 2
    });
}

#[test]
fn a_connection_without_a_request_costs_no_ticket() {
    let stage = Stage::new(HELLO);
    let worker = stage.ready();
    let mut busy = worker.connect();
    busy.get("/");
    let mut silent = worker.connect();
    wait_for("its ticket to be taken", || worker.process().idle() == 1);
    // Never still, so that no ticket is taken for lost.
    let mut serve = || {
        assert!(worker.process().take_ticket());
        busy.get("/");
    };
    wait_for("the close of what nobody uses", || {
        serve();
        silent.is_closed()
    });
    let closed = Instant::now();
    wait_for("its ticket", || {
        serve();
        worker.process().idle() == 2
    });
    assert!(closed.elapsed() < Duration::from_secs(4), "it was given back, and not taken for lost after 5 s");
}

#[test]
fn lines_and_exceptions_go_to_the_requests_log() {
    let stage = Stage::new(
        r#"
import sys

def application(environ, start_response):
    environ["wsgi.errors"].write("one\n")
    print("two", file=sys.stderr)
    raise ValueError("three")
"#,
    );
    let worker = stage.ready();
    let mut connection = worker.connect();
    let answer = connection.get("/");
    assert_eq!(answer.outcome, Some(Outcome::Refused(500)));
    assert!(answer.log.iter().any(|line| line.starts_with("Loading WSGI script")), "{:?}", answer.log);
    for words in ["one", "two", "WSGI0174: ValueError exception raised", "ValueError: three"] {
        assert!(answer.log.iter().any(|line| line.contains(words)), "{words}: {:?}", answer.log);
    }
    assert!(answer.log.iter().any(|line| line.contains("main interpreter of daemon process 'site'")));
    assert_eq!(connection.get("/").outcome, Some(Outcome::Refused(500)), "the connection is fine");
}

#[test]
fn headers_that_cannot_be_sent_are_told_from_what_can() {
    let stage = Stage::new(
        r#"
def application(environ, start_response):
    many = [("X-Many", "x")] * 513
    long = [("X-Long", "x" * (128 * 1024))]
    start_response("200 OK", many if environ["PATH_INFO"] == "/many" else long)
    return [b"done"]
"#,
    );
    let worker = stage.ready();
    let mut connection = worker.connect();
    for path in ["/many", "/long"] {
        let answer = connection.get(path);
        let says = |words: &str| answer.log.iter().any(|line| line.contains(words));
        assert!(says("512 headers and 128 KiB are the most"), "{path}: {answer:?}");
        assert!(!answer.is_complete && answer.outcome != Some(Outcome::Sent));
    }
}

#[test]
fn a_script_without_the_callable_is_not_found() {
    let stage = Stage::new("");
    let worker = stage.ready();
    let mut connection = worker.connect();
    let answer = connection.get("/");
    assert_eq!(answer.outcome, Some(Outcome::Refused(404)));
    // The application was not called, and the connection waits all the same.
    let hello = connection.hello.unwrap();
    assert!(worker.process().mark(hello.connection).unwrap().is_waiting_after(hello.base + 1));
}

#[test]
fn what_close_does_comes_before_the_end_of_the_reply() {
    let stage = Stage::new(
        r#"
import os, time

class Body:
    def __iter__(self):
        yield b"body"

    def close(self):
        while not os.path.exists(__file__ + ".go"):
            time.sleep(0.01)
        print("closed")

def application(environ, start_response):
    start_response("200 OK", [])
    return Body()
"#,
    );
    let worker = stage.ready();
    let mut connection = worker.connect();
    let request = Request::to("/");
    connection.send(&request).unwrap();
    let early = connection.receive_until(&request, |answer| answer.is_complete);
    assert!(early.is_complete);
    assert_eq!((early.text().as_str(), early.outcome), ("body", None));
    assert_eq!(worker.process().idle(), 1, "the thread is not free yet");
    std::fs::write(stage.folder.path().join("app.wsgi.go"), "").unwrap();
    let late = connection.receive(&request);
    assert_eq!((late.log, late.outcome), (vec!["closed".to_owned()], Some(Outcome::Sent)));
    assert_eq!(worker.process().idle(), 2);
}

#[test]
fn a_request_that_has_waited_for_too_long_is_given_back() {
    let stage = Stage::new(HELLO).with(|group| group.limits.queue = Some(Duration::from_secs(60)));
    let worker = stage.ready();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    let mut connection = worker.connect();
    let answer = connection.ask(&Request { queue_start: now - 61_000_000, ..Request::to("/") });
    assert_eq!(answer.retry, Some(RetryReason::TooOld));
    assert!(answer.log[0].contains("WSGI0084"));
    let answer = connection.ask(&Request { queue_start: now - 1_000_000, ..Request::to("/") });
    assert_eq!(answer.text(), "hello /");
    assert_eq!(worker.process().served(), 1);
}

#[test]
fn nonsense_ends_a_connection_and_nothing_else() {
    let stage = Stage::new(HELLO);
    let worker = stage.ready();
    let mut good = worker.connect();
    good.get("/");
    let mut wrong_order = worker.connect();
    wrong_order.sequence = 7;
    assert_eq!(wrong_order.get("/").outcome, None);
    let mut wrong_bytes = worker.connect();
    wrong_bytes.socket.write_all(&[0xff; 64]).unwrap();
    wait_for("the end of the connection", || wrong_bytes.is_closed());
    let mut too_long = worker.connect();
    too_long.socket.write_all(&[0xff, 0xff, 0xff, 0x7f, 1, 0, 0, 0]).unwrap();
    wait_for("the end of the connection", || too_long.is_closed());
    worker.expect_log(
        "WSGI1022: A connection from the server to daemon process 'site' is given up: request 8 came after",
    );
    assert_eq!(good.get("/x").text(), "hello /x");
    wait_for("all tickets", || worker.process().idle() == 2);
}

#[test]
fn a_client_that_leaves_keeps_nothing() {
    let stage = Stage::new(
        r#"
import time

def application(environ, start_response):
    start_response("200 OK", [])
    for _ in range(1000):
        yield b"x" * 65536
        time.sleep(0.001)
"#,
    );
    let worker = stage.ready();
    for _ in 0..4 {
        let request = Request::to("/");
        let mut connection = worker.connect();
        connection.send(&request).unwrap();
        connection.receive_until(&request, |answer| !answer.body.is_empty());
    }
    drop(worker.connect());
    wait_for("all tickets", || worker.process().idle() == 2);
}

#[test]
fn hundreds_of_connections_come_and_go() {
    let stage = Stage::new(HELLO);
    let worker = stage.ready();
    let mut kept = Vec::new();
    for number in 0..600 {
        let mut connection = worker.connect();
        assert_eq!(connection.get("/").text(), "hello /", "connection {number}");
        kept.push(connection);
    }
    // At most so many stay open without use.
    wait_for("the close of most", || {
        kept.iter_mut().filter_map(|connection| (!connection.is_closed()).then_some(())).count() <= 128
    });
    // The first ones' numbers are others' by now.
    let closed =
        kept.iter_mut().rev().find_map(|connection| connection.is_closed().then_some(connection)).unwrap();
    let hello = closed.hello.unwrap();
    assert!(
        !worker.process().was_accepted(hello.pid, hello.connection, hello.base + 2),
        "it may be tried elsewhere"
    );
}

#[test]
fn each_application_group_is_an_interpreter() {
    let stage = Stage::new(
        r#"
import mod_wsgi

def application(environ, start_response):
    start_response("200 OK", [])
    return [mod_wsgi.application_group.encode(), b" ", mod_wsgi.process_group.encode()]
"#,
    );
    let mut worker = stage.ready();
    let mut connection = worker.connect();
    for group in ["", "one", "two", "one"] {
        let answer = connection.ask(&Request { application_group: group, ..Request::to("/") });
        assert_eq!(answer.text(), format!("{group} site"));
    }
    worker.signal(libc::SIGTERM);
    assert_eq!(worker.wait().code(), Some(0));
}
