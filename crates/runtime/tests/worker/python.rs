//! The Python that a worker is: that of the command line, with what its group wants of it.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use oxwsgi_core::daemon::Account;

use crate::stage::Stage;

const FACTS: &str = r#"
import mod_wsgi, os, signal, sys, threading

def application(environ, start_response):
    facts = {
        "argv": sys.argv,
        "path0": sys.path[0],
        "empty in path": "" in sys.path,
        "executable": sys.executable,
        "prefix": sys.prefix,
        "optimize": sys.flags.optimize,
        "bytecode": sys.dont_write_bytecode,
        "warnings": sys.warnoptions,
        "interval": sys.getswitchinterval(),
        "main": sorted(name for name in vars(sys.modules["__main__"]) if not name.startswith("__")),
        "runtime": "oxwsgi_runtime" in sys.modules,
        "eggs": os.environ.get("PYTHON_EGG_CACHE"),
        "seed": os.environ.get("PYTHONHASHSEED"),
        "hash": hash("abc"),
        "home": os.environ.get("HOME"),
        "user": os.environ.get("USER"),
        "lang": os.environ.get("LANG"),
        "sigint": signal.getsignal(signal.SIGINT),
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "multi": (environ["wsgi.multithread"], environ["wsgi.multiprocess"], environ["wsgi.run_once"]),
        "module": (mod_wsgi.process_group, mod_wsgi.maximum_processes, mod_wsgi.threads_per_process),
        "server": environ["apache.version"],
        "start": environ["mod_wsgi.daemon_start"] > 0,
        "cmdline": open("/proc/self/cmdline").read(),
        "descriptors": sorted(os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
                              if int(name) > 2 and os.path.exists(f"/proc/self/fd/{name}")),
        "inheritable": [name for name in os.listdir("/proc/self/fd")
                        if int(name) > 2 and os.path.exists(f"/proc/self/fd/{name}") and os.get_inheritable(int(name))],
    }
    start_response("200 OK", [])
    return ["".join(f"{name}={value!r}\n" for name, value in facts.items()).encode()]
"#;

fn facts(stage: &Stage) -> HashMap<String, String> {
    let answer = stage.ready().get("/");
    let text = answer.text();
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let facts: HashMap<_, _> = lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert!(facts.len() > 10, "{:?}", answer.log);
    facts
}

#[test]
fn a_worker_is_the_python_that_the_command_names() {
    let facts = facts(&Stage::new(FACTS));
    let plain = Command::new(std::ffi::OsStr::from_bytes(&crate::stage::python()))
        .args(["-c", "import sys; print(repr(sys.executable)); print(repr(sys.prefix))"])
        .output()
        .unwrap();
    let plain = String::from_utf8(plain.stdout).unwrap();
    assert_eq!(plain.lines().collect::<Vec<_>>(), [&facts["executable"], &facts["prefix"]]);
    assert_eq!(facts["argv"], "['mod_wsgi']");
    assert_eq!(facts["empty in path"], "False");
    assert_eq!((facts["main"].as_str(), facts["runtime"].as_str()), ("['run', 'sys']", "False"));
    assert_eq!((facts["mask"].as_str(), facts["inheritable"].as_str()), ("[]", "[]"));
    assert_eq!(facts["sigint"], "<Handlers.SIG_DFL: 0>");
    assert_eq!(facts["multi"], "(True, False, False)");
    assert_eq!(facts["module"], "('site', 1, 2)");
    assert_eq!((facts["server"].as_str(), facts["start"].as_str()), ("(2, 4, 62)", "True"));
    assert!(facts["cmdline"].contains("wsgi:site"));
}

