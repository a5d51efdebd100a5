//! Whatever frames a worker sends, and however they are cut: the server gets a sensible reply or none.

use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::exchange::{Head, Outcome, RetryReason, Send};
use oxwsgi_core::report::Level;
use oxwsgi_core::wire::{
    Hello, announce_file, encode_data_header, encode_end, encode_file, encode_head, encode_hello, encode_log,
    encode_read, encode_retry,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::fake::{TestExchange, file, settings};
use crate::ClientSettings;
use crate::received::Enclosed;
use crate::reply::{Fault, Reply, Stage, Step};

#[derive(Clone, Debug)]
enum Part {
    Hello,
    Read,
    Head(i64, bool),
    Data(usize, u32),
    File(u64, u32),
    Log,
    End(Outcome),
    Retry,
    Junk(Vec<u8>),
}

fn part() -> impl Strategy<Value = Part> {
    // More of what is sensible.
    prop_oneof![
        1 => Just(Part::Hello),
        1 => Just(Part::Read),
        4 => (-1i64..12, prop::bool::weighted(0.3)).prop_map(|(length, file)| Part::Head(length, file)),
        8 => (0usize..6, 0u32..8).prop_map(|(length, flags)| Part::Data(length, flags)),
        2 => (0u64..6, 0u32..8).prop_map(|(length, flags)| Part::File(length, flags)),
        2 => Just(Part::Log),
        3 => prop_oneof![
            3 => Just(Outcome::Sent),
            1 => Just(Outcome::Refused(500)),
            1 => Just(Outcome::Broken),
            1 => Just(Outcome::ClientGone),
        ]
        .prop_map(Part::End),
        1 => Just(Part::Retry),
        1 => vec(any::<u8>(), 1..12).prop_map(Part::Junk),
    ]
}

fn encoded(parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_hello(&mut out, Hello { pid: 1, slot: 0, connection: 0, base: 0 });
    for part in parts {
        match part {
            Part::Hello => encode_hello(&mut out, Hello { pid: 1, slot: 0, connection: 0, base: 0 }),
            Part::Read => encode_read(&mut out),
            Part::Head(content_length, announces_file) => {
                let start = out.len();
                let content_length = *content_length;
                let status_line = Bytes::new(b"200 OK");
                let head = Head { status: 200, status_line, headers: (&[][..]).into(), content_length };
                assert!(encode_head(&mut out, &head));
                if *announces_file {
                    announce_file(&mut out[start..]);
                }
            }
            Part::Data(length, flags) => {
                out.extend_from_slice(&encode_data_header(*length, Send(*flags)));
                out.resize(out.len() + length, b'x');
            }
            Part::File(length, flags) => encode_file(&mut out, 0, *length, Send(*flags)),
            Part::Log => encode_log(&mut out, Level::Info, b"line"),
            Part::End(outcome) => encode_end(&mut out, *outcome),
            Part::Retry => encode_retry(&mut out, RetryReason::Reload),
            Part::Junk(bytes) => out.extend_from_slice(bytes),
        }
    }
    out
}

/// What has become of bytes that came in pieces of these lengths.
fn taken(bytes: &[u8], cuts: &[usize]) -> (String, TestExchange, Reply) {
    let mut exchange = TestExchange::new();
    let mut reply = Reply::new(None, &ClientSettings { header_buffer_size: 100, ..settings() });
    reply.may_ask = true;
    // A file may come; whether a descriptor that nobody needs is an offence depends on when it comes.
    let _ = reply.add_descriptor(Enclosed::Descriptor(file("0123456789")));
    let (mut start, mut end) = (0, 0);
    let mut cuts = cuts.iter().copied().chain(std::iter::repeat(usize::MAX));
    while end < bytes.len() {
        end = bytes.len().min(end.saturating_add(cuts.next().unwrap_or(usize::MAX)));
        match reply.take(&bytes[start..end], &mut exchange) {
            Ok(Step::More { taken, needed }) => {
                assert!(taken <= end - start && needed > end - start - taken);
                start += taken;
            }
            // What comes with an end and what comes after it are the same to whoever closes the connection then.
            Ok(Step::End(outcome) | Step::EndAndMore(outcome)) => {
                return (format!("{outcome:?}"), exchange, reply);
            }
            Ok(step) => return (format!("{step:?}"), exchange, reply),
            Err(Fault::Problem(problem)) => return (problem.to_string(), exchange, reply),
            Err(fault) => panic!("{fault:?}"),
        }
    }
    ("more".to_owned(), exchange, reply)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reply_is_sensible_or_none(parts in vec(part(), 0..12), cuts in vec(1usize..40, 0..60)) {
        let bytes = encoded(&parts);
        let (end, exchange, reply) = taken(&bytes, &cuts);
        prop_assert!(exchange.heads.len() <= 1);
        prop_assert!(exchange.sends.is_empty() || exchange.heads.len() == 1);
        let last = exchange.sends.iter().position(|(_, flags)| flags.has(Send::LAST));
        prop_assert!(last.is_none_or(|at| at + 1 == exchange.sends.len()), "nothing comes after the end");
        prop_assert_eq!(last.is_some(), reply.stage == Stage::Complete);
        prop_assert!(end != "Sent" || last.is_some());
        let first_head = parts.iter().find_map(|part| if let Part::Head(length, _) = part { Some(*length) } else { None });
        if let Some(declared) = first_head.and_then(|length| usize::try_from(length).ok()) {
            prop_assert!(exchange.sent().len() <= declared);
            prop_assert!(last.is_none() || exchange.sent().len() == declared);
        }

        // However the bytes are cut, the same comes out.
        let (other_end, other, _) = taken(&bytes, &[]);
        prop_assert_eq!(end, other_end);
        prop_assert_eq!(exchange.sent(), other.sent());
        prop_assert_eq!(exchange.is_complete(), other.is_complete());
        prop_assert_eq!(&exchange.heads, &other.heads);
        prop_assert_eq!(&exchange.logged, &other.logged);
    }
}
