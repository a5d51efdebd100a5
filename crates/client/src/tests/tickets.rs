//! Which connection a request takes, and that no ticket is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use oxwsgi_core::exchange::Outcome;
use oxwsgi_core::request::{BodyLength, Field};

use super::fake::{Group, Once, Session, TestExchange, with_view};

/// A worker's thread that keeps its connection: each reply is `slot connection sequence`.
fn serve(worker: &mut Session) {
    worker.process_takes_ticket();
    worker.hello();
    while worker.request() {
        worker.mark(|mark, sequence| mark.accept(sequence));
        let text = format!("{} {} {}", worker.slot, worker.connection, worker.sequence);
        worker.reply(text.as_bytes());
    }
}

/// What a worker's thread does first; the reply is the connection's number.
fn serve_once(worker: &mut Session) {
    worker.process_takes_ticket();
    worker.begin();
    let text = format!("{}", worker.connection);
    worker.reply(text.as_bytes());
}

fn served_by(group: &Group) -> String {
    let (outcome, exchange) = group.get();
    assert_eq!(outcome, Outcome::Sent, "{:?}", exchange.logged);
    String::from_utf8(exchange.sent()).unwrap()
}

/// Waits until so many connections are closed.
#[track_caller]
fn wait_for_count(closed: &AtomicU64, count: u64) {
    let start = Instant::now();
    while closed.load(Ordering::SeqCst) < count {
        assert!(start.elapsed() < Duration::from_secs(20), "they are kept");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn idle(group: &Group, slot: u32) -> u32 {
    group.board.process(slot).unwrap().idle()
}

#[test]
fn a_connection_is_used_again_with_a_ticket() {
    let group = Group::new(1, 3);
    group.accept(serve);
    for sequence in 1..=4 {
        assert_eq!(served_by(&group), format!("0 0 {sequence}"));
        assert_eq!(idle(&group, 0), 3);
    }
}

#[test]
fn without_a_ticket_a_request_goes_into_the_queue() {
    let group = Group::new(1, 2);
    group.accept(|worker| {
        worker.hello();
        while worker.request() {
            worker.mark(|mark, sequence| mark.accept(sequence));
            let text = format!("{} {}", worker.connection, worker.sequence);
            worker.reply(text.as_bytes());
        }
    });
    assert_eq!(served_by(&group), "0 1");
    let process = group.board.process(0).unwrap();
    assert!(process.take_ticket());
    // There is one left, and an old connection to use it with.
    assert_eq!(served_by(&group), "0 2");
    while process.take_ticket() {}
    assert_eq!(served_by(&group), "1 1");
}

#[test]
fn a_connection_closed_by_the_worker_costs_no_ticket() {
    static CLOSED: AtomicU64 = AtomicU64::new(0);
    let group = Group::new(1, 1);
    group.accept(|worker| {
        serve_once(worker);
        worker.mark(|mark, _| mark.close());
        CLOSED.fetch_add(1, Ordering::SeqCst);
    });
    for number in 0..3 {
        assert_eq!(served_by(&group), number.to_string());
        assert_eq!(idle(&group, 0), 1);
        wait_for_count(&CLOSED, number + 1);
    }
}

#[test]
fn a_ticket_comes_back_when_the_worker_closes_before_it_reads() {
    static CLOSES: AtomicBool = AtomicBool::new(false);
    let group = Group::new(1, 2);
    group.accept(|worker| {
        serve_once(worker);
        if worker.connection == 0 {
            // The next request is on its way when the worker decides to close.
            let mut byte = [0];
            while !matches!(
                rustix::net::recv(&worker.stream, &mut byte, rustix::net::RecvFlags::PEEK),
                Ok((1, _))
            ) {}
            CLOSES.store(true, Ordering::Relaxed);
            worker.mark(|mark, _| mark.close());
        }
    });
    assert_eq!(served_by(&group), "0");
    assert_eq!(served_by(&group), "1");
    assert!(CLOSES.load(Ordering::Relaxed));
    assert_eq!(idle(&group, 0), 2);
}

#[test]
fn a_ticket_comes_back_when_nothing_can_be_sent() {
    static CLOSED: AtomicU64 = AtomicU64::new(0);
    let group = Group::new(1, 2);
    group.accept(|worker| {
        serve_once(worker);
        // Without a word.
        worker.stream.shutdown(std::net::Shutdown::Both).unwrap();
        CLOSED.fetch_add(1, Ordering::SeqCst);
    });
    assert_eq!(served_by(&group), "0");
    wait_for_count(&CLOSED, 1);
    assert_eq!(served_by(&group), "1");
    assert_eq!(idle(&group, 0), 2);
}

#[test]
fn connections_of_processes_that_have_ended_are_not_used() {
    let group = Group::new(1, 1);
    group.accept(serve);
    assert_eq!(served_by(&group), "0 0 1");
    let process = group.board.process(0).unwrap();
    process.assign();
    process.set_pid(super::fake::PID);
    process.open();
    // The number is the same by chance, but no connection of the new process has got that far.
    assert_eq!(served_by(&group), "0 1 1");
    process.assign();
    process.set_pid(super::fake::PID + 7);
    process.open();
    let (outcome, exchange) = group.get();
    // Whoever answers now is not who it says it is; but the old connections are not asked.
    assert_eq!((outcome, exchange.sent()), (Outcome::Sent, b"0 2 1".to_vec()));
}

#[test]
fn no_more_connections_are_kept_than_there_were_requests_at_once() {
    static CLOSED: AtomicU64 = AtomicU64::new(0);
    let group = Group::new(1, 1);
    group.accept(|worker| {
        worker.hello();
        while worker.request() {
            worker.mark(|mark, sequence| mark.accept(sequence));
            worker.reply(b"");
            // Taken by another server's process at once.
            worker.process_takes_ticket();
        }
        CLOSED.fetch_add(1, Ordering::Relaxed);
    });
    assert!(group.board.process(0).unwrap().take_ticket());
    for _ in 0..5 {
        assert_eq!(served_by(&group), "");
        // Until the ticket is taken.
        while idle(&group, 0) > 0 {
            std::thread::yield_now();
        }
    }
    wait_for_count(&CLOSED, 4);
}

#[test]
fn a_process_with_nothing_else_to_do_comes_first() {
    let group = Group::new(2, 2);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    group.accept_as(0, |worker| {
        // Every second connection is the other process's.
        worker.slot = NEXT.fetch_add(1, Ordering::Relaxed) as u32 % 2;
        serve(worker);
    });
    assert_eq!(served_by(&group), "0 0 1");
    let process = group.board.process(0).unwrap();
    assert!(process.take_ticket());
    // Its other thread would do; the other process has two, and no connection leads there yet.
    assert_eq!(served_by(&group), "1 1 1");
    assert_eq!(served_by(&group), "1 1 2");
    process.give_ticket();
    let other = group.board.process(1).unwrap();
    assert!(other.take_ticket());
    assert_eq!(served_by(&group), "0 0 2");
    assert!(process.take_ticket() && other.take_ticket());
    // One has a thread, the other none.
    assert_eq!(served_by(&group), "0 0 3");
}

#[test]
fn it_is_looked_for_now_and_then_only() {
    let group = Group::new(2, 2);
    group.accept(serve);
    assert_eq!(served_by(&group), "0 0 1");
    let process = group.board.process(0).unwrap();
    assert!(process.take_ticket());
    let start = Instant::now();
    let all: Vec<String> = (0..5).map(|_| served_by(&group)).collect();
    if start.elapsed() < Duration::from_millis(10) {
        let new = all.iter().filter(|text| text.ends_with(" 1")).count();
        assert_eq!(new, 1, "{all:?}");
    }
}

#[test]
fn every_request_is_served_once() {
    const CLIENTS: u64 = 8;
    const REQUESTS: u64 = 200;
    let seen = Once::default();
    let group = Group::new(2, 4);
    // As many threads as the workers have, each with one connection at a time, closed now and then, and at bad moments.
    for slot in 0..2 {
        let (listener, board) = (Arc::clone(&group.listener), Arc::clone(&group.board));
        static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
        for _ in 0..4 {
            let (listener, board, seen) = (Arc::clone(&listener), Arc::clone(&board), seen.clone());
            std::thread::spawn(move || {
                loop {
                    let process = board.process(slot).unwrap();
                    while !process.take_ticket() {
                        std::thread::sleep(Duration::from_micros(100));
                    }
                    let Ok((stream, _)) = listener.accept() else { return };
                    let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed) as u32 % 500;
                    let mut worker = Session::new(stream, Arc::clone(&board), slot, connection);
                    worker.hello();
                    while worker.request() {
                        if worker.sequence % 7 == 6 {
                            // Read, and not taken.
                            worker.process_gives_ticket();
                            break;
                        }
                        worker.mark(|mark, sequence| mark.accept(sequence));
                        let number = u64::from_le_bytes(worker.inline.take().unwrap().try_into().unwrap());
                        seen.see(number);
                        worker.reply(&number.to_le_bytes());
                        if worker.sequence % 5 == 4 {
                            worker.mark(|mark, _| mark.close());
                            break;
                        }
                    }
                }
            });
        }
    }
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let group = &group;
            scope.spawn(move || {
                for request in 0..REQUESTS {
                    let number = client * REQUESTS + request;
                    let body = number.to_le_bytes();
                    let mut exchange = TestExchange::with_body(body.to_vec());
                    let headers = [Field::new(b"Host", b"h")];
                    let outcome = with_view(BodyLength::Bytes(8), &headers, |view| {
                        group.client.serve(view, &mut exchange)
                    });
                    assert_eq!((outcome, exchange.sent()), (Outcome::Sent, body.to_vec()));
                }
            });
        }
    });
    assert_eq!(seen.count() as u64, CLIENTS * REQUESTS);
}
