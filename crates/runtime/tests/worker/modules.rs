//! Applications that are named by their module, and those that a factory makes.

use oxwsgi_core::daemon::{Import, Reason};
use oxwsgi_core::exchange::{Outcome, RetryReason};
use oxwsgi_core::request::ScriptKind;

use crate::stage::{Answer, Request, Stage, Worker, wait_for};

const WEB: &str = r#"
import sys

COUNT = 0

class Site:
    def __init__(self, name):
        self.name = name
        self.wsgi = self

    def __call__(self, environ, start_response):
        start_response("200 OK", [])
        return [self.name.encode()]

application = Site(__name__)
shop = Site("shop")

def create_app():
    global COUNT
    COUNT += 1
    print("made", COUNT)
    return Site(f"made {COUNT}")
"#;

fn ask(worker: &Worker, module: &str, callable: &str) -> Answer {
    worker.connect().ask(&Request { module: Some(module), callable, ..Request::to("/") })
}

fn make(worker: &Worker, module: &str, callable: &str) -> Answer {
    worker.connect().ask(&Request { module: Some(module), callable, factory: true, ..Request::to("/") })
}

/// How often these words are in the log.
fn count(answer: &Answer, words: &str) -> usize {
    answer.log.iter().filter(|line| line.contains(words)).count()
}

#[test]
fn a_module_is_imported_by_the_first_request_that_names_it() {
    let stage = Stage::new("").module("shop/__init__.py", "");
    let stage = stage.module("shop/web.py", WEB);
    let worker = stage.ready();
    let answer = ask(&worker, "shop.web", "application");
    assert_eq!(answer.text(), "shop.web", "{:?}", answer.log);
    let line = "Loading WSGI module 'shop.web' into main interpreter of daemon process 'site'.";
    assert_eq!(count(&answer, line), 1, "{:?}", answer.log);
    let again = ask(&worker, "shop.web", "application");
    assert_eq!((again.text().as_str(), again.log.len()), ("shop.web", 0));
}

#[test]
fn a_callable_may_be_an_attribute_of_something() {
    let stage = Stage::new(WEB).module("web.py", WEB);
    let worker = stage.ready();
    for callable in ["shop", "shop.wsgi", "shop.wsgi.wsgi"] {
        assert_eq!(ask(&worker, "web", callable).text(), "shop", "{callable}");
        let answer = worker.connect().ask(&Request { callable, ..Request::to("/") });
        assert_eq!(answer.text(), "shop", "{callable} of a script");
    }
}

#[test]
fn a_callable_that_is_not_there_is_looked_for_again() {
    let stage = Stage::new("").module("web.py", WEB);
    let worker = stage.ready();
    for callable in ["absent", "shop.absent", "absent.shop", ""] {
        for _ in 0..2 {
            let answer = ask(&worker, "web", callable);
            let line =
                format!("WSGI0089: Target WSGI module 'web' does not contain WSGI application '{callable}'.");
            assert_eq!(
                (answer.outcome, count(&answer, &line)),
                (Some(Outcome::Refused(500)), 1),
                "{callable}"
            );
        }
    }
    let script = worker.connect().ask(&Request { callable: "a.b", ..Request::to("/") });
    assert_eq!(script.outcome, Some(Outcome::Refused(404)), "a script is what a client has asked for");
}

#[test]
fn a_module_that_is_nowhere_is_named_with_where_it_was_looked_for() {
    let stage = Stage::new("").module("shop/__init__.py", "");
    let worker = stage.ready();
    for module in ["absent", "absent.web", "shop.web"] {
        let answer = ask(&worker, module, "application");
        assert_eq!(answer.outcome, Some(Outcome::Refused(500)));
        let line = format!("WSGI0105: Unable to find WSGI module '{module}' for main interpreter");
        assert_eq!(count(&answer, &line), 1, "{:?}", answer.log);
        assert_eq!(count(&answer, &format!("sys.path is ['{}/path'", stage.folder.path().display())), 1);
        assert_eq!(count(&answer, "ModuleNotFoundError: No module named"), 1, "{:?}", answer.log);
    }
}

