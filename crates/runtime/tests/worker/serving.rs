//! Requests and their answers.

use oxwsgi_core::exchange::Outcome;

use crate::stage::{Body, Request, Stage};

const HELLO: &str = r#"
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello " + environ["PATH_INFO"].encode()]
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
    }
    let hello = connection.hello.unwrap();
    assert_eq!((hello.pid, hello.slot), (worker.child.id(), 0));
    let mark = worker.process().mark(hello.connection).unwrap();
    assert!(mark.is_waiting_after(3));
    assert!(worker.process().was_accepted(hello.pid, hello.connection, 3));
}
