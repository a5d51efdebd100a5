//! What is different where the server is nginx: what an application finds, and the words of messages.

use std::time::Duration;

use crate::stage::{Request, Stage};

const ABOUT: &str = r#"
import importlib.util, sys
import mod_wsgi, oxwsgi

def application(environ, start_response):
    start_response("200 OK", [])
    about = [
        [key for key in sorted(environ) if key.startswith("apache.")],
        [name for name in ("apache", "mod_wsgi", "oxwsgi") if name in sys.modules or importlib.util.find_spec(name)],
        environ["mod_wsgi.version"] == mod_wsgi.version,
        mod_wsgi.process_group,
        sys.argv,
    ]
    return [repr(about).encode()]
"#;

#[test]
fn what_is_httpds_is_there_under_httpd_only() {
    let about = |stage: Stage| stage.ready().get("/").text();
    assert_eq!(
        about(Stage::new(ABOUT)),
        "[['apache.version'], ['apache', 'mod_wsgi', 'oxwsgi'], True, 'site', ['mod_wsgi']]"
    );
    assert_eq!(
        about(Stage::new(ABOUT).under_nginx()),
        "[[], ['mod_wsgi', 'oxwsgi'], True, 'site', ['mod_wsgi']]"
    );
}

#[test]
fn messages_name_the_directives_of_the_server() {
    let refusing = "raise ImportError('module does not support loading in subinterpreters')\n";
    let cure = |stage: Stage| {
        let worker = stage.ready();
        let answer = worker.connect().ask(&Request { application_group: "other", ..Request::to("/") });
        answer.log.last().unwrap().rsplit_once("main interpreter: ").unwrap().1.to_owned()
    };
    assert_eq!(cure(Stage::new(refusing)), "WSGIApplicationGroup %{GLOBAL}");
    assert_eq!(cure(Stage::new(refusing).under_nginx()), "wsgi_application_group %{GLOBAL}");
}

#[test]
fn options_are_spelled_as_in_its_configuration() {
    let large = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'x' * 5_000_000]\n";
    let stage = Stage::new(large).under_nginx();
    let stage = stage.with(|group| group.limits.socket = Some(Duration::from_secs(1)));
    let worker = stage.ready();
    let mut connection = worker.connect();
    connection.send(&Request::to("/")).unwrap();
    worker.expect_log("did not take or send anything for the time of socket_timeout");
}