#[test]
fn an_import_that_fails_is_logged_and_tried_again() {
    let stage = Stage::new("").module("web.py", "import nowhere\n").module("names.py", "1 / 0\n");
    let stage = stage.module("empty.py", "raise SystemExit(3)\n");
    let worker = stage.ready();
    for (module, first, last) in [
        (
            "web",
            "WSGI0106: ModuleNotFoundError exception raised loading WSGI module 'web' for",
            "No module named 'nowhere'",
        ),
        (
            "names",
            "WSGI0106: ZeroDivisionError exception raised loading WSGI module 'names' for",
            "line 1, in <module>",
        ),
        ("empty", "WSGI0107: SystemExit exception raised loading WSGI module 'empty' for", "SystemExit: 3"),
        (
            "",
            "WSGI0106: ValueError exception raised loading WSGI module '' for",
            "ValueError: Empty module name",
        ),
    ] {
        for _ in 0..2 {
            let answer = ask(&worker, module, "application");
            assert_eq!(answer.outcome, Some(Outcome::Refused(500)), "{module}");
            assert_eq!((count(&answer, first), count(&answer, last)), (1, 1), "{:?}", answer.log);
        }
    }
    std::fs::write(stage.folder.path().join("path/web.py"), WEB).unwrap();
    assert_eq!(ask(&worker, "web", "application").text(), "web");
}

#[test]
fn exceptions_name_the_module() {
    let source = "def application(environ, start_response):\n    raise ValueError('oops')\n";
    let stage = Stage::new("").module("web.py", source);
    let worker = stage.ready();
    let answer = ask(&worker, "web", "application");
    assert_eq!(answer.outcome, Some(Outcome::Refused(500)));
    assert_eq!(count(&answer, "WSGI0174: ValueError exception raised processing WSGI module 'web' for"), 1);
}

#[test]
fn a_module_does_not_change() {
    let stage = Stage::new("").module("web.py", WEB);
    let worker = stage.ready();
    let mut connection = worker.connect();
    let request = || Request { module: Some("web"), mtime: 1, ..Request::to("/") };
    assert_eq!(connection.ask(&request()).text(), "web");
    std::fs::write(stage.folder.path().join("path/web.py"), "raise RuntimeError\n").unwrap();
    let later = Request { mtime: 2, ..request() };
    assert_eq!(connection.ask(&later).text(), "web");
}

#[test]
fn requests_that_come_while_the_module_is_imported_wait_for_it() {
    let source = format!("import time\ntime.sleep(0.3)\n{WEB}");
    let stage = Stage::new("").module("web.py", &source).with(|group| group.threads = 4);
    let worker = stage.ready();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(ask(&worker, "web", "application").text(), "web"));
        }
    });
}

#[test]
fn a_factory_is_called_once() {
    let source = WEB.replace("    print(", "    import time; time.sleep(0.2)\n    print(");
    let stage = Stage::new(&source).module("web.py", &source).with(|group| group.threads = 4);
    let worker = stage.ready();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(make(&worker, "web", "create_app").text(), "made 1"));
        }
    });
    assert_eq!(make(&worker, "web", "create_app").text(), "made 1");
    assert_eq!(ask(&worker, "web", "application").text(), "web", "the same module without a factory");
    let script = || Request { callable: "create_app", factory: true, ..Request::to("/") };
    for _ in 0..2 {
        assert_eq!(worker.connect().ask(&script()).text(), "made 1", "of a script");
    }
}

#[test]
fn each_interpreter_has_an_application_of_its_own() {
    let stage = Stage::new("").module("web.py", WEB);
    let worker = stage.ready();
    let mut connection = worker.connect();
    for group in ["", "other"] {
        let request = Request {
            module: Some("web"),
            callable: "create_app",
            factory: true,
            application_group: group,
            ..Request::to("/")
        };
        for made in [1, 0] {
            let answer = connection.ask(&request);
            assert_eq!((answer.text().as_str(), count(&answer, "made 1")), ("made 1", made), "{group}");
        }
    }
}