#[test]
fn the_group_says_how_python_starts() {
    let stage = Stage::new(FACTS);
    let folder = stage.folder.path().as_os_str().as_bytes().to_vec();
    let home = folder.clone();
    let stage = stage.with(|group| {
        group.threads = 1;
        group.limits.maximum_requests = Some(1);
        group.multiprocess = true;
        group.display_name = Some(b"(wsgi:shown)".to_vec());
        group.home = Some(home);
        group.lang = Some(b"C.UTF-8".to_vec());
        group.python.optimize = 2;
        group.python.dont_write_bytecode = true;
        group.python.warnings = vec![b"ignore".to_vec(), b"error::UserWarning".to_vec()];
        group.python.hash_seed = Some(b"0".to_vec());
        group.python.switch_interval = 0.25;
        group.python.eggs = Some(b"/eggs".to_vec());
        // SAFETY: takes nothing and cannot fail.
        let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
        group.account = Some(Account {
            uid,
            gid,
            groups: Vec::new(),
            name: Some(b"somebody".to_vec()),
            home: Some(b"/home/somebody".to_vec()),
        });
    });
    let facts = facts(&stage);
    assert_eq!(facts["path0"], format!("'{}'", String::from_utf8_lossy(&folder)));
    assert_eq!((facts["optimize"].as_str(), facts["bytecode"].as_str()), ("2", "True"));
    assert_eq!(facts["warnings"], "['ignore', 'error::UserWarning']");
    assert_eq!((facts["interval"].as_str(), facts["eggs"].as_str()), ("0.25", "'/eggs'"));
    assert_eq!((facts["seed"].as_str(), facts["lang"].as_str()), ("None", "'C.UTF-8'"));
    assert_eq!((facts["home"].as_str(), facts["user"].as_str()), ("'/home/somebody'", "'somebody'"));
    assert_eq!(facts["multi"], "(False, True, True)");
    assert!(facts["cmdline"].starts_with("'(wsgi:shown)\\x00"), "{}", facts["cmdline"]);
    let hash = Command::new(std::ffi::OsStr::from_bytes(&crate::stage::python()))
        .args(["-c", "print(hash('abc'))"])
        .env("PYTHONHASHSEED", "0")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(hash.stdout).unwrap().trim(), facts["hash"]);
}

#[test]
fn a_venv_is_a_home_like_any_other() {
    let stage = Stage::new(FACTS);
    let venv = stage.folder.path().join("venv");
    let made = Command::new(std::ffi::OsStr::from_bytes(&crate::stage::python()))
        .args(["-m", "venv", "--without-pip"])
        .arg(&venv)
        .status()
        .unwrap();
    assert!(made.success());
    let executable = venv.join("bin/python");
    let stage = stage.with(|group| group.python.executable = executable.as_os_str().as_bytes().to_vec());
    let facts = facts(&stage);
    assert_eq!(facts["prefix"], format!("'{}'", venv.display()));
    assert_eq!(facts["executable"], format!("'{}'", executable.display()));
}

#[test]
fn a_locale_that_the_system_lacks_is_a_warning() {
    let stage = Stage::new(FACTS).with(|group| group.locale = Some(b"xx_YY.UTF-8".to_vec()));
    let worker = stage.ready();
    worker.expect_log("WSGI0079: Unable to set locale 'xx_YY.UTF-8'");
}

#[test]
fn python_path_is_searched_for_pth_files() {
    let stage = Stage::new(
        "import from_pth\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [from_pth.WHO]\n",
    );
    let folder = stage.folder.path();
    std::fs::create_dir_all(folder.join("path")).unwrap();
    std::fs::create_dir_all(folder.join("more")).unwrap();
    std::fs::write(folder.join("path/x.pth"), folder.join("more").as_os_str().as_bytes()).unwrap();
    std::fs::write(folder.join("more/from_pth.py"), "WHO = b'more'\n").unwrap();
    let path = folder.join("path").as_os_str().as_bytes().to_vec();
    let stage = stage.with(|group| group.python.path = vec![path]);
    assert_eq!(stage.ready().get("/").text(), "more");
}

#[test]
fn scripts_are_loaded_before_the_first_request_and_a_failing_one_is_no_obstacle() {
    let stage = Stage::new(
        r#"
import threading
LOADED_BY = threading.current_thread() is threading.main_thread()
print("loaded")

def application(environ, start_response):
    start_response("200 OK", [])
    return [str(LOADED_BY).encode()]
"#,
    );
    let broken = stage.folder.path().join("broken.wsgi");
    std::fs::write(&broken, "1 / 0\n").unwrap();
    let broken = oxwsgi_core::daemon::Import {
        script: broken.as_os_str().as_bytes().to_vec(),
        application_group: b"other".to_vec(),
        ..oxwsgi_core::daemon::Import::default()
    };
    let stage = stage.with(|group| group.imports.push(broken)).import();
    let worker = stage.ready();
    let log = worker.log.lock().unwrap().clone();
    let find =
        |words: &str| log.iter().position(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}"));
    assert!(find("ZeroDivisionError: division by zero") < find("loaded"));
    assert_eq!(worker.get("/").text(), "True");
}

#[test]
fn a_runtime_that_cannot_be_loaded_is_named() {
    let stage = Stage::new("").with(|group| group.python.runtime = b"/nowhere/runtime.so".to_vec());
    let output = stage.command().output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.starts_with("WSGI1020: The Python runtime /nowhere/runtime.so cannot be loaded"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn without_a_supervisor_there_is_no_worker() {
    let output = Stage::new("").command().output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.starts_with("WSGI1023: A daemon process is started by oxwsgi's supervisor"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}
