use proptest::prelude::*;

use super::*;
use crate::cache::remote::testing::{balance, named};

const NAME: &str = "pj:v1:answer:00000000000000000000000000000001";
const MOST: usize = 1 << 20;

fn ends() -> impl Strategy<Value = Expiry> {
    (
        any::<[u64; 2]>(),
        prop::sample::select(&Commitment::ALL[..]),
    )
        .prop_map(|([now, reach], commitment)| Expiry {
            now: Slot(now),
            commitment,
            reach: Slot(reach),
        })
}

fn lifetimes() -> impl Strategy<Value = Lifetime> {
    prop_oneof![
        ends().prop_map(Lifetime::Until),
        (any::<u64>(), ends()).prop_map(|(about, until)| Lifetime::Pinned {
            about: Slot(about),
            until,
        }),
        Just(Lifetime::Permanent),
    ]
}

prop_compose! {
    fn entries()(
        body in prop::collection::vec(any::<u8>(), 0..3000),
        gap: prop::sample::Index,
        result in prop::option::of(any::<[prop::sample::Index; 2]>()),
        read_at: u64,
        dated: bool,
        lifetime in lifetimes(),
        upstream in "[a-z0-9._-]{1,64}",
    ) -> CacheEntry {
        let places = body.len() + 1;
        let result = result.map(|ends| {
            let [one, other] = ends.map(|end| end.index(places));
            one.min(other)..one.max(other)
        });
        CacheEntry {
            answer: Template::from_parts(body.into(), gap.index(places), result).unwrap(),
            read_at: Slot(read_at),
            dated,
            lifetime,
            upstream: upstream.into(),
        }
    }
}

proptest! {
    #[test]
    fn an_entry_comes_back_as_it_was(entry in entries(), compress_from in 0_usize..4096) {
        let value = seal(NAME, &entry, 1, compress_from).unwrap();
        prop_assert_eq!(open(NAME, value, MOST), Some(entry));
    }

    #[test]
    fn bodies_of_whatever_bytes_do_no_harm(bytes: Vec<u8>, ours: bool) {
        let mut bytes = bytes;
        if ours && bytes.len() > 1 {
            bytes[0] = LAYOUT;
            bytes[1] %= 3;
        }
        if let Some(entry) = entry(bytes.into(), Slot(1)) {
            prop_assert!(entry.answer.place().is_none() || entry.result().is_some());
        }
    }
}

/// What comes of a value whose body was changed although all around it is right.
fn changed(place: usize, byte: u8) -> Option<CacheEntry> {
    let mut body = body(&balance(7)).unwrap();
    body[place] = byte;
    entry(body.into(), Slot(1))
}

#[test]
fn what_contradicts_itself_is_no_entry() {
    assert!(changed(1, UNTIL).is_some());
    for (place, byte) in [
        (0, 2),     // another layout
        (1, 3),     // an unknown lifetime
        (26, 3),    // an unknown commitment
        (27, 4),    // an unknown bit
        (31, 255),  // a result that ends before it begins
        (34, 255),  // one that ends beyond the answer
        (38, 255),  // an id beyond the answer
        (40, 255),  // a name longer than all there is
        (41, 0xff), // a name that is no text
    ] {
        assert_eq!(changed(place, byte), None, "{place}: {byte}");
    }
}

#[test]
fn nothing_is_sealed_that_the_layout_cannot_hold() {
    assert_eq!(seal(NAME, &named(&"u".repeat(256)), 1, 0), None);
}

#[test]
fn the_answer_is_not_copied_on_its_way_out() {
    let value = seal(NAME, &balance(7), 1, usize::MAX).unwrap();
    let bytes = value.as_ptr_range();
    let entry = open(NAME, value, MOST).unwrap();
    assert!(bytes.contains(&entry.answer.body().as_ptr()));
}
