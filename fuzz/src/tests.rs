//! The targets over bytes that are right but for a few: those get further than any others.

use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::daemon::Reason;
use oxwsgi_core::exchange::{Head, Outcome, RetryReason, Send};
use oxwsgi_core::report::Level;
use oxwsgi_core::request::{BodyLength, ExtraVariable, Field, RequestView, Target, Variable, Variables};
use oxwsgi_core::wire::{Hello, Inline, encode_body_end, encode_body_failed, encode_body_header};
use proptest::prelude::*;

use super::*;

/// Bytes, with which some others are replaced, and how many are left.
fn nearly(bytes: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (changes, any::<prop::sample::Index>(), any::<bool>()).prop_map(move |(changes, length, cut)| {
        let mut bytes = bytes.clone();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        bytes
    })
}

fn good_request() -> Vec<u8> {
    let mut variables = Variables::EMPTY;
    for (number, variable) in Variable::ALL.iter().enumerate() {
        if number % 3 > 0 {
            variables.set(*variable, variable.key().as_bytes());
        }
    }
    let headers = [Field::new(b"Host", b"localhost"), Field::new(b"Accept", b"*/*"), Field::new(b"X", b"")];
    let extra = [
        ExtraVariable { name: b"A"[..].into(), value: b"1"[..].into() },
        ExtraVariable { name: b"B"[..].into(), value: None.into() },
    ];
    let view = RequestView {
        variables,
        headers: headers[..].into(),
        extra: extra[..].into(),
        target: Target { script: b"/srv/app.wsgi"[..].into(), script_mtime: -1, ..Target::default() },
        body: BodyLength::Bytes(4),
        authorization: oxwsgi_core::request::Authorization::Passed,
        https: true,
        head: false,
        content_filters: false,
        files_as_data: false,
        request_start: 1,
        queue_start: 2,
        daemon_start: 0,
    };
    let mut out = Vec::new();
    encode_request(&mut out, &view, 7, Inline::All(b"body"));
    out
}

fn good_body() -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&encode_body_header(3));
    out.extend_from_slice(b"abc");
    out.extend_from_slice(&encode_body_end());
    encode_body_failed(&mut out, "no more");
    out
}

fn good_reply() -> Vec<u8> {
    let mut out = Vec::new();
    encode_hello(&mut out, Hello { pid: 1, slot: 2, connection: 3, base: 4 });
    encode_log(&mut out, Level::Info, b"line");
    encode_read(&mut out);
    let headers = [Field::new(b"Content-Type", b"text/plain"), Field::new(b"Content-Length", b"5")];
    let head = Head {
        status: 200,
        status_line: Bytes::new(b"200 OK"),
        headers: headers[..].into(),
        content_length: 5,
    };
    assert!(encode_head(&mut out, &head));
    out.extend_from_slice(&encode_data_header(2, Send::FLUSH));
    out.extend_from_slice(b"he");
    let start = out.len();
    assert!(encode_head(&mut out, &head));
    announce_file(&mut out[start..]);
    encode_file(&mut out, 1, 3, Send::LAST | Send::DONE);
    encode_end(&mut out, Outcome::Sent);
    encode_end(&mut out, Outcome::Refused(404));
    encode_retry(&mut out, RetryReason::Reload);
    out
}

fn good_message() -> Vec<u8> {
    encode(&FromWorker::Ending(Reason::ScriptReload))
}

macro_rules! targets {
    ($($target:ident: $good:expr;)*) => {$(
        mod $target {
            use super::*;

            #[test]
            fn what_is_right_is_taken() {
                super::super::$target(&$good);
            }

            proptest! {
                #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

                #[test]
                fn what_is_nearly_right_does_no_harm(bytes in nearly($good)) {
                    super::super::$target(&bytes);
                }

                #[test]
                fn nor_does_anything_else(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
                    super::super::$target(&bytes);
                }
            }
        }
    )*};
}

targets! {
    request: good_request();
    body: good_body();
    reply: good_reply();
    message: good_message();
}

/// The sentences above would hold as well if nothing ever came out.
#[test]
fn what_is_right_comes_out() {
    let request = good_request();
    assert!(DecodedRequest::decode(&request[HEADER..]).is_ok());
    let mut reply = &good_reply()[..];
    let mut count = 0;
    while let Some((frame, taken)) = ReplyFrame::decode(reply).unwrap() {
        let skipped = if let ReplyFrame::Data(length, _) = frame { length } else { 0 };
        reply = &reply[taken + skipped..];
        count += 1;
    }
    assert_eq!((count, reply.len()), (10, 0));
    assert!(decode::<FromWorker>(&good_message()).is_some());
}
