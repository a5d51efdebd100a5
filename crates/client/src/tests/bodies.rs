//! The request's body: ahead, on demand, beside the reply, and broken.

use std::io::{Read, Write};
use std::time::Duration;

use oxwsgi_core::exchange::{Outcome, Send};
use oxwsgi_core::request::{BodyLength, Field};
use oxwsgi_core::wire::encode_read;

use super::fake::{Group, Session, TestExchange, with_view};

/// A worker that answers with the body it got.
fn echo(worker: &mut Session) {
    worker.begin();
    let body = match worker.inline.take() {
        Some(body) => body,
        None => worker.body().unwrap(),
    };
    worker.head(-1, &[]);
    for piece in body.chunks(1 << 20) {
        worker.data(piece, Send::MORE);
    }
    worker.end(Outcome::Sent);
    worker.flush();
}

/// Bytes that are the same each time.
pub fn random(length: usize) -> Vec<u8> {
    (0..length as u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn a_short_body_goes_with_its_request() {
    let group = Group::new(1, 1);
    group.accept(|worker| {
        worker.begin();
        let body = worker.inline.take().unwrap();
        worker.reply(&body);
    });
    for length in [1, 100, 16 * 1024] {
        let body = random(length);
        let mut exchange = TestExchange::with_body(body.clone());
        let outcome =
            with_view(BodyLength::Bytes(length as u64), &[], |view| group.client.serve(view, &mut exchange));
        assert_eq!((outcome, exchange.sent() == body), (Outcome::Sent, true));
    }
}

#[test]
fn a_client_that_waits_to_be_asked_is_asked_by_the_application_alone() {
    let group = Group::new(1, 1);
    group.accept(|worker| {
        worker.begin();
        assert_eq!(worker.inline, None);
        worker.reply(b"no, thanks");
    });
    let mut exchange = TestExchange::new();
    exchange.body_length = 5;
    let headers = [Field::new(b"eXpect", b"100-continue")];
    // Nobody ever sends the body.
    let outcome = with_view(BodyLength::Bytes(5), &headers, |view| group.client.serve(view, &mut exchange));
    assert_eq!((outcome, exchange.sent()), (Outcome::Sent, b"no, thanks".to_vec()));
}

#[test]
fn a_long_body_comes_when_it_is_asked_for() {
    for has_descriptor in [true, false] {
        let group = Group::new(1, 1);
        group.accept(echo);
        for hint in [BodyLength::Bytes(3_000_000), BodyLength::UntilEnd] {
            let body = random(3_000_000);
            let mut exchange = TestExchange::with_body(body.clone());
            exchange.has_descriptor = has_descriptor;
            let outcome = with_view(hint, &[], |view| group.client.serve(view, &mut exchange));
            assert_eq!(outcome, Outcome::Sent);
            assert!(exchange.sent() == body);
        }
    }
}

#[test]
fn a_body_may_come_slowly() {
    let check = |has_descriptor| {
        // The limit is for the worker's silence, and it is the client who takes its time.
        let group = Group::with(1, 1, |settings| {
            settings.socket_timeout = Some(Duration::from_secs(1));
        });
        group.accept(echo);
        let mut exchange = TestExchange::new();
        exchange.has_descriptor = has_descriptor;
        exchange.body_length = 2;
        let mut client = exchange.client.take().unwrap();
        let sender = std::thread::spawn(move || {
            for byte in b"so" {
                std::thread::sleep(Duration::from_millis(1500));
                client.write_all(&[*byte]).unwrap();
            }
            client
        });
        let outcome = with_view(BodyLength::UntilEnd, &[], |view| group.client.serve(view, &mut exchange));
        assert_eq!((outcome, exchange.sent()), (Outcome::Sent, b"so".to_vec()));
        drop(sender.join());
    };
    std::thread::scope(|scope| {
        for has_descriptor in [true, false] {
            scope.spawn(move || check(has_descriptor));
        }
    });
}

#[test]
fn a_filter_may_make_a_body_longer_than_it_is_said_to_be() {
    let group = Group::new(1, 1);
    group.accept(echo);
    for length in [16 * 1024 + 1, 16 * 1024 + 2, 200_000] {
        let body = random(length);
        let mut exchange = TestExchange::with_body(body.clone());
        let outcome = with_view(BodyLength::Bytes(10), &[], |view| group.client.serve(view, &mut exchange));
        assert_eq!(outcome, Outcome::Sent);
        assert!(exchange.sent() == body, "{length}");
    }
}

#[test]
fn neither_direction_waits_for_the_other() {
    let group = Group::new(1, 1);
    group.accept(|worker| {
        worker.begin();
        // The application reads a little, and has much to say.
        encode_read(&mut worker.out);
        worker.head(5 << 20, &[]);
        for _ in 0..5 {
            worker.data(&vec![b'x'; 1 << 20], Send::FLUSH);
        }
        worker.end(Outcome::Sent);
        worker.flush();
    });
    for _ in 0..2 {
        let mut exchange = TestExchange::with_body(random(8 << 20));
        let outcome =
            with_view(BodyLength::Bytes(8 << 20), &[], |view| group.client.serve(view, &mut exchange));
        assert_eq!((outcome, exchange.sent().len()), (Outcome::Sent, 5 << 20));
        assert!(exchange.is_complete());
    }
}

#[test]
fn a_connection_with_a_part_of_a_body_on_it_is_not_used_again() {
    let group = Group::new(1, 1);
    group.accept(|worker| {
        worker.begin();
        encode_read(&mut worker.out);
        worker.flush();
        // As a worker should not: it says that it can take another request, with the body still on its way.
        worker.reply(b"early");
        worker.process_takes_ticket();
    });
    for _ in 0..2 {
        let mut exchange = TestExchange::new();
        exchange.body_length = 10;
        let outcome = with_view(BodyLength::UntilEnd, &[], |view| group.client.serve(view, &mut exchange));
        assert_eq!((outcome, exchange.sent()), (Outcome::Sent, b"early".to_vec()));
    }
}

#[test]
fn a_body_nobody_asked_for_leaves_its_connection_clean() {
    let group = Group::new(1, 1);
    group.accept(|worker| {
        worker.hello();
        while worker.request() {
            worker.mark(|mark, sequence| mark.accept(sequence));
            let text = format!("{}", worker.sequence);
            // It gives a ticket, which the next request then takes.
            if worker.sequence == 1 {
                worker.process_takes_ticket();
            }
            worker.reply(text.as_bytes());
        }
    });
    for number in [b"1", b"2"] {
        let mut exchange = TestExchange::new();
        exchange.body_length = 100_000;
        let outcome =
            with_view(BodyLength::Bytes(100_000), &[], |view| group.client.serve(view, &mut exchange));
        assert_eq!((outcome, exchange.sent()), (Outcome::Sent, number.to_vec()));
    }
}

#[test]
fn the_application_learns_that_a_body_cannot_be_read() {
    for length in [BodyLength::Bytes(10), BodyLength::Bytes(100_000), BodyLength::UntilEnd] {
        let group = Group::new(1, 1);
        group.accept(|worker| {
            worker.begin();
            assert_eq!(worker.inline, None);
            let (body, text) = worker.body().unwrap_err();
            assert_eq!(body, b"12345");
            worker.reply(text.as_bytes());
        });
        let mut exchange = TestExchange::new();
        exchange.body_length = 100_000;
        let mut client = exchange.client.take().unwrap();
        client.write_all(b"12345").unwrap();
        drop(client);
        let outcome = with_view(length, &[], |view| group.client.serve(view, &mut exchange));
        assert_eq!((outcome, exchange.sent()), (Outcome::Sent, b"the client has gone".to_vec()));
    }
}

#[test]
fn a_second_wish_for_the_body_is_refused() {
    let group = Group::new(1, 1);
    group.accept(|worker| {
        worker.begin();
        encode_read(&mut worker.out);
        encode_read(&mut worker.out);
        worker.flush();
    });
    let mut exchange = TestExchange::with_body(random(100));
    let outcome = with_view(BodyLength::UntilEnd, &[], |view| group.client.serve(view, &mut exchange));
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(502), vec!["WSGI1120"]));
}

