//! What becomes of a worker's frames, sensible and not.

use std::io::Write;
use std::time::Duration;

use oxwsgi_core::exchange::{FlowError, Outcome, RetryReason, Send};
use oxwsgi_core::report::Level;
use oxwsgi_core::request::{BodyLength, Field, RequestView};
use oxwsgi_core::wire::{encode_hello, encode_log, encode_read, encode_retry};

use super::fake::{Group, Script, TestExchange, answered, with_view};

#[test]
fn a_reply_in_one_packet_goes_out_in_one_piece() {
    let (outcome, exchange) = answered(|worker| {
        worker.begin();
        worker.reply(b"hello");
    });
    assert_eq!(outcome, Outcome::Sent);
    assert_eq!(exchange.heads[0].0, b"200 OK");
    assert_eq!(exchange.sends, [(b"hello".to_vec(), Send::LAST)]);
}

#[test]
fn pieces_that_come_together_go_on_together() {
    let (outcome, exchange) = answered(|worker| {
        worker.begin();
        worker.head(-1, &[Field::new(b"X", b"y")]);
        for _ in 0..40 {
            worker.data(b"ab", Send::FLUSH);
        }
        worker.end(Outcome::Sent);
        worker.flush();
    });
    assert_eq!((outcome, exchange.sent()), (Outcome::Sent, b"ab".repeat(40)));
    let flags: Vec<_> = exchange.sends.iter().map(|(_, flags)| *flags).collect();
    assert_eq!(flags, [Send::MORE, Send::MORE, Send::LAST]);
    assert_eq!(exchange.heads[0].1, [(b"X".to_vec(), b"y".to_vec())]);
}

#[test]
fn a_filter_gets_each_piece_as_it_was_sent() {
    let group = Group::new(1, 1);
    group.accept(|worker| {
        worker.begin();
        worker.head(-1, &[]);
        worker.data(b"ab", Send::FLUSH);
        worker.data(b"cd", Send::MORE);
        worker.data(b"ef", Send::FLUSH);
        worker.end(Outcome::Sent);
        worker.flush();
    });
    let mut exchange = TestExchange::new();
    let outcome = with_view(BodyLength::None, &[], |view| {
        group.client.serve(&RequestView { content_filters: true, ..*view }, &mut exchange)
    });
    assert_eq!(outcome, Outcome::Sent);
    let wanted = [(&b"ab"[..], Send::FLUSH), (b"cdef", Send::FLUSH), (b"", Send::LAST)];
    assert_eq!(exchange.sends, wanted.map(|(bytes, flags)| (bytes.to_vec(), flags)));
}

#[test]
fn an_end_may_come_late() {
    let (outcome, exchange) = answered(|worker| {
        worker.begin();
        worker.head(2, &[]);
        worker.data(b"ab", Send::FLUSH | Send::LAST);
        worker.flush();
        std::thread::sleep(Duration::from_millis(50));
        encode_log(&mut worker.out, Level::Error, b"closed");
        worker.end(Outcome::Broken);
        worker.flush();
    });
    // The client has the whole of it, whatever comes then.
    assert_eq!(outcome, Outcome::Sent);
    assert_eq!(exchange.sends, [(b"ab".to_vec(), Send::FLUSH | Send::LAST)]);
    assert_eq!(exchange.logged, [(Level::Error, "closed".to_owned())]);
}

#[test]
fn frames_may_come_byte_by_byte() {
    let (outcome, exchange) = answered(|worker| {
        worker.begin();
        worker.head(-1, &[Field::new(b"Name", b"value")]);
        worker.data(b"body", Send::MORE);
        worker.end(Outcome::Sent);
        let out = std::mem::take(&mut worker.out);
        for byte in out {
            worker.stream.write_all(&[byte]).unwrap();
            std::thread::yield_now();
        }
    });
    assert_eq!((outcome, exchange.sent()), (Outcome::Sent, b"body".to_vec()));
    assert!(exchange.is_complete());
}

