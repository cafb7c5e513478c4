use bytes::Bytes;
use proptest::prelude::*;

use super::{Splicer, WINDOW};
use crate::jsonrpc::fixtures::{self, ASKED};
use crate::jsonrpc::{Answer, Id, RequestId};

/// Feeds a body in chunks of the given lengths, over and over.
fn stream(body: &str, lengths: &[usize], id: &Id, asked: u64) -> Option<String> {
    let mut splicer = Splicer::new(id, RequestId::from(asked));
    let mut out = Vec::new();
    let mut rest = Bytes::copy_from_slice(body.as_bytes());
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        splicer.push(rest.split_to(rest.len().min(*length)), &mut out);
    }
    splicer.finish(&mut out).ok()?;
    Some(String::from_utf8(out.concat()).unwrap())
}

#[test]
fn every_chunking_of_real_answers_gives_what_the_whole_gives() {
    let id = Id::from(77);
    for (name, body) in fixtures::ALL {
        let whole = Answer::scan(Bytes::from_static(body.as_bytes()))
            .unwrap()
            .splice(&id)
            .concat();
        for lengths in [
            &[1][..],
            &[7],
            &[25],
            &[26],
            &[27],
            &[64],
            &[63, 1],
            &[100_000],
        ] {
            let streamed = stream(body, lengths, &id, 1);
            assert_eq!(
                streamed.as_deref().map(str::as_bytes),
                Some(&whole[..]),
                "{name}"
            );
        }
    }
}

#[test]
fn a_large_answer_passes_in_slices_of_its_chunks() {
    let mut splicer = Splicer::new(&Id::from(5), RequestId::from(1));
    let mut out = Vec::new();
    splicer.push(
        Bytes::from_static(br#"{"jsonrpc":"2.0","result":["#),
        &mut out,
    );
    let chunk = Bytes::from(vec![b'1'; 65536]);
    for _ in 0..10 {
        out.clear();
        splicer.push(chunk.clone(), &mut out);
        let copied: usize = out
            .iter()
            .filter(|piece| !chunk.as_ptr_range().contains(&piece.as_ptr()))
            .map(Bytes::len)
            .sum();
        assert!(copied <= WINDOW);
    }
}

#[test]
fn a_cut_off_or_foreign_body_is_refused_at_the_end() {
    for body in [
        "",
        "{",
        "<html>502</html>",
        "[1]",
        "{}",
        r#"{"jsonrpc":"2.0","result":[1,2"#,
        r#"{"jsonrpc":"2.0","id":1,"result":[1,2"#,
        r#"{"jsonrpc": "2.0", "result": [1,2]"#,
        r#"{"id":{"a":1},"result":1}"#,
        r#"{"id":1"#,
    ] {
        for lengths in [&[1][..], &[1000]] {
            assert_eq!(stream(body, lengths, &Id::null(), 1), None, "{body}");
        }
    }
}

#[test]
fn an_answer_to_another_request_or_to_none_is_refused_at_the_end() {
    let long = "x".repeat(1000);
    for body in [
        format!(r#"{{"jsonrpc":"2.0","result":["{long}"],"id":2}}"#),
        format!(r#"{{"jsonrpc":"2.0","result":["{long}"],"id":null}}"#),
        format!(r#"{{"jsonrpc":"2.0","result":["{long}"]}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":2,"result":["{long}"]}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":"11","result":["{long}"]}}"#),
        format!(r#"{{"result":["{long}"],"id":12,"jsonrpc":"2.0"}}"#),
        format!(r#"{{"result":["{long}"],"jsonrpc":"2.0"}}"#),
    ] {
        for lengths in [&[1][..], &[50], &[1000]] {
            assert_eq!(stream(&body, lengths, &Id::from(9), 1), None, "{body}");
        }
    }
}

#[test]
fn members_may_follow_the_id() {
    let body = format!(
        r#"{{"jsonrpc":"2.0","result":["{}"],"id":1,"usage":{{"credits":5}}}}"#,
        "x".repeat(1000)
    );
    let streamed = stream(&body, &[50], &Id::from(9), 1).unwrap();
    assert_eq!(streamed, body.replace("\"id\":1,", "\"id\":9,"));
}

proptest! {
    #[test]
    fn chunking_never_matters(
        body in fixtures::answers(),
        lengths in proptest::collection::vec(1_usize..80, 1..8),
        id: u64,
    ) {
        let id = Id::from(id);
        let whole = Answer::scan_reply(Bytes::from(body.clone()), RequestId::from(ASKED))
            .ok()
            .filter(|answer| !answer.is_anonymous())
            .map(|answer| String::from_utf8(answer.splice(&id).concat()).unwrap());
        prop_assert_eq!(stream(&body, &lengths, &id, ASKED), whole);
    }

    #[test]
    fn no_bytes_make_the_splicer_panic(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        length in 1_usize..50,
    ) {
        let mut splicer = Splicer::new(&Id::null(), RequestId::from(1));
        let mut out = Vec::new();
        for chunk in body.chunks(length) {
            splicer.push(Bytes::copy_from_slice(chunk), &mut out);
        }
        drop(splicer.finish(&mut out));
    }
}
