//! The targets over bytes that are right but for a few: those get further than any others.

use proptest::prelude::*;

use super::*;

/// One of the seeds, of which some bytes are replaced, and maybe not all are left.
fn nearly(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let seed = prop::sample::select(seeds);
    (seed, changes, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(mut bytes, changes, length, cut)| {
            for (index, byte) in changes {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            if cut {
                bytes.truncate(length.index(bytes.len()));
            }
            bytes
        },
    )
}

macro_rules! targets {
    ($($target:ident: $seeds:ident;)*) => {$(
        mod $target {
            use super::*;

            #[test]
            fn what_is_right_is_taken() {
                for seed in seeds::$seeds() {
                    super::super::$target(&seed);
                }
            }

            proptest! {
                #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

                #[test]
                fn what_is_nearly_right_does_no_harm(bytes in nearly(seeds::$seeds())) {
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
    request: requests;
    body: bodies;
    reply: replies;
    message: messages;
}

/// The sentences above would hold as well if nothing ever came out.
#[test]
fn what_is_right_comes_out() {
    let requests = seeds::requests();
    assert!(requests.iter().all(|request| DecodedRequest::decode(&request[HEADER..]).is_ok()));
    let mut counts = Vec::new();
    for reply in seeds::replies() {
        let (mut rest, mut count) = (&reply[..], 0);
        while let Some((frame, taken)) = ReplyFrame::decode(rest).unwrap() {
            let skipped = if let ReplyFrame::Data(length, _) = frame { length } else { 0 };
            rest = &rest[taken + skipped..];
            count += 1;
        }
        assert!(rest.is_empty());
        counts.push(count);
    }
    assert_eq!(counts, [10, 1, 2, 2, 2, 2]);
    let ends: Vec<_> = seeds::bodies().iter().map(|body| body_in(body).1).collect();
    let failed = r#"Err(Failed("the client took too long"))"#;
    assert_eq!(ends, ["Ok(())", "Ok(())", failed, "Ok(())"]);
    for message in seeds::messages() {
        let is_taken = decode::<FromSupervisor>(&message).is_some()
            || decode::<FromWorker>(&message).is_some()
            || decode::<Plan>(&message).is_some()
            || decode::<ToSupervisor>(&message).is_some()
            || decode::<ToWorker>(&message).is_some();
        assert!(is_taken, "{message:?}");
    }
}
