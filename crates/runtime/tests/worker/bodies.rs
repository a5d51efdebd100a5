//! Bodies of requests and of replies.

use oxwsgi_core::exchange::Outcome;

use crate::stage::{Body, Request, Stage, wait_for};

const ECHO: &str = r#"
import hashlib

def application(environ, start_response):
    path, source = environ["PATH_INFO"], environ["wsgi.input"]
    if path == "/echo":
        body = source.read()
    elif path == "/lines":
        body = b"|".join(source)
    elif path == "/first":
        body = source.read(10)
    elif path == "/fails":
        try:
            body = source.read()
        except OSError as error:
            body = str(error).encode()
    else:
        body = b"unread"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"#;

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 + index / 251) as u8).collect()
}

#[test]
fn a_body_comes_with_its_request_or_when_it_is_asked_for() {
    let stage = Stage::new(ECHO);
    let worker = stage.ready();
    let mut connection = worker.connect();
    let body = bytes(3_000_000);
    for (body, size) in [(&body[..5], 5), (&body[..100_000], 1000), (&body[..], 1 << 20)] {
        let answer = connection.ask(&Request { body: Body::Pieces(body, size), ..Request::to("/echo") });
        assert!(answer.was_read && answer.body == body && answer.outcome == Some(Outcome::Sent));
    }
    let answer = connection.ask(&Request { body: Body::Inline(&body[..9000]), ..Request::to("/echo") });
    assert!(!answer.was_read && answer.body == body[..9000]);
    let answer = connection.ask(&Request { body: Body::Pieces(b"a\nb\nc", 2), ..Request::to("/lines") });
    assert_eq!(answer.text(), "a\n|b\n|c");
}

#[test]
fn a_body_that_nobody_wants_is_not_asked_for() {
    let stage = Stage::new(ECHO);
    let worker = stage.ready();
    let mut connection = worker.connect();
    for body in [Body::Pieces(b"body", 4), Body::Inline(b"body")] {
        let answer = connection.ask(&Request { body, ..Request::to("/other") });
        assert_eq!((answer.was_read, answer.text().as_str()), (false, "unread"));
    }
    assert_eq!(connection.get("/other").text(), "unread", "the connection is good for more");
}

#[test]
fn a_body_that_was_read_in_part_ends_the_connection_after_the_reply() {
    let stage = Stage::new(ECHO);
    let worker = stage.ready();
    let mut connection = worker.connect();
    let body = bytes(2_000_000);
    let answer = connection.ask(&Request { body: Body::Pieces(&body, 1000), ..Request::to("/first") });
    assert_eq!((answer.body.as_slice(), answer.outcome), (&body[..10], Some(Outcome::Sent)));
    let hello = connection.hello.unwrap();
    wait_for("the end of the connection", || connection.is_closed());
    assert!(!worker.process().mark(hello.connection).unwrap().is_waiting_after(hello.base + 1));
    assert!(
        worker.process().was_accepted(hello.pid, hello.connection, hello.base + 1),
        "never to be tried again"
    );
    wait_for("all tickets", || worker.process().idle() == 2);
}

#[test]
fn why_a_body_cannot_be_read_reaches_the_application() {
    let stage = Stage::new(ECHO);
    let worker = stage.ready();
    let mut connection = worker.connect();
    let request = Request { body: Body::Broken(b"some", "the client is slow"), ..Request::to("/fails") };
    let answer = connection.ask(&request);
    assert_eq!(answer.text(), "mod_wsgi request data read error: the client is slow");
    assert_eq!(connection.get("/other").text(), "unread", "the connection is good for more");
}

#[test]
fn a_large_reply_comes_whole_while_a_large_body_is_not_read() {
    let stage = Stage::new(
        r#"
def application(environ, start_response):
    environ["wsgi.input"].read(1)
    start_response("200 OK", [])
    return [b"r" * 5_000_000]
"#,
    );
    let worker = stage.ready();
    let body = bytes(8_000_000);
    let request = Request { body: Body::Pieces(&body, 1 << 20), ..Request::to("/") };
    let answer = worker.connect().ask(&request);
    assert_eq!((answer.body.len(), answer.outcome), (5_000_000, Some(Outcome::Sent)));
}

#[test]
fn blocks_of_all_sizes_come_in_order() {
    let stage = Stage::new(
        r#"
def application(environ, start_response):
    sizes = [1, 8191, 8192, 8193, 65536, 1 << 20, (1 << 20) + 1, 3 << 20, 0, 7]
    blocks = [bytes([index]) * size for index, size in enumerate(sizes)]
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/list":
        return blocks
    if environ["PATH_INFO"] == "/many":
        return [b"%05d" % number for number in range(20_000)]
    return (block for block in blocks)
"#,
    );
    let worker = stage.ready();
    let sizes = [1, 8191, 8192, 8193, 65536, 1 << 20, (1 << 20) + 1, 3 << 20, 0, 7];
    let expected: Vec<u8> =
        sizes.iter().enumerate().flat_map(|(index, size)| vec![index as u8; *size]).collect();
    let mut connection = worker.connect();
    for path in ["/list", "/generator"] {
        let answer = connection.get(path);
        assert!(answer.body == expected && answer.is_complete, "{path}");
        assert_eq!(answer.outcome, Some(Outcome::Sent));
    }
    let expected: String = (0..20_000).map(|number| format!("{number:05}")).collect();
    assert!(connection.get("/many").text() == expected);
}

