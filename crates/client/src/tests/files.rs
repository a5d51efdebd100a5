//! Files that a worker hands over.

use std::os::fd::AsFd;
use std::process::Command;

use oxwsgi_core::exchange::{Outcome, Send};
use oxwsgi_core::report::Level;
use oxwsgi_core::wire::{encode_file, encode_log};
use rustix::process::{Resource, getrlimit, setrlimit};

use super::fake::{Script, answered, file};

#[test]
fn files_come_as_descriptors() {
    let (outcome, exchange) = answered(|worker| {
        worker.begin();
        worker.head_of_file(6);
        encode_file(&mut worker.out, 2, 6, Send::MORE);
        encode_log(&mut worker.out, Level::Error, b"a line");
        worker.end(Outcome::Sent);
        let file = file("0123456789");
        worker.flush_with(&[file.as_fd()]);
    });
    assert_eq!((outcome, exchange.sent()), (Outcome::Sent, b"234567".to_vec()));
    assert!(exchange.is_complete());
    assert_eq!(exchange.logged, [(Level::Error, "a line".to_owned())]);
}

#[test]
fn a_file_is_the_whole_body_or_none_of_it() {
    let scripts: [(&str, &str, Script); 5] = [
        ("WSGI1121", "has not announced", |worker| {
            worker.head(-1, &[]);
            encode_file(&mut worker.out, 0, 4, Send::LAST);
        }),
        ("WSGI1121", "has not announced", |worker| {
            worker.head(-1, &[]);
            worker.data(b"<", Send::MORE);
            encode_file(&mut worker.out, 0, 4, Send::LAST);
        }),
        ("WSGI1120", "that its HEAD has announced", |worker| {
            worker.head_of_file(-1);
            worker.data(b"<", Send::MORE);
        }),
        ("WSGI1120", "that its HEAD has announced", |worker| {
            worker.head_of_file(-1);
            worker.end(Outcome::Sent);
        }),
        ("WSGI1120", "more of a body that was a file", |worker| {
            worker.head_of_file(-1);
            encode_file(&mut worker.out, 0, 4, Send::MORE);
            worker.data(b">", Send::LAST);
        }),
    ];
    for (number, what, script) in scripts {
        let (outcome, exchange) = answered(move |worker| {
            worker.begin();
            script(worker);
            worker.flush_with(&[file("1234").as_fd()]);
        });
        assert!(matches!(outcome, Outcome::Refused(502) | Outcome::Broken), "{what}: {outcome:?}");
        assert!(!exchange.is_complete(), "{what}");
        assert_eq!(exchange.numbers(), [number], "{what}");
        assert!(exchange.logged[0].1.contains(what), "{:?}", exchange.logged);
    }
}

#[test]
fn a_file_that_is_all_there_is_goes_with_the_end() {
    let (outcome, exchange) = answered(|worker| {
        worker.begin();
        worker.head_of_file(3);
        encode_file(&mut worker.out, 0, 3, Send::LAST | Send::DONE);
        worker.end(Outcome::Sent);
        let file = file("abc");
        worker.flush_with(&[file.as_fd()]);
    });
    assert_eq!((outcome, exchange.sends), (Outcome::Sent, vec![(b"abc".to_vec(), Send::LAST)]));
}

#[test]
fn what_is_no_file_is_refused() {
    let scripts: [(&str, Script); 6] = [
        ("no descriptor", |worker| {
            worker.head_of_file(-1);
            encode_file(&mut worker.out, 0, 1, Send::LAST);
            worker.flush();
        }),
        ("no regular file", |worker| {
            worker.head_of_file(-1);
            encode_file(&mut worker.out, 0, 1, Send::LAST);
            let (pipe, _writer) = std::io::pipe().unwrap();
            worker.flush_with(&[pipe.as_fd()]);
        }),
        ("beyond its end", |worker| {
            worker.head_of_file(-1);
            encode_file(&mut worker.out, 3, 2, Send::LAST);
            worker.flush_with(&[file("1234").as_fd()]);
        }),
        ("more descriptors than one", |worker| {
            worker.head_of_file(-1);
            encode_file(&mut worker.out, 0, 1, Send::LAST);
            let file = file("1234");
            worker.flush_with(&[file.as_fd(), file.as_fd()]);
        }),
        ("more descriptors than one", |worker| {
            worker.head_of_file(-1);
            encode_file(&mut worker.out, 0, 1, Send::LAST);
            let file = file("1234");
            worker.flush_with(&[file.as_fd(), file.as_fd(), file.as_fd(), file.as_fd()]);
        }),
        ("belongs to nothing", |worker| {
            worker.head(-1, &[]);
            worker.end(Outcome::Sent);
            worker.flush_with(&[file("1234").as_fd()]);
        }),
    ];
    for (what, script) in scripts {
        let (outcome, exchange) = answered(move |worker| {
            worker.begin();
            script(worker);
        });
        assert_eq!(outcome, Outcome::Refused(502), "{what}");
        assert_eq!(exchange.numbers(), ["WSGI1121"], "{what}");
        assert!(exchange.logged[0].1.contains(what), "{:?}", exchange.logged);
    }
}

#[test]
fn a_second_file_is_refused() {
    for length in [1, 0] {
        let (outcome, exchange) = answered(move |worker| {
            worker.begin();
            worker.head_of_file(5);
            worker.flush();
            for _ in 0..5 {
                encode_file(&mut worker.out, 0, length, Send::MORE);
                worker.flush_with(&[file("x").as_fd()]);
            }
        });
        let expected = if length == 0 { Outcome::Refused(502) } else { Outcome::Broken };
        assert_eq!((outcome, exchange.numbers()), (expected, vec!["WSGI1121"]));
        assert!(exchange.logged[0].1.contains("more files than one"), "{:?}", exchange.logged);
        assert_eq!(exchange.sends.len() as u64, length);
    }
}

#[test]
fn a_file_that_the_server_has_no_descriptor_for_is_not_the_workers_fault() {
    // The limit is that of a process, which other tests need.
    const ALONE: &str = "OXWSGI_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let name = std::thread::current().name().unwrap().to_owned();
        let mut alone = Command::new(std::env::current_exe().unwrap());
        let output = alone.args(["--exact", &name, "--test-threads=1"]).env(ALONE, "1").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let before = getrlimit(Resource::Nofile);
    let (outcome, exchange) = answered(|worker| {
        worker.begin();
        worker.head_of_file(4);
        encode_file(&mut worker.out, 0, 4, Send::LAST);
        let file = file("1234");
        // The lowest number that is free is the first that is not allowed.
        let free = std::os::fd::AsRawFd::as_raw_fd(&file.try_clone().unwrap());
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, rustix::process::Rlimit { current: Some(free as u64), ..limit }).unwrap();
        worker.flush_with(&[file.as_fd()]);
        // Nothing is closed before it has been received.
        assert!(!worker.request());
    });
    setrlimit(Resource::Nofile, before).unwrap();
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(500), vec!["WSGI1124"]));
}
