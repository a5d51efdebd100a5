//! Clients that send their whole body before they read any of the reply, and applications that do not ask for it.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use oxwsgi_core::exchange::{Outcome, Send};
use oxwsgi_core::request::{BodyLength, Field};
use oxwsgi_core::wire::encode_file;

use super::bodies::random;
use super::fake::{Group, Script, Session, TestExchange, file, with_view};

const BODY: usize = 8 << 20;
const REPLY: usize = 5 << 20;

/// A client that sends first and reads then. What it was given comes once nobody gives it any more.
fn stubborn_client(length: usize) -> (TestExchange, Receiver<Vec<u8>>) {
    let mut exchange = TestExchange::new();
    exchange.body_length = length;
    exchange.writes = true;
    let mut client = exchange.client.take().unwrap();
    let (sender, receiver) = channel();
    let body = random(length);
    std::thread::spawn(move || {
        let mut reply = Vec::new();
        // The server may be gone by then: what it was given counts.
        let _ = client.write_all(&body).and_then(|()| client.read_to_end(&mut reply));
        let _ = sender.send(reply);
    });
    (exchange, receiver)
}

/// What the client of a group has when the request is over.
fn reply_to_stubborn_client(group: &Group, headers: &[Field<'_>]) -> (Outcome, TestExchange, Vec<u8>) {
    let (mut exchange, received) = stubborn_client(BODY);
    let hint = BodyLength::Bytes(BODY as u64);
    let outcome = with_view(hint, headers, |view| group.client.serve(view, &mut exchange));
    exchange.hang_up();
    let reply = received.recv_timeout(Duration::from_secs(20)).unwrap();
    (outcome, exchange, reply)
}

fn text(length: usize) -> String {
    String::from_utf8(random(length).into_iter().map(|byte| b'a' + byte % 26).collect()).unwrap()
}

fn whole(worker: &mut Session) {
    worker.begin();
    worker.head(REPLY as i64, &[]);
    for piece in random(REPLY).chunks(1 << 20) {
        worker.data(piece, Send::MORE);
    }
    worker.end(Outcome::Sent);
    worker.flush();
}

fn in_flushed_pieces(worker: &mut Session) {
    worker.begin();
    worker.head(-1, &[]);
    for piece in random(REPLY).chunks(70_000) {
        worker.data(piece, Send::FLUSH);
    }
    worker.data(b"", Send::LAST);
    worker.end(Outcome::Sent);
    worker.flush();
}

#[test]
fn a_body_nobody_asks_for_is_not_in_the_way_of_the_reply() {
    for script in [whole as Script, in_flushed_pieces] {
        let group = Group::new(1, 1);
        group.accept(script);
        let (outcome, exchange, reply) = reply_to_stubborn_client(&group, &[]);
        assert_eq!(outcome, Outcome::Sent);
        assert!(reply == random(REPLY));
        assert!(exchange.is_complete());
        assert!(exchange.logged.is_empty(), "{:?}", exchange.logged);
    }
}

#[test]
fn nor_of_a_file() {
    let group = Group::new(1, 1);
    group.accept(|worker| {
        worker.begin();
        worker.head_of_file(REPLY as i64);
        encode_file(&mut worker.out, 3, REPLY as u64, Send::LAST);
        worker.end(Outcome::Sent);
        worker.flush_with(&[file(&text(REPLY + 3)).as_fd()]);
    });
    let (outcome, exchange, reply) = reply_to_stubborn_client(&group, &[]);
    assert_eq!(outcome, Outcome::Sent);
    assert!(reply == text(REPLY + 3).as_bytes()[3..]);
    assert!(exchange.is_complete());
}

#[test]
fn what_was_set_aside_is_there_for_whoever_asks_later() {
    let group = Group::new(1, 1);
    group.accept(|worker| {
        worker.begin();
        worker.head(-1, &[]);
        worker.data(&random(1 << 20), Send::FLUSH);
        worker.flush();
        let body = worker.body().unwrap();
        worker.data(if body == random(BODY) { b"same" } else { b"other" }, Send::LAST);
        worker.end(Outcome::Sent);
        worker.flush();
    });
    let (outcome, _, reply) = reply_to_stubborn_client(&group, &[]);
    assert_eq!(outcome, Outcome::Sent);
    assert!(reply[..1 << 20] == random(1 << 20));
    assert_eq!(&reply[1 << 20..], b"same");
}

#[test]
fn a_client_that_reads_before_it_sends_the_rest_is_served() {
    let group = Group::new(1, 1);
    group.accept(whole);
    let (mut exchange, received) = (TestExchange::new(), channel());
    (exchange.body_length, exchange.writes) = (BODY, true);
    let mut client = exchange.client.take().unwrap();
    std::thread::spawn(move || {
        client.write_all(&random(100_000)).unwrap();
        let mut reply = vec![0; REPLY];
        client.read_exact(&mut reply).unwrap();
        received.0.send(reply).unwrap();
    });
    let hint = BodyLength::Bytes(BODY as u64);
    let outcome = with_view(hint, &[], |view| group.client.serve(view, &mut exchange));
    assert_eq!(outcome, Outcome::Sent);
    assert!(received.1.recv_timeout(Duration::from_secs(20)).unwrap() == random(REPLY));
}

#[test]
fn a_client_that_neither_sends_nor_takes_anything_is_given_up() {
    let group = Group::new(1, 1);
    group.accept(whole);
    let mut exchange = TestExchange::new();
    (exchange.body_length, exchange.writes) = (BODY, true);
    let hint = BodyLength::Bytes(BODY as u64);
    let outcome = with_view(hint, &[], |view| group.client.serve(view, &mut exchange));
    assert_eq!(outcome, Outcome::ClientGone);
}

#[test]
fn a_client_that_waits_to_be_asked_is_not_read() {
    let group = Group::new(1, 1);
    group.accept(whole);
    let headers = [Field::new(b"Expect", b"100-continue")];
    let (outcome, exchange, _) = reply_to_stubborn_client(&group, &headers);
    assert_eq!((outcome, exchange.body_read()), (Outcome::ClientGone, 0));
}

#[test]
fn short_replies_leave_the_body_where_it_is() {
    let group = Group::new(1, 1);
    group.accept(|worker| {
        worker.begin();
        worker.reply(&random(60_000));
    });
    let (mut exchange, _received) = stubborn_client(BODY);
    let hint = BodyLength::Bytes(BODY as u64);
    let outcome = with_view(hint, &[], |view| group.client.serve(view, &mut exchange));
    assert_eq!((outcome, exchange.body_read(), exchange.sends.len()), (Outcome::Sent, 0, 1));
}