#[test]
fn a_file_is_passed_and_not_copied() {
    let stage = Stage::new(
        r#"
def application(environ, start_response):
    start_response("200 OK", [])
    file = open(__file__, "rb")
    file.read(int(environ["PATH_INFO"][1:]))
    return environ["wsgi.file_wrapper"](file)
"#,
    );
    let worker = stage.ready();
    let script = std::fs::read(stage.script()).unwrap();
    let mut connection = worker.connect();
    for offset in [0, 20, script.len()] {
        let answer = connection.get(&format!("/{offset}"));
        assert_eq!((answer.body.as_slice(), answer.outcome), (&script[offset..], Some(Outcome::Sent)));
        assert!(answer.is_complete);
        assert_eq!(answer.is_file, offset < script.len(), "an empty body needs no file");
    }
}

#[test]
fn a_head_of_any_length_announces_its_file() {
    let stage = Stage::new(
        r#"
def application(environ, start_response):
    start_response("200 OK", [(f"X-{number}", "x" * 4000) for number in range(int(environ["PATH_INFO"][1:]))])
    return environ["wsgi.file_wrapper"](open(__file__, "rb"))
"#,
    );
    let worker = stage.ready();
    let mut connection = worker.connect();
    for count in [0, 1, 2, 20] {
        let answer = connection.get(&format!("/{count}"));
        assert!(answer.is_file && answer.headers.len() >= count, "{count}");
        assert_eq!(answer.body, std::fs::read(stage.script()).unwrap());
    }
}

#[test]
fn a_file_after_other_data_is_data() {
    let stage = Stage::new(
        r#"
def application(environ, start_response):
    start_response("200 OK", [])(b"<")
    return environ["wsgi.file_wrapper"](open(__file__, "rb"))
"#,
    );
    let worker = stage.ready();
    let answer = worker.get("/");
    assert_eq!(answer.body, [b"<", &*std::fs::read(stage.script()).unwrap()].concat());
    assert!(!answer.is_file && answer.outcome == Some(Outcome::Sent));
}

#[test]
fn a_file_is_data_when_a_line_for_the_log_has_taken_its_head_along() {
    let stage = Stage::new(
        r#"
import os, tempfile, threading

DATA = bytes(range(256)) * 9000
FILE = tempfile.TemporaryFile()
FILE.write(DATA)

def application(environ, start_response):
    errors, over = environ["wsgi.errors"], threading.Event()

    def work():
        while not over.is_set():
            errors.write("line\n")

    class File:
        def __init__(self):
            FILE.seek(7)
            self.fileno, self.tell, self.read = FILE.fileno, FILE.tell, FILE.read

        def close(self):
            over.set()
            thread.join()

    thread = threading.Thread(target=work)
    start_response("200 OK", [("Content-Length", str(len(DATA) - 7))])
    thread.start()
    return environ["wsgi.file_wrapper"](File())
"#,
    );
    let worker = stage.ready();
    let mut connection = worker.connect();
    let expected: Vec<u8> = (0..256 * 9000).map(|index| index as u8).skip(7).collect();
    wait_for("a line between a head and its file", || {
        let answer = connection.get("/");
        let other: Vec<_> = answer.log.iter().filter(|line| *line != "line").collect();
        assert!(answer.body == expected && answer.is_complete, "{} bytes, {other:?}", answer.body.len());
        assert_eq!(answer.outcome, Some(Outcome::Sent));
        !answer.is_file
    });
}

#[test]
fn an_exception_after_the_head_breaks_the_reply_off() {
    let stage = Stage::new(
        r#"
def application(environ, start_response):
    start_response("200 OK", [])
    yield b"some"
    raise RuntimeError("oops")
"#,
    );
    let worker = stage.ready();
    let mut connection = worker.connect();
    let answer = connection.get("/");
    assert_eq!(
        (answer.text().as_str(), answer.is_complete, answer.outcome),
        ("some", false, Some(Outcome::Broken))
    );
    assert_eq!(connection.get("/").outcome, Some(Outcome::Broken), "the connection is good for more");
}

#[test]
fn a_server_that_does_not_read_is_given_up_after_socket_timeout() {
    let stage = Stage::new(
        r#"
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"x" * 5_000_000]
"#,
    )
    .with(|group| group.limits.socket = Some(std::time::Duration::from_secs(1)));
    let worker = stage.ready();
    let mut connection = worker.connect();
    connection.send(&Request::to("/")).unwrap();
    worker.expect_log("WSGI1004: Failed to write response data");
    wait_for("all tickets", || worker.process().idle() == 2);
}
