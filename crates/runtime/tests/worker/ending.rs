//! How workers end: on signals, with their supervisor, with their server.

use std::time::{Duration, Instant};

use oxwsgi_core::daemon::{FromWorker, Reason, bootstrap};

use crate::stage::{Request, Stage, wait_for};

const SLOW: &str = r#"
import atexit, mod_wsgi, os, time

atexit.register(lambda: print("exit handler in", mod_wsgi.application_group or "main"))

@mod_wsgi.subscribe_shutdown
def stopping(event, **details):
    print(event, details)

@mod_wsgi.subscribe_signals
def signalled(event, **details):
    print(event, details)

def application(environ, start_response):
    if environ["PATH_INFO"] != "/":
        time.sleep(float(environ["PATH_INFO"][1:]))
    start_response("200 OK", [])
    return [b"done"]
"#;

#[test]
fn an_idle_worker_ends_in_good_order() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGUSR1] {
        let stage = Stage::new(SLOW);
        let mut worker = stage.ready();
        let mut connection = worker.connect();
        connection.get("/");
        connection.ask(&Request { application_group: "sub", ..Request::to("/") });
        worker.signal(signal);
        let reason = if signal == libc::SIGUSR1 { Reason::GracefulSignal } else { Reason::ShutdownSignal };
        worker.expect(&FromWorker::Ending(reason));
        worker.expect(&FromWorker::Stopping);
        assert_eq!(worker.wait().code(), Some(0));
        worker.expect_log(&format!(
            "Shutdown requested for daemon process 'site' (pid={}): {reason}.",
            worker.child.id()
        ));
        for words in [
            "Stopping process 'site'.",
            &format!("process_stopping {{'shutdown_reason': '{reason}'}}"),
            "exit handler in main",
            "exit handler in sub",
        ] {
            worker.expect_log(words);
        }
        let hello = connection.hello.unwrap();
        assert!(connection.is_closed());
        assert!(
            !worker.process().was_accepted(hello.pid, hello.connection, hello.base + 3),
            "the next may be tried elsewhere"
        );
    }
}

#[test]
fn what_is_under_way_is_finished_and_nothing_new_is_begun() {
    let stage = Stage::new(SLOW);
    let mut worker = stage.ready();
    let mut busy = worker.connect();
    busy.get("/");
    let mut idle = worker.connect();
    idle.get("/");
    let request = Request::to("/1");
    busy.send(&request).unwrap();
    wait_for("the request", || worker.process().served() == 3);
    worker.signal(libc::SIGUSR1);
    worker.expect(&FromWorker::Ending(Reason::GracefulSignal));
    wait_for("the close of the idle connection", || idle.is_closed());
    assert!(!worker.process().take_ticket());
    assert_eq!(busy.receive(&request).text(), "done");
    wait_for("the close of the busy connection", || busy.is_closed());
    worker.expect(&FromWorker::Stopping);
    assert_eq!(worker.wait().code(), Some(0));
}

#[test]
fn a_worker_that_does_not_end_in_time_is_ended() {
    let stage = Stage::new(SLOW).with(|group| group.limits.shutdown = Some(Duration::from_secs(1)));
    let mut worker = stage.ready();
    worker.connect().get("/");
    let request = Request::to("/30");
    let mut connection = worker.connect();
    connection.send(&request).unwrap();
    wait_for("the request", || worker.process().served() == 2);
    let start = Instant::now();
    worker.signal(libc::SIGTERM);
    assert_eq!(worker.wait().code(), Some(255));
    assert!(start.elapsed() >= Duration::from_secs(1));
    worker.expect_log("Shutdown timeout expired; aborting daemon process 'site'.");
    assert_eq!(connection.receive(&request).outcome, None);
    let hello = connection.hello.unwrap();
    assert!(worker.process().was_accepted(hello.pid, hello.connection, hello.base + 1), "it was begun");
}

#[test]
fn a_supervisor_that_does_not_listen_holds_up_no_end() {
    let stage = Stage::new(
        r#"
import socket, threading

control = socket.socket(fileno=CONTROL)
count = 0

def talk():
    global count
    while True:
        print("x" * 4000)
        count += 1

threading.Thread(target=talk, daemon=True).start()

def application(environ, start_response):
    start_response("200 OK", [])
    try:
        control.send(b"x", socket.MSG_DONTWAIT)
    except BlockingIOError:
        return [b"full" if count else b"nothing was said"]
    return [b"there is room"]
"#
        .replace("CONTROL", &bootstrap::CONTROL.to_string())
        .as_str(),
    )
    .with(|group| group.limits.shutdown = Some(Duration::from_secs(1)));
    let mut worker = stage.start_unheard();
    let mut connection = worker.connect();
    wait_for("no line to be taken any more", || connection.get("/").text() == "full");
    worker.signal(libc::SIGTERM);
    assert_eq!(worker.wait().code(), Some(255));
}

