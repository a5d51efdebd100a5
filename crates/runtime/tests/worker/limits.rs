//! Every limit of a group, seen to happen.

use std::time::{Duration, Instant};

use oxwsgi_core::daemon::{FromWorker, Reason};
use oxwsgi_core::exchange::{Outcome, RetryReason};

use crate::stage::{Request, Stage, wait_for};

const SLOW: &str = r#"
import ctypes, time

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/spin"):
        end = time.time() + float(path[5:])
        while time.time() < end:
            pass
    elif path.startswith("/hold"):
        ctypes.PyDLL(None).sleep(int(path[5:]))
    elif path.startswith("/head"):
        start_response("200 OK", [])(b"some")
        while True:
            time.sleep(0.01)
    elif path.startswith("/catch"):
        import mod_wsgi
        try:
            while True:
                time.sleep(0.01)
        except mod_wsgi.RequestTimeout as error:
            assert not isinstance(error, Exception)
    elif path != "/":
        time.sleep(float(path[1:]))
    start_response("200 OK", [])
    return [b"done"]
"#;

const fn seconds(count: u64) -> Option<Duration> {
    Some(Duration::from_secs(count))
}

#[test]
fn maximum_requests_are_a_maximum() {
    let stage = Stage::new(SLOW).with(|group| group.limits.maximum_requests = Some(3));
    let mut worker = stage.ready();
    let mut first = worker.connect();
    let mut second = worker.connect();
    assert_eq!((first.get("/").text(), second.get("/").text()), ("done".to_owned(), "done".to_owned()));
    // The third takes its time, and the fourth comes meanwhile: it was on its way already.
    let request = Request::to("/0.5");
    first.send(&request).unwrap();
    worker.expect(&FromWorker::Ending(Reason::MaximumRequests));
    assert!(!worker.process().take_ticket());
    let sent = second.send(&Request::to("/"));
    let answer = if sent.is_ok() { second.receive(&Request::to("/")) } else { Default::default() };
    assert!(answer.outcome.is_none() && answer.retry.is_none_or(|reason| reason == RetryReason::Stopping));
    let hello = second.hello.unwrap();
    assert!(!worker.process().was_accepted(hello.pid, hello.connection, hello.base + 2));
    assert_eq!(first.receive(&request).text(), "done");
    assert_eq!(worker.wait().code(), Some(0));
    assert_eq!(worker.process().served(), 3);
    worker.expect_log("maximum_requests.");
}

#[test]
fn a_restart_interval_ends_an_idle_process() {
    let stage = Stage::new(SLOW).with(|group| group.limits.restart_interval = seconds(2));
    let start = Instant::now();
    let mut worker = stage.start();
    // It waits in the queue when the process begins to serve, for the interval is short.
    assert_eq!(worker.get("/").text(), "done");
    worker.expect(&FromWorker::Ending(Reason::RestartInterval));
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert_eq!(worker.wait().code(), Some(0));
}

#[test]
fn inactivity_ends_a_process_that_had_a_request() {
    let stage = Stage::new(SLOW).with(|group| group.limits.inactivity = seconds(1));
    let mut worker = stage.ready();
    std::thread::sleep(Duration::from_millis(1500));
    let start = Instant::now();
    assert_eq!(worker.get("/1.5").text(), "done");
    worker.expect(&FromWorker::Ending(Reason::InactivityTimeout));
    assert!(start.elapsed() >= Duration::from_millis(2500), "the second begins when the request has ended");
    assert_eq!(worker.wait().code(), Some(0));
}

#[test]
fn a_script_that_does_not_load_ends_the_process() {
    let stage = Stage::new("1 / 0\n").with(|group| group.limits.startup = seconds(1));
    let mut worker = stage.ready();
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(worker.get("/").outcome, Some(Outcome::Refused(500)));
    worker.expect(&FromWorker::Ending(Reason::StartupTimeout));
    assert_eq!(worker.wait().code(), Some(0));
}

#[test]
fn a_lock_that_nobody_lets_go_of_ends_the_process() {
    let stage = Stage::new(SLOW).with(|group| {
        group.limits.deadlock = seconds(2);
        group.limits.shutdown = seconds(1);
    });
    let mut worker = stage.ready();
    worker.get("/");
    let mut connection = worker.connect();
    connection.send(&Request::to("/hold30")).unwrap();
    worker.expect(&FromWorker::Ending(Reason::DeadlockTimeout));
    assert_eq!(worker.wait().code(), Some(255));
    worker.expect_log("Shutdown timeout expired");
    let errors = worker.errors();
    assert!(errors.contains("most recent call first") && errors.contains("in application"), "{errors}");
}