#[test]
fn a_factory_that_fails_is_called_again() {
    let source = r#"
TRIES = 0

def create_app():
    global TRIES
    TRIES += 1
    if TRIES == 1:
        raise OSError("no database")
    if TRIES == 2:
        return None
    if TRIES == 3:
        raise SystemExit
    return application

def application(environ, start_response):
    start_response("200 OK", [])
    return [b"made"]

number = 5
"#;
    let stage = Stage::new(source).module("web.py", source);
    let worker = stage.ready();
    for line in [
        "WSGI0106: OSError exception raised calling the factory 'create_app' of WSGI module 'web' for",
        "WSGI1026: The factory 'create_app' of WSGI module 'web' must return a WSGI application, and has returned None.",
        "WSGI0107: SystemExit exception raised calling the factory 'create_app' of WSGI module 'web' for",
    ] {
        let answer = make(&worker, "web", "create_app");
        assert_eq!(
            (answer.outcome, count(&answer, line)),
            (Some(Outcome::Refused(500)), 1),
            "{:?}",
            answer.log
        );
    }
    assert_eq!(make(&worker, "web", "create_app").text(), "made");
    let answer = make(&worker, "web", "number");
    assert_eq!(count(&answer, "TypeError: 'int' object is not callable"), 1, "{:?}", answer.log);
    let script = worker.connect().ask(&Request { callable: "create_app", factory: true, ..Request::to("/") });
    let path = stage.script();
    let line = format!("calling the factory 'create_app' of WSGI script '{}' for", path.display());
    assert_eq!(count(&script, &line), 1, "{:?}", script.log);
}

#[test]
fn a_changed_script_with_a_factory_is_for_another_process() {
    let stage = Stage::new(WEB);
    let mut worker = stage.ready();
    let request = |mtime| Request { callable: "create_app", factory: true, mtime, ..Request::to("/") };
    assert_eq!(worker.connect().ask(&request(stage.mtime())).text(), "made 1");
    std::fs::write(stage.script(), format!("# changed\n{WEB}")).unwrap();
    std::fs::File::options()
        .write(true)
        .open(stage.script())
        .and_then(|file| file.set_modified(std::time::SystemTime::UNIX_EPOCH))
        .unwrap();
    let answer = worker.connect().ask(&request(stage.mtime()));
    assert_eq!(answer.retry, Some(RetryReason::Reload));
    worker.finish(Reason::ScriptReload);
    assert_eq!(worker.wait().code(), Some(0));
}

#[test]
fn modules_and_what_their_factories_make_are_there_before_the_first_request() {
    let import = |script: &str, callable: &str, factory| Import {
        script: script.as_bytes().to_vec(),
        script_kind: ScriptKind::Module,
        callable: callable.as_bytes().to_vec(),
        factory,
        application_group: Vec::new(),
    };
    let stage = Stage::new("").module("web.py", WEB).module("plain.py", "print('plain')\n");
    let stage = stage.with(|group| {
        group.imports = vec![
            import("absent", "", false),
            import("plain", "", false),
            import("plain", "application", false),
            import("web", "create_app", true),
        ];
    });
    let worker = stage.ready();
    let log = worker.log.lock().unwrap().clone();
    let find =
        |words: &str| log.iter().position(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}"));
    assert!(find("WSGI0105: Unable to find WSGI module 'absent'") < find("plain"));
    assert!(find("plain") < find("WSGI0089: Target WSGI module 'plain' does not contain"));
    assert!(find("WSGI0089") < find("made 1"));
    let answer = make(&worker, "web", "create_app");
    assert_eq!((answer.text().as_str(), answer.log.len()), ("made 1", 0));
}

#[test]
fn a_factory_that_takes_too_long_is_not_loaded_in_time() {
    let source = "import time\n\ndef create_app():\n    time.sleep(60)\n";
    let stage = Stage::new("").module("web.py", source).with(|group| {
        group.limits.startup = Some(std::time::Duration::from_secs(1));
        group.limits.graceful = Some(std::time::Duration::from_secs(1));
    });
    let mut worker = stage.ready();
    let request = Request { module: Some("web"), callable: "create_app", factory: true, ..Request::to("/") };
    let mut connection = worker.connect();
    connection.send(&request).unwrap();
    worker.expect(&oxwsgi_core::daemon::FromWorker::Ending(Reason::StartupTimeout));
    wait_for("the end", || worker.child.try_wait().unwrap().is_some());
}
