use bytes::Bytes;
use perijove_core::{Commitment, Slot};

use super::{CacheEntry, EntryFreshness, Expiry, Lifetime};
use crate::jsonrpc::{Answer, Id};
use crate::solana::SlotView;

fn entry(body: &'static str, lifetime: Lifetime) -> CacheEntry {
    CacheEntry {
        answer: Answer::scan(Bytes::from_static(body.as_bytes()))
            .unwrap()
            .template(),
        read_at: Slot(100),
        dated: true,
        lifetime,
        upstream: "v0".into(),
    }
}

fn lives(lifetime: Lifetime) -> CacheEntry {
    entry(r#"{"jsonrpc":"2.0","result":5,"id":1}"#, lifetime)
}

const END: Expiry = Expiry {
    now: Slot(110),
    commitment: Commitment::Confirmed,
    reach: Slot(102),
};

/// The clock, what is expected at confirmed, and the last final slot.
fn view(now: u64, confirmed: Option<u64>, finalized: Option<u64>) -> SlotView {
    SlotView {
        now: Slot(now),
        seen: [None, None, finalized.map(Slot)],
        expected: [None, confirmed.map(Slot), None],
        ..SlotView::default()
    }
}

#[test]
fn a_life_ends_by_the_clock_or_by_the_commitment_whichever_comes_first() {
    let entry = lives(Lifetime::Until(END));
    for (now, confirmed, expected) in [
        (109, None, EntryFreshness::Fresh),
        (109, Some(101), EntryFreshness::Fresh),
        (110, Some(101), EntryFreshness::Stale(1)),
        (113, None, EntryFreshness::Stale(4)),
        (100, Some(102), EntryFreshness::Stale(1)),
        (111, Some(109), EntryFreshness::Stale(8)),
        (99, None, EntryFreshness::Stale(u64::MAX)),
        (u64::MAX, None, EntryFreshness::Stale(u64::MAX - 109)),
    ] {
        let found = entry.freshness(&view(now, confirmed, Some(200)));
        assert_eq!(found, expected, "{now} {confirmed:?}");
    }
}

#[test]
fn what_is_about_one_slot_is_true_for_good_once_that_slot_is_final() {
    let entry = lives(Lifetime::Pinned {
        about: Slot(99),
        until: END,
    });
    assert_eq!(
        entry.freshness(&view(109, None, None)),
        EntryFreshness::Fresh
    );
    assert_eq!(
        entry.freshness(&view(110, None, Some(98))),
        EntryFreshness::Stale(1)
    );
    assert_eq!(
        entry.freshness(&view(110, None, Some(99))),
        EntryFreshness::Permanent
    );
    assert_eq!(
        entry.made_permanent().freshness(&view(500, None, None)),
        EntryFreshness::Permanent
    );
}

#[test]
fn the_greatest_slots_do_not_wrap() {
    let end = Expiry {
        now: Slot(0),
        commitment: Commitment::Confirmed,
        reach: Slot(0),
    };
    let past = end.past(&view(u64::MAX, Some(3), None));
    assert_eq!(past, Some(u64::MAX));
}

#[test]
fn a_caller_gets_its_own_id_in_the_bytes_of_the_upstream() {
    for (body, expected) in [
        (
            "{\"jsonrpc\":\"2.0\",\"result\":{\"a\":1},\"id\":1}\n",
            r#"{"jsonrpc":"2.0","result":{"a":1},"id":7}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":"first","result":null}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":null}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","result":true}"#,
            r#"{"jsonrpc":"2.0","result":true,"id":7}"#,
        ),
    ] {
        let answer = entry(body, Lifetime::Permanent).spliced(&Id::from(7));
        assert_eq!(answer, expected);
    }
}

#[test]
fn it_weighs_its_bytes_and_what_finding_it_takes() {
    let short = lives(Lifetime::Permanent).weight();
    let body = format!(
        r#"{{"jsonrpc":"2.0","result":"{}","id":1}}"#,
        "x".repeat(9999)
    );
    let mut long = lives(Lifetime::Permanent);
    long.answer = Answer::scan(Bytes::from(body)).unwrap().template();
    assert_eq!(long.weight() - short, 10_625);
    assert!((200..400).contains(&short), "{short}");
}
