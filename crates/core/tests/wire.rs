//! What goes into a frame comes out of it, whatever it is; and no part of a frame is taken for the whole.

use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::exchange::{Head, Outcome, RetryReason, Send};
use oxwsgi_core::report::Level;
use oxwsgi_core::request::{
    Authorization, BodyLength, ExtraVariable, Field, RequestView, ScriptKind, Target, Variable, Variables,
};
use oxwsgi_core::wire::{
    BodyFrame, DecodedRequest, HEADER, Hello, Inline, LAST_SEQUENCE, LONGEST_LOG, MOST_DATA, ReplyFrame,
    RequestHead, announce_file, encode_body_failed, encode_body_header, encode_data_header, encode_end,
    encode_file, encode_head, encode_hello, encode_log, encode_request, encode_retry,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn pairs<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<(Vec<u8>, T)>> {
    vec((bytes(), value), 0..12)
}

fn body_length() -> impl Strategy<Value = BodyLength> {
    prop_oneof![Just(BodyLength::None), any::<u64>().prop_map(BodyLength::Bytes), Just(BodyLength::UntilEnd)]
}

fn authorization() -> impl Strategy<Value = Authorization> {
    prop_oneof![Just(Authorization::Hidden), Just(Authorization::Passed), Just(Authorization::AllPassed)]
}

/// A name or value as a runtime lets it through.
fn header_name() -> impl Strategy<Value = Vec<u8>> {
    let is_name = |byte: &u8| !byte.is_ascii_control() && !b" \"(),/:;<=>?@[\\]{}".contains(byte);
    vec(any::<u8>().prop_filter("no name", is_name), 1..20)
}

fn header_value() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>().prop_filter("no value", |byte| !b"\r\n\0".contains(byte)), 0..60)
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Sent),
        (400u16..600).prop_map(Outcome::Refused),
        Just(Outcome::Broken),
        Just(Outcome::ClientGone),
    ]
}