#[test]
fn a_request_timeout_ends_the_process_and_shows_where_it_was() {
    let stage = Stage::new(SLOW).import().with(|group| {
        group.threads = 1;
        group.limits.request = seconds(1);
        group.limits.shutdown = seconds(1);
    });
    let mut worker = stage.ready();
    let mut connection = worker.connect();
    connection.send(&Request::to("/30")).unwrap();
    worker.expect(&FromWorker::Ending(Reason::RequestTimeout));
    worker.expect_log("Dumping stack trace for active Python threads of main interpreter");
    worker.expect_log("time.sleep(float(path[1:]))");
    assert_eq!(worker.wait().code(), Some(255));
}

#[test]
fn other_limits_need_no_deadlock_timeout_and_a_request_timeout_waits_for_others() {
    let stage = Stage::new(SLOW).import().with(|group| {
        group.limits.request = seconds(3);
        group.limits.deadlock = None;
        group.limits.shutdown = seconds(1);
    });
    let mut worker = stage.ready();
    let mut connection = worker.connect();
    connection.send(&Request::to("/30")).unwrap();
    // With two threads the limit is 5.1 s. The other request begins well before that, and is not as old by then.
    std::thread::sleep(Duration::from_millis(2500));
    let request = Request::to("/4");
    let mut other = worker.connect();
    other.send(&request).unwrap();
    worker.expect(&FromWorker::Ending(Reason::RequestTimeout));
    assert_eq!(other.receive(&request).text(), "done");
    assert_eq!(worker.wait().code(), Some(255));
}

#[test]
fn an_interrupted_request_is_a_gateway_timeout() {
    let stage = Stage::new(SLOW).import().with(|group| {
        group.threads = 1;
        group.limits.request = seconds(1);
        group.limits.interrupt = seconds(5);
    });
    let mut worker = stage.ready();
    let mut connection = worker.connect();
    let answer = connection.get("/spin30");
    assert_eq!(answer.outcome, Some(Outcome::Refused(504)));
    assert_eq!(answer.log.last().unwrap(), "Request interrupted by RequestTimeout; thread recovered.");
    assert!(!answer.log.iter().any(|line| line.contains("Traceback")));
    worker.expect_log("Injected RequestTimeout into thread");
    worker.expect_log("while time.time() < end:");
    let answer = connection.get("/head");
    assert_eq!((answer.text().as_str(), answer.outcome), ("some", Some(Outcome::Broken)));
    let last = answer.log.last().unwrap();
    assert_eq!(last, "Request interrupted by RequestTimeout; after headers sent; response truncated.");
    assert_eq!(connection.get("/catch").text(), "done");
    assert_eq!(connection.get("/").text(), "done");
    worker.signal(libc::SIGTERM);
    assert_eq!(worker.wait().code(), Some(0));
}

#[test]
fn an_interrupt_that_comes_too_late_hits_nobody_else() {
    let stage = Stage::new(SLOW).import().with(|group| {
        group.threads = 1;
        group.limits.request = seconds(1);
        group.limits.interrupt = seconds(10);
    });
    let worker = stage.ready();
    let mut connection = worker.connect();
    // It sleeps in C, and has no line of Python to run any more when it wakes.
    let answer = connection.get("/2.5");
    assert!(matches!(answer.outcome, Some(Outcome::Refused(504) | Outcome::Sent)), "{answer:?}");
    for _ in 0..50 {
        assert_eq!(connection.get("/").text(), "done");
    }
}

#[test]
fn an_interrupt_in_vain_ends_the_process() {
    let stage = Stage::new(SLOW).import().with(|group| {
        group.threads = 1;
        group.limits.request = seconds(1);
        group.limits.interrupt = seconds(1);
        group.limits.shutdown = seconds(1);
    });
    let mut worker = stage.ready();
    let mut connection = worker.connect();
    connection.send(&Request::to("/30")).unwrap();
    worker.expect_log("Injected RequestTimeout into thread");
    worker.expect(&FromWorker::Ending(Reason::RequestTimeout));
    assert_eq!(worker.wait().code(), Some(255));
}