#[test]
fn a_signal_between_two_scripts_is_not_lost() {
    for (signal, reason) in [
        (libc::SIGTERM, Reason::ShutdownSignal),
        (libc::SIGUSR1, Reason::GracefulSignal),
        (libc::SIGXCPU, Reason::CpuTimeLimit),
    ] {
        let stage = Stage::new("import time\nprint('at work')\ntime.sleep(0.5)\n").import().import();
        let mut worker = stage.start();
        worker.expect_log("at work");
        worker.signal(signal);
        worker.expect(&FromWorker::Ending(reason));
        assert_eq!(worker.wait().code(), Some(0));
    }
}

#[test]
fn signals_for_the_application_reach_it() {
    let stage = Stage::new(SLOW).import();
    let mut worker = stage.ready();
    worker.signal(libc::SIGHUP);
    worker.expect_log(&format!("process_signal {{'signame': 'SIGHUP', 'signum': {}}}", libc::SIGHUP));
    worker.signal(libc::SIGUSR2);
    worker.expect_log(&format!("process_signal {{'signame': 'SIGUSR2', 'signum': {}}}", libc::SIGUSR2));
    assert_eq!(worker.get("/").text(), "done");
    worker.signal(libc::SIGTERM);
    assert_eq!(worker.wait().code(), Some(0));
}

#[test]
fn nothing_outlives_the_server() {
    let stage = Stage::new(SLOW);
    let mut worker = stage.ready();
    let mut connection = worker.connect();
    connection.send(&Request::to("/30")).unwrap();
    wait_for("the request", || worker.process().served() == 1);
    worker.cut_lifeline();
    assert_eq!(worker.wait().code(), Some(0));
}

#[test]
fn nothing_outlives_the_server_not_even_while_it_starts() {
    let stage = Stage::new("import time\ntime.sleep(60)\n").import();
    let mut worker = stage.start();
    worker.expect_log("Loading WSGI script");
    worker.cut_lifeline();
    assert_eq!(worker.wait().code(), Some(0));
}

#[test]
fn an_orphan_ends_when_no_request_can_come() {
    let stage = Stage::new(SLOW);
    let mut worker = stage.ready();
    let mut connection = worker.connect();
    worker.cut_drain();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(connection.get("/").text(), "done", "that it is to end is for its supervisor to say");
    worker.cut_control();
    assert_eq!(worker.wait().code(), Some(0));
}

#[test]
fn an_orphan_serves_until_others_do() {
    let stage = Stage::new(SLOW);
    let mut worker = stage.ready();
    let mut connection = worker.connect();
    connection.get("/");
    worker.cut_control();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(connection.get("/").text(), "done");
    let next = worker.board.next_epoch();
    worker.board.begin_epoch(next);
    assert_eq!(worker.wait().code(), Some(0));
}

#[test]
fn a_forked_child_dies_of_signals_as_usual() {
    let stage = Stage::new(
        r#"
import os, signal, time

def application(environ, start_response):
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    time.sleep(0.1)
    os.kill(child, signal.SIGTERM)
    status = os.waitpid(child, 0)[1]
    start_response("200 OK", [])
    return [str(os.WTERMSIG(status)).encode()]
"#,
    );
    let worker = stage.ready();
    assert_eq!(worker.get("/").text(), libc::SIGTERM.to_string());
}

#[test]
fn a_forked_child_keeps_no_client_waiting() {
    let stage = Stage::new(
        r#"
import os, time

def application(environ, start_response):
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    start_response("200 OK", [])
    yield str(child).encode()
    time.sleep(60)
"#,
    );
    let mut worker = stage.ready();
    let request = Request::to("/");
    let mut connection = worker.connect();
    connection.send(&request).unwrap();
    let child = connection.receive_until(&request, |answer| !answer.body.is_empty()).text();
    worker.child.kill().unwrap();
    assert_eq!(connection.receive(&request).outcome, None);
    let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    // SAFETY: plain numbers, and the child ends for nothing else.
    unsafe { libc::kill(child.parse().unwrap(), libc::SIGKILL) };
    let lives = stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'));
    assert!(lives, "the connection ended with the child, which has had it: {stat:?}");
    worker.wait();
}

