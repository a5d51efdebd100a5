//! How long a worker is waited for, and when the rest of its reply is of no use.

use std::io::Write;
use std::time::{Duration, Instant};

use oxwsgi_core::exchange::{FlowError, Outcome, Send};
use oxwsgi_core::report::Level;
use oxwsgi_core::request::BodyLength;
use oxwsgi_core::wire::encode_log;

use super::fake::{Group, Script, Session, TestExchange, answered, with_view};

/// How long the workers of [`impatient`] may be silent: longer than a busy machine keeps one that is not.
const LIMIT: Duration = Duration::from_secs(2);

/// A group whose workers may not be silent for long.
fn impatient() -> Group {
    Group::with(1, 1, |settings| settings.socket_timeout = Some(LIMIT))
}

/// Does the same every 40 ms, for 8 s or until the client has gone.
fn trickle(worker: &mut Session, mut add: impl FnMut(&mut Session, u8)) {
    for count in 0..200 {
        add(worker, count);
        let out = std::mem::take(&mut worker.out);
        if worker.stream.write_all(&out).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(40));
    }
}

#[test]
fn silence_has_a_limit() {
    let group = impatient();
    group.accept(|worker| {
        worker.begin();
        if worker.connection == 1 {
            worker.head(-1, &[]);
            worker.data(b"half", Send::FLUSH);
            worker.flush();
        }
        worker.wait_for_the_end();
    });
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(504), vec!["WSGI0145"]));
    let text = "Timeout when reading response headers from its process (pid=4000)";
    assert!(exchange.logged[0].1.contains(text), "{:?}", exchange.logged);
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.numbers()), (Outcome::Broken, vec!["WSGI1122"]));
}

#[test]
fn a_queue_that_does_not_move_is_silence_too() {
    let group = Group::with(1, 1, |settings| settings.socket_timeout = Some(Duration::from_millis(150)));
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(504), vec!["WSGI0145"]));
}

#[test]
fn what_says_nothing_is_silence() {
    let scripts: [Script; 3] = [
        // Flushes of nothing.
        |worker| trickle(worker, |worker, _| worker.data(b"", Send::FLUSH)),
        // A frame that never becomes whole: a line for the log of 255 bytes.
        |worker| {
            trickle(worker, |worker, count| {
                let header = [255, 0, 0, 0, 21, 6, 0, 0];
                worker.out.push(header.get(usize::from(count)).copied().unwrap_or(b'x'));
            });
        },
        Session::wait_for_the_end,
    ];
    let check = |script: Script| {
        let group = impatient();
        group.accept(move |worker| {
            worker.begin();
            worker.head(-1, &[]);
            worker.data(b"half", Send::FLUSH);
            worker.flush();
            script(worker);
        });
        let start = Instant::now();
        let (outcome, exchange) = group.get();
        // That the worker closes the connection in the end has another number.
        assert_eq!((outcome, exchange.numbers()), (Outcome::Broken, vec!["WSGI1122"]));
        assert!(start.elapsed() >= LIMIT, "{:?}", start.elapsed());
    };
    std::thread::scope(|scope| {
        for script in scripts {
            scope.spawn(move || check(script));
        }
    });
}

#[test]
fn bytes_and_lines_are_signs_of_life() {
    let scripts: [Script; 2] = [
        |worker| worker.data(b"x", Send::FLUSH),
        |worker| {
            encode_log(&mut worker.out, Level::Debug, b"still there");
        },
    ];
    let check = |script: Script| {
        let group = impatient();
        group.accept(move |worker| {
            worker.begin();
            worker.head(-1, &[]);
            for _ in 0..8 {
                script(worker);
                worker.flush();
                std::thread::sleep(LIMIT / 6);
            }
            worker.end(Outcome::Sent);
            worker.flush();
        });
        assert_eq!(group.get().0, Outcome::Sent);
    };
    std::thread::scope(|scope| {
        for script in scripts {
            scope.spawn(move || check(script));
        }
    });
}

#[test]
fn an_empty_piece_for_nothing_is_refused() {
    for flags in [Send::MORE, Send::DONE, Send(8)] {
        let (outcome, exchange) = answered(move |worker| {
            worker.begin();
            worker.head(-1, &[]);
            worker.data(b"", flags);
            worker.flush();
        });
        assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(502), vec!["WSGI1120"]), "{flags:?}");
    }
}

#[test]
fn a_client_that_goes_is_not_served_any_longer() {
    let group = Group::new(1, 1);
    group.accept(|worker| {
        worker.begin();
        worker.wait_for_the_end();
    });
    let mut exchange = TestExchange::new();
    drop(exchange.client.take());
    let outcome = with_view(BodyLength::None, &[], |view| group.client.serve(view, &mut exchange));
    // Whoever does not see it waits for the worker until that has been silent for too long.
    assert_eq!((outcome, exchange.logged.len()), (Outcome::ClientGone, 0));
}

#[test]
fn lines_behind_what_nobody_takes_are_logged() {
    let answered = |prepare: fn(&mut TestExchange)| {
        let group = Group::new(1, 1);
        group.accept(|worker| {
            worker.begin();
            worker.head(-1, &[]);
            for number in 0..7 {
                worker.data(&[b'x'; 20_000], Send::FLUSH);
                encode_log(&mut worker.out, Level::Error, format!("line {number}").as_bytes());
            }
            worker.flush();
        });
        let mut exchange = TestExchange::new();
        prepare(&mut exchange);
        let outcome = with_view(BodyLength::None, &[], |view| group.client.serve(view, &mut exchange));
        (outcome, exchange.logged)
    };
    let expected: Vec<_> = (0..7).map(|number| (Level::Error, format!("line {number}"))).collect();
    let gone = answered(|exchange| exchange.fails_with = Some(FlowError::ClientGone));
    assert_eq!(gone, (Outcome::ClientGone, expected.clone()));
    let enough = answered(|exchange| exchange.enough = 1);
    assert_eq!(enough, (Outcome::Sent, expected));
}

#[test]
fn a_client_that_has_said_all_is_still_served() {
    let group = Group::new(1, 1);
    group.accept(|worker| {
        worker.begin();
        std::thread::sleep(Duration::from_millis(1500));
        worker.reply(b"here");
    });
    let mut exchange = TestExchange::new();
    exchange.client.as_ref().unwrap().shutdown(std::net::Shutdown::Write).unwrap();
    let outcome = with_view(BodyLength::None, &[], |view| group.client.serve(view, &mut exchange));
    assert_eq!((outcome, exchange.sent()), (Outcome::Sent, b"here".to_vec()));
}

#[test]
fn a_reply_that_is_of_no_use_is_given_up() {
    let group = Group::new(1, 1);
    group.accept(|worker| {
        worker.begin();
        worker.head(-1, &[]);
        worker.flush();
        trickle(worker, |worker, _| worker.data(b"12345678", Send::MORE));
    });
    let mut exchange = TestExchange::new();
    exchange.enough = 20;
    let outcome = with_view(BodyLength::None, &[], |view| group.client.serve(view, &mut exchange));
    // Its connection with the rest on it is not used again.
    assert_eq!((outcome, exchange.sent().len(), exchange.logged.len()), (Outcome::Sent, 24, 0));
    assert_eq!(group.get().0, Outcome::Broken);
}

#[test]
fn a_group_without_threads_serves_nothing() {
    let group = Group::new(1, 0);
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(500), vec!["WSGI1125"]));
}