#[test]
fn long_replies_and_long_heads_arrive_whole() {
    let group = Group::with(1, 1, |settings| settings.header_buffer_size = 120_000);
    group.accept(|worker| {
        worker.begin();
        let value = vec![b'v'; 100_000];
        worker.head(3 << 20, &[Field::new(b"Long", &value)]);
        for _ in 0..3 {
            worker.data(&vec![b'x'; 1 << 20], Send::MORE);
        }
        worker.end(Outcome::Sent);
        worker.flush();
    });
    let (outcome, exchange) = group.get();
    assert_eq!((outcome, exchange.sent().len()), (Outcome::Sent, 3 << 20));
    assert_eq!(exchange.heads[0].1[0].1.len(), 100_000);
    assert!(exchange.is_complete());
}

#[test]
fn frames_out_of_order_are_refused() {
    let scripts: [(&str, Script); 8] = [
        ("a body before its HEAD", |worker| worker.data(b"x", Send::MORE)),
        ("an END without a HEAD", |worker| worker.end(Outcome::Sent)),
        ("a second HEAD", |worker| {
            worker.head(-1, &[]);
            worker.head(-1, &[]);
        }),
        ("a second HELLO", |worker| {
            let hello = oxwsgi_core::wire::Hello { pid: 1, slot: 0, connection: 0, base: 0 };
            encode_hello(&mut worker.out, hello);
        }),
        ("a READ for a body that it has", |worker| encode_read(&mut worker.out)),
        ("a RETRY after the application was called", |worker| {
            worker.head(-1, &[]);
            encode_retry(&mut worker.out, RetryReason::Reload);
        }),
        ("more of the response's body than Content-Length says", |worker| {
            worker.head(1, &[]);
            worker.data(b"xy", Send::MORE);
        }),
        ("a frame of unknown kind 99", |worker| {
            worker.out.extend_from_slice(&[0, 0, 0, 0, 99, 0, 0, 0]);
        }),
    ];
    for (what, script) in scripts {
        let (outcome, exchange) = answered(move |worker| {
            worker.begin();
            script(worker);
            worker.flush();
        });
        assert_eq!(outcome, Outcome::Refused(502), "{what}");
        assert_eq!(exchange.numbers(), ["WSGI1120"], "{what}");
        let line = &exchange.logged[0].1;
        assert!(line.contains(what) && line.contains("(pid=4000)"), "{line}");
        assert!(line.contains("'group'") && line.ends_with(": GET /path?query"), "{line}");
    }
    let (outcome, exchange) = answered(|worker| {
        assert!(worker.request());
        worker.head(-1, &[]);
        worker.flush();
    });
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(502), vec!["WSGI1120"]));
}

#[test]
fn a_body_goes_on_after_its_end_in_vain() {
    let (outcome, exchange) = answered(|worker| {
        worker.begin();
        worker.head(-1, &[]);
        worker.data(b"x", Send::LAST | Send::FLUSH);
        worker.data(b"y", Send::MORE);
        worker.flush();
    });
    assert_eq!((outcome, exchange.sent()), (Outcome::Broken, b"x".to_vec()));
    assert_eq!(exchange.numbers(), ["WSGI1120"]);
}

#[test]
fn a_connection_with_more_on_it_is_not_used_again() {
    let group = Group::new(1, 1);
    group.accept(|worker| {
        worker.begin();
        worker.head(-1, &[]);
        worker.end(Outcome::Sent);
        worker.head(-1, &[]);
        worker.mark(|mark, sequence| mark.finish(sequence));
        worker.flush();
    });
    for _ in 0..2 {
        // The second one finds a connection of its own, or it would wait for ever.
        assert_eq!(group.get().0, Outcome::Sent);
    }
}

#[test]
fn less_than_was_said_breaks_the_reply() {
    for last in [Send::MORE, Send::LAST] {
        let (outcome, exchange) = answered(move |worker| {
            worker.begin();
            worker.head(5, &[]);
            worker.data(b"abc", last);
            worker.end(Outcome::Sent);
            worker.flush();
        });
        assert_eq!((outcome, exchange.sent()), (Outcome::Broken, b"abc".to_vec()));
        assert!(!exchange.is_complete());
        assert_eq!(exchange.numbers(), ["WSGI1120"]);
    }
}