#[test]
fn a_process_without_descriptors_says_so_and_goes_on_when_there_are_some() {
    let stage = Stage::new(
        r#"
import os, resource

def application(environ, start_response):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # The lowest number that is free, which the next connection would get.
    free = os.dup(0)
    os.close(free)
    if environ["PATH_INFO"] == "/none":
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, most))
    start_response("200 OK", [])
    return [str(free).encode()]
"#,
    );
    let worker = stage.ready();
    let mut connection = worker.connect();
    let free = connection.get("/").text();
    for _ in 0..2 {
        // The process closes the connection of the round before in its own time; its number would be free for the next.
        wait_for("the connection to be closed", || connection.get("/").text() == free);
        assert_eq!(connection.get("/none").text(), free);
        let request = Request::to("/");
        let mut late = worker.connect();
        late.send(&request).unwrap();
        worker.expect_log(&format!(
            "WSGI1026: Daemon process 'site' cannot take requests out of its queue: Too many open files (os error 24). It \
             may have {free} files open"
        ));
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(connection.get("/").outcome, Some(Outcome::Sent));
        assert_eq!(late.receive(&request).outcome, Some(Outcome::Sent));
        let mut log = worker.log.lock().unwrap();
        assert_eq!(
            log.iter().filter(|line| line.contains("WSGI1026")).count(),
            1,
            "once, and not for each try"
        );
        log.clear();
    }
}

#[test]
fn processor_time_ends_a_process_gracefully() {
    let stage = Stage::new(SLOW);
    let mut worker = stage.ready();
    let request = Request::to("/0.5");
    let mut connection = worker.connect();
    connection.send(&request).unwrap();
    wait_for("the request", || worker.process().served() == 1);
    worker.signal(libc::SIGXCPU);
    worker.expect(&FromWorker::Ending(Reason::CpuTimeLimit));
    assert_eq!(connection.receive(&request).text(), "done");
    assert_eq!(worker.wait().code(), Some(0));
}

#[test]
fn an_eviction_has_a_window_of_its_own() {
    let stage = Stage::new(SLOW).with(|group| {
        group.limits.eviction = seconds(1);
        group.limits.shutdown = seconds(1);
    });
    let mut worker = stage.ready();
    let mut connection = worker.connect();
    connection.send(&Request::to("/30")).unwrap();
    wait_for("the request", || worker.process().served() == 1);
    let start = Instant::now();
    worker.signal(libc::SIGUSR1);
    worker.expect(&FromWorker::Ending(Reason::EvictionSignal));
    worker.expect(&FromWorker::Stopping);
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(worker.wait().code(), Some(255));
}

#[test]
fn a_changed_script_restarts_the_process_and_the_request_is_given_back() {
    let stage = Stage::new(SLOW).with(|group| group.threads = 3);
    let mut worker = stage.ready();
    let first = stage.mtime();
    let mut connection = worker.connect();
    assert_eq!(connection.ask(&Request { mtime: first, ..Request::to("/") }).text(), "done");
    // The server is behind or ahead; the file is what it was.
    assert_eq!(connection.ask(&Request { mtime: first + 1, ..Request::to("/") }).text(), "done");
    let mut busy = worker.connect();
    let long = Request { mtime: first, ..Request::to("/0.7") };
    busy.send(&long).unwrap();
    wait_for("the request", || worker.process().served() == 3);
    std::fs::write(stage.script(), SLOW.replace("done", "changed")).unwrap();
    let answer = connection.ask(&Request { mtime: stage.mtime(), ..Request::to("/") });
    assert_eq!((answer.retry, answer.outcome), (Some(RetryReason::Reload), None));
    let hello = connection.hello.unwrap();
    assert!(!worker.process().was_accepted(hello.pid, hello.connection, hello.base + 3));
    worker.expect(&FromWorker::Ending(Reason::ScriptReload));
    assert!(
        answer
            .log
            .iter()
            .any(|line| line.contains("Forcing restart of daemon process 'site' due to modification"))
    );
    assert_eq!(busy.receive(&long).text(), "done", "it has its time");
    assert_eq!(worker.wait().code(), Some(0));
    assert_eq!(stage.ready().get("/").text(), "changed");
}
