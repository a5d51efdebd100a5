//! How long a worker is waited for, and when the rest of its reply is of no use.

use std::io::Write;
use std::time::{Duration, Instant};

use oxwsgi_core::exchange::{FlowError, Outcome, Send};
use oxwsgi_core::report::Level;
use oxwsgi_core::request::BodyLength;
use oxwsgi_core::wire::encode_log;

use super::fake::{Group, Script, Session, TestExchange, answered, with_view};

/// A group whose workers may be silent for 600 ms.
fn impatient() -> Group {
    Group::with(1, 1, |settings| settings.socket_timeout = Some(Duration::from_millis(600)))
}

/// Does the same every 20 ms until the client has gone.
fn trickle(worker: &mut Session, mut add: impl FnMut(&mut Session, u8)) {
    for count in 0..200 {
        add(worker, count);
        let out = std::mem::take(&mut worker.out);
        if worker.stream.write_all(&out).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn silence_has_a_limit() {
    let group = Group::with(1, 1, |settings| settings.socket_timeout = Some(Duration::from_millis(150)));
    group.accept(|worker| {
        worker.begin();
        if worker.connection == 1 {
            worker.head(-1, &[]);
            worker.data(b"half", Send::FLUSH);
            worker.flush();
        }
        std::thread::sleep(Duration::from_secs(5));
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
        |_| std::thread::sleep(Duration::from_secs(4)),
    ];
    for script in scripts {
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
        assert_eq!((outcome, exchange.numbers()), (Outcome::Broken, vec!["WSGI1122"]));
        assert!((600..3000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    }
}

#[test]
fn bytes_and_lines_are_signs_of_life() {
    let scripts: [Script; 2] = [
        |worker| worker.data(b"x", Send::FLUSH),
        |worker| {
            encode_log(&mut worker.out, Level::Debug, b"still there");
        },
    ];
    for script in scripts {
        let group = impatient();
        group.accept(move |worker| {
            worker.begin();
            worker.head(-1, &[]);
            for _ in 0..8 {
                script(worker);
                worker.flush();
                std::thread::sleep(Duration::from_millis(100));
            }
            worker.end(Outcome::Sent);
            worker.flush();
        });
        assert_eq!(group.get().0, Outcome::Sent);
    }
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
        std::thread::sleep(Duration::from_secs(8));
    });
    let mut exchange = TestExchange::new();
    drop(exchange.client.take());
    let start = Instant::now();
    let outcome = with_view(BodyLength::None, &[], |view| group.client.serve(view, &mut exchange));
    assert_eq!((outcome, exchange.logged.len()), (Outcome::ClientGone, 0));
    assert!(start.elapsed() < Duration::from_secs(4));
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