#[test]
fn a_worker_may_take_its_time_with_a_body() {
    let group = Group::with(1, 1, |settings| settings.socket_timeout = Some(Duration::from_secs(2)));
    group.accept(|worker| {
        worker.begin();
        encode_read(&mut worker.out);
        worker.flush();
        let mut buffer = vec![0; 500_000];
        // Longer than the limit in all, never as long between two reads.
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(250));
            worker.stream.read_exact(&mut buffer).unwrap();
        }
        worker.reply(b"read");
    });
    let mut exchange = TestExchange::with_body(random(6_000_000));
    let outcome =
        with_view(BodyLength::Bytes(6_000_000), &[], |view| group.client.serve(view, &mut exchange));
    assert_eq!((outcome, exchange.sent()), (Outcome::Sent, b"read".to_vec()), "{:?}", exchange.logged);
}

#[test]
fn the_time_for_writes_is_none_for_reads() {
    let group = Group::with(1, 1, |settings| {
        settings.response_socket_timeout = Some(Duration::from_secs(7));
    });
    group.accept(echo);
    let mut exchange = TestExchange::with_body(b"body".to_vec());
    let outcome = with_view(BodyLength::Bytes(4), &[], |view| group.client.serve(view, &mut exchange));
    assert_eq!((outcome, exchange.sent()), (Outcome::Sent, b"body".to_vec()));
    assert!(!exchange.has_read_with_send_timeout && exchange.send_timeout.is_some());
}

#[test]
fn a_worker_that_reads_nothing_is_not_waited_for_for_ever() {
    let group = Group::with(1, 1, |settings| settings.socket_timeout = Some(Duration::from_secs(1)));
    group.accept(|worker| {
        worker.begin();
        encode_read(&mut worker.out);
        worker.flush();
        std::thread::sleep(Duration::from_secs(60));
    });
    let mut exchange = TestExchange::with_body(random(8 << 20));
    let outcome = with_view(BodyLength::UntilEnd, &[], |view| group.client.serve(view, &mut exchange));
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(504), vec!["WSGI0145"]));
}