#[test]
fn a_reply_to_head_has_no_body_to_be_short_of() {
    let group = Group::new(1, 1);
    group.accept(|worker| {
        worker.begin();
        worker.head(5, &[]);
        worker.end(Outcome::Sent);
        worker.flush();
    });
    let mut exchange = TestExchange::new();
    let outcome = with_view(BodyLength::None, &[], |view| {
        group.client.serve(&RequestView { head: true, ..*view }, &mut exchange)
    });
    assert_eq!((outcome, exchange.sends), (Outcome::Sent, vec![(vec![], Send::LAST)]));
}

#[test]
fn outcomes_come_through() {
    let (outcome, exchange) = answered(|worker| {
        worker.begin();
        worker.end(Outcome::Refused(404));
        worker.flush();
    });
    assert_eq!((outcome, exchange.sends.len()), (Outcome::Refused(404), 0));
    let (outcome, exchange) = answered(|worker| {
        worker.begin();
        worker.head(-1, &[]);
        worker.data(b"x", Send::MORE);
        worker.end(Outcome::Broken);
        worker.flush();
    });
    assert_eq!((outcome, exchange.sends), (Outcome::Broken, vec![(b"x".to_vec(), Send::FLUSH)]));
    let (outcome, exchange) = answered(|worker| {
        worker.begin();
        worker.head(-1, &[]);
        worker.end(Outcome::Broken);
        worker.flush();
    });
    assert_eq!((outcome, exchange.sends.len()), (Outcome::Broken, 0), "the head can be taken back");
}

#[test]
fn a_long_line_of_the_head_is_refused() {
    let (outcome, exchange) = answered(|worker| {
        worker.begin();
        worker.head(-1, &[Field::new(b"X", &[b'y'; 32_768])]);
        worker.flush();
    });
    assert_eq!((outcome, exchange.numbers()), (Outcome::Refused(500), vec!["WSGI0144"]));
    assert!(exchange.heads.is_empty());
}

#[test]
fn fields_of_one_name_are_one_line() {
    let (outcome, exchange) = answered(|worker| {
        worker.begin();
        worker.head(0, &[Field::new(b"A", b"1"), Field::new(b"Set-Cookie", b"x"), Field::new(b"a", b"2")]);
        worker.end(Outcome::Sent);
        worker.flush();
    });
    assert_eq!(outcome, Outcome::Sent);
    let owned = |name: &[u8], value: &[u8]| (name.to_vec(), value.to_vec());
    assert_eq!(exchange.heads[0].1, [owned(b"A", b"1, 2"), owned(b"Set-Cookie", b"x")]);
    let (outcome, exchange) = answered(|worker| {
        worker.begin();
        worker.head(-1, &[Field::new(b"X", &[b'y'; 200]); 200]);
        worker.flush();
    });
    assert_eq!(
        (outcome, exchange.numbers()),
        (Outcome::Refused(500), vec!["WSGI0144"]),
        "together they are long"
    );
    assert!(exchange.heads.is_empty());
}

#[test]
fn lines_are_logged_as_far_as_they_are_wanted() {
    let (_, exchange) = answered(|worker| {
        worker.begin();
        for (level, line) in
            [(Level::Trace, &b"no"[..]), (Level::Info, b"yes"), (Level::Emergency, b"not so bad")]
        {
            encode_log(&mut worker.out, level, line);
        }
        worker.reply(b"");
    });
    let wanted = [(Level::Info, "yes".to_owned()), (Level::Critical, "not so bad".to_owned())];
    assert_eq!(exchange.logged, wanted);
}

#[test]
fn a_client_that_has_gone_ends_the_reply() {
    let run = |error| {
        let group = Group::new(1, 1);
        group.accept(|worker| {
            worker.begin();
            worker.head(-1, &[]);
            worker.data(b"x", Send::FLUSH);
            worker.flush();
            // Nothing more is wanted.
            assert!(!worker.request());
        });
        let mut exchange = TestExchange::new();
        exchange.fails_with = Some(error);
        let outcome = with_view(BodyLength::None, &[], |view| group.client.serve(view, &mut exchange));
        (outcome, exchange.numbers().join(" "))
    };
    assert_eq!(run(FlowError::ClientGone), (Outcome::ClientGone, String::new()));
    assert_eq!(run(FlowError::Failed), (Outcome::Broken, "WSGI0120".to_owned()));
}