#[test]
fn a_forked_child_that_goes_on_answers_nobody() {
    let stage = Stage::new(
        r#"
import os

def application(environ, start_response):
    os.fork()
    start_response("200 OK", [("X-Pid", str(os.getpid()))])
    return [b"done"]
"#,
    );
    let worker = stage.ready();
    let mut connection = worker.connect();
    for _ in 0..5 {
        let answer = connection.get("/");
        assert_eq!(
            (answer.text().as_str(), answer.headers[0].1.as_str()),
            ("done", &*worker.child.id().to_string())
        );
    }
}

#[test]
fn a_forked_child_of_a_script_that_is_loaded_serves_nobody() {
    let stage = Stage::new(
        r#"
import os

CHILD = os.fork()

def application(environ, start_response):
    start_response("200 OK", [])
    return [str(os.waitpid(CHILD, 0)).encode(), str(CHILD).encode()]
"#,
    )
    .import();
    let worker = stage.ready();
    let text = worker.get("/").text();
    let (ended, child) = text.split_at(text.find(')').unwrap() + 1);
    assert_eq!(ended, format!("({child}, 0)"));
    let errors = worker.errors();
    assert!(errors.contains("WSGI1025: A process that the application has forked came back"), "{errors}");
}

#[test]
fn threads_of_the_application_are_waited_for_or_left() {
    for (daemon, text) in [("False", "thread is done"), ("True", "exit")] {
        let stage = Stage::new(&format!(
            r#"
import atexit, threading, time

def work():
    time.sleep(0.5)
    print("thread is done")
    time.sleep(60 if {daemon} else 0)

atexit.register(lambda: print("exit"))
threading.Thread(target=work, daemon={daemon}).start()

def application(environ, start_response):
    start_response("200 OK", [])
    return []
"#
        ));
        let mut worker = stage.ready();
        worker.get("/");
        worker.signal(libc::SIGTERM);
        assert_eq!(worker.wait().code(), Some(0), "{daemon}");
        worker.expect_log(text);
    }
}

#[test]
fn a_service_runs_its_script_and_ends() {
    let stage = Stage::new("print('at work')\n").import().with(|group| group.threads = 0);
    let mut worker = stage.ready();
    worker.expect_log("at work");
    assert_eq!(worker.wait().code(), Some(0));
}

const SERVICE: &str = r#"
import signal, sys, time

try:
    print("at work")
    time.sleep(60)
finally:
    print("cleaning up", sys.exc_info()[0].__name__)
"#;

#[test]
fn a_service_whose_supervisor_is_replaced_ends_when_others_work() {
    let stage = Stage::new(SERVICE).import().with(|group| group.threads = 0);
    let mut worker = stage.ready();
    worker.expect_log("at work");
    worker.cut_control();
    std::thread::sleep(Duration::from_millis(300));
    assert!(worker.child.try_wait().unwrap().is_none(), "there is no other yet");
    let next = worker.board.next_epoch();
    worker.board.begin_epoch(next);
    assert_eq!(worker.wait().code(), Some(0));
    let errors = worker.errors();
    assert!(errors.contains("superseded") && errors.contains("cleaning up SystemExit"), "{errors}");
}

#[test]
fn a_service_that_does_not_end_for_another_is_ended() {
    let stage = Stage::new(
        r#"
import time

is_told = False
while True:
    try:
        is_told = is_told or print("at work") is None
        time.sleep(60)
    except SystemExit:
        pass
"#,
    )
    .import()
    .with(|group| {
        group.threads = 0;
        group.limits.shutdown = Some(Duration::from_secs(1));
    });
    let mut worker = stage.ready();
    worker.expect_log("at work");
    worker.cut_control();
    let next = worker.board.next_epoch();
    worker.board.begin_epoch(next);
    assert_eq!(worker.wait().code(), Some(255));
}

#[test]
fn a_service_ends_on_a_signal_as_it_sees_fit() {
    let stage = Stage::new(SERVICE).import().with(|group| group.threads = 0);
    let mut worker = stage.ready();
    worker.expect_log("at work");
    worker.signal(libc::SIGTERM);
    assert_eq!(worker.wait().code(), Some(0));
    worker.expect_log("cleaning up SystemExit");
    assert!(!worker.log.lock().unwrap().iter().any(|line| line.starts_with("WSGI")));
}