/// Decodes the only frame in `out`, after having seen that no part of it is one.
fn only(out: &[u8]) -> ReplyFrame<'_> {
    for length in 0..out.len() {
        assert!(matches!(ReplyFrame::decode(&out[..length]), Ok(None)), "{length} of {}", out.len());
    }
    let (frame, taken) = ReplyFrame::decode(out).unwrap().unwrap();
    assert_eq!((taken, ReplyFrame::needed(out)), (out.len(), out.len()));
    frame
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_comes_back(
        values in vec(proptest::option::of(bytes()), Variable::COUNT),
        headers in pairs(bytes()),
        extra in pairs(proptest::option::of(bytes())),
        texts in vec(bytes(), 5),
        numbers in any::<[i64; 3]>(),
        flags in any::<[bool; 8]>(),
        body in body_length(),
        authorization in authorization(),
        inline in proptest::option::of(bytes()),
        sequence in 1..=LAST_SEQUENCE,
    ) {
        let mut variables = Variables::EMPTY;
        for (variable, value) in Variable::ALL.iter().zip(&values) {
            variables.set(*variable, value.as_deref());
        }
        let fields: Vec<_> = headers.iter().map(|(name, value)| Field::new(name, value)).collect();
        let variables_of_others: Vec<_> = extra
            .iter()
            .map(|(name, value)| ExtraVariable { name: (&**name).into(), value: value.as_deref().into() })
            .collect();
        let view = RequestView {
            variables,
            headers: (&*fields).into(),
            extra: (&*variables_of_others).into(),
            target: Target {
                process_group: (&*texts[0]).into(),
                application_group: (&*texts[1]).into(),
                script: (&*texts[2]).into(),
                script_kind: if flags[5] { ScriptKind::Module } else { ScriptKind::File },
                callable: (&*texts[3]).into(),
                factory: flags[6],
                resource: (&*texts[4]).into(),
                script_mtime: numbers[0],
                script_reloading: flags[0],
                ignore_activity: flags[4],
            },
            body,
            authorization,
            https: flags[1],
            head: flags[2],
            content_filters: flags[3],
            files_as_data: flags[7],
            request_start: numbers[1],
            queue_start: numbers[2],
            daemon_start: 0,
        };
        let mut out = Vec::new();
        let inline = inline.as_deref().map_or(Inline::Nothing, Inline::All);
        encode_request(&mut out, &view, sequence, inline);
        let header = RequestHead::frame(&out).unwrap().unwrap();
        prop_assert_eq!(out.len(), HEADER + header.length);

        let decoded = DecodedRequest::decode(&out[HEADER..]).unwrap();
        prop_assert_eq!((decoded.head.sequence, decoded.head.inline), (sequence, inline));
        let seen = decoded.view();
        for variable in Variable::ALL {
            prop_assert_eq!(seen.variables.get(*variable), view.variables.get(*variable));
        }
        let of = |view: &RequestView<'_>| -> Vec<(Vec<u8>, Vec<u8>)> {
            view.headers.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
        };
        prop_assert_eq!(of(&seen), of(&view));
        let of = |view: &RequestView<'_>| -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
            let owned = |variable: &ExtraVariable<'_>| {
                (variable.name.to_vec(), variable.value.get().map(<[u8]>::to_vec))
            };
            view.extra.iter().map(owned).collect()
        };
        prop_assert_eq!(of(&seen), of(&view));
        prop_assert_eq!(format!("{:?}", seen.target), format!("{:?}", view.target));
        prop_assert_eq!((seen.body, seen.authorization), (view.body, view.authorization));
        prop_assert_eq!(
            (seen.https, seen.head, seen.content_filters, seen.files_as_data, seen.request_start, seen.queue_start),
            (view.https, view.head, view.content_filters, view.files_as_data, view.request_start, view.queue_start)
        );
        for length in 0..out.len() - HEADER {
            prop_assert!(DecodedRequest::decode(&out[HEADER..HEADER + length]).is_err());
        }
    }

    #[test]
    fn a_head_comes_back(
        status in 200u16..1000,
        reason in vec((b' '..=b'~').prop_union(0xa0..=0xff), 0..20),
        headers in vec((header_name(), header_value()), 0..40),
        content_length in -1..=i64::MAX,
        announces_file in any::<bool>(),
    ) {
        let status_line = [status.to_string().as_bytes(), b" ", &reason].concat();
        let fields: Vec<_> = headers.iter().map(|(name, value)| Field::new(name, value)).collect();
        let head = Head {
            status,
            status_line: Bytes::new(&status_line),
            headers: (&*fields).into(),
            content_length,
        };
        let mut out = Vec::new();
        prop_assert!(encode_head(&mut out, &head));
        if announces_file {
            announce_file(&mut out);
        }
        let ReplyFrame::Head(decoded) = only(&out) else { panic!("no head") };
        prop_assert_eq!(decoded.announces_file(), announces_file);
        let seen = decoded.head();
        prop_assert_eq!((seen.status, &*seen.status_line, seen.content_length), (status, &*status_line, content_length));
        let seen: Vec<_> = seen.headers.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
        prop_assert_eq!(seen, headers);
    }

    #[test]
    fn the_other_frames_of_a_reply_come_back(
        hello in any::<[u32; 3]>(),
        base in 0..LAST_SEQUENCE,
        length in 0..=MOST_DATA,
        part in (0..=i64::MAX as u64 / 2, 0..=i64::MAX as u64 / 2),
        flags in (0u32..8).prop_map(Send),
        line in vec(any::<u8>(), 0..200),
        end in outcome(),
    ) {
        let mut out = Vec::new();
        let hello = Hello { pid: hello[0], slot: hello[1], connection: hello[2], base };
        encode_hello(&mut out, hello);
        prop_assert!(matches!(only(&out), ReplyFrame::Hello(seen) if seen == hello));

        let out = encode_data_header(length, flags);
        prop_assert!(matches!(only(&out), ReplyFrame::Data(seen, with) if (seen, with) == (length, flags)));

        let mut out = Vec::new();
        encode_file(&mut out, part.0, part.1, flags);
        prop_assert!(
            matches!(only(&out), ReplyFrame::File(offset, length, with) if (offset, length, with) == (part.0, part.1, flags))
        );

        let mut out = Vec::new();
        encode_log(&mut out, Level::Warning, &line);
        prop_assert!(matches!(only(&out), ReplyFrame::Log(Level::Warning, seen) if *seen == *line));

        let mut out = Vec::new();
        encode_end(&mut out, end);
        prop_assert!(matches!(only(&out), ReplyFrame::End(seen) if seen == end));

        for reason in [RetryReason::Reload, RetryReason::Stopping, RetryReason::TooOld] {
            let mut out = Vec::new();
            encode_retry(&mut out, reason);
            prop_assert!(matches!(only(&out), ReplyFrame::Retry(seen) if seen == reason));
        }
    }

    #[test]
    fn frames_of_a_body_come_back(length in 0..=1usize << 20, text in ".{0,600}") {
        prop_assert_eq!(BodyFrame::decode(&encode_body_header(length)), Ok(Some(BodyFrame::Piece(length))));
        let mut out = Vec::new();
        encode_body_failed(&mut out, &text);
        let Ok(Some(BodyFrame::Failed(length))) = BodyFrame::decode(&out) else { panic!("no failure") };
        prop_assert_eq!(length, out.len() - HEADER);
        prop_assert!(text.as_bytes().starts_with(&out[HEADER..]));
    }
}

#[test]
fn long_lines_of_a_log_are_cut() {
    let mut out = Vec::new();
    encode_log(&mut out, Level::Error, &[b'x'; LONGEST_LOG + 1]);
    let Ok(Some((ReplyFrame::Log(_, line), _))) = ReplyFrame::decode(&out) else { panic!("no line") };
    assert_eq!(line.len(), LONGEST_LOG);
}
