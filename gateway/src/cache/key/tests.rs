use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::solana::{canonical, classify};

/// How a `getBlock` call is spelled.
fn call(params: &str) -> Canonical {
    let params = Some(params.as_bytes());
    canonical(&classify("getBlock", params), params).expect("a plain call")
}

const SHELVES: [KeyScope; 4] = [
    KeyScope::AtCommitment(Commitment::Processed),
    KeyScope::AtCommitment(Commitment::Confirmed),
    KeyScope::AtCommitment(Commitment::Finalized),
    KeyScope::Permanent,
];

#[test]
fn calls_that_are_spelled_alike_have_the_same_keys() {
    let keys = ScopedKeys::new("genesis", &call("[5]"), b"variant");
    assert_eq!(
        keys,
        ScopedKeys::new("genesis", &call(" [ 5 ] "), b"variant")
    );
    assert_ne!(keys, ScopedKeys::new("genesis", &call("[6]"), b"variant"));
}

#[test]
fn a_key_is_the_same_on_every_replica_and_in_the_next_release() {
    let keys = ScopedKeys::of_parts([b"genesis", b"call", b"variant"]);
    let shown = SHELVES.map(|scope| keys.at(scope).to_string());
    assert_eq!(
        shown,
        [
            "fd8c8a262979559d5114b4a1361c2f12",
            "51334dec2c8b9c2f330fc733a7c908bb",
            "f4247749f90025122a511226af6982e2",
            "792811329426a65659f32937aa8db9bd",
        ]
    );
    let key = keys.at(KeyScope::Permanent);
    assert_eq!(CacheKey::from_bytes(key.to_bytes()), key);
}

#[test]
fn every_shelf_has_a_key_of_its_own() {
    let keys = ScopedKeys::new("genesis", &call("[5]"), b"");
    let found: HashSet<_> = SHELVES.map(|scope| keys.at(scope)).into();
    assert_eq!(found.len(), SHELVES.len());
}

#[test]
fn parts_do_not_run_into_each_other() {
    let text = b"abcdefgh";
    let mut found = HashSet::new();
    for first in 0..=text.len() {
        for second in first..=text.len() {
            let parts = [&text[..first], &text[first..second], &text[second..]];
            found.insert(ScopedKeys::of_parts(parts).at(KeyScope::Permanent));
        }
    }
    assert_eq!(found.len(), 9 * 10 / 2);
}

proptest! {
    #[test]
    fn other_parts_make_other_keys_on_every_shelf(
        all in prop::collection::vec(["[ab\\x00]{0,3}", "[ab\\x00]{0,3}", "[ab\\x00]{0,3}"], 2..40),
    ) {
        let mut seen = HashMap::new();
        for parts in &all {
            let keys = ScopedKeys::of_parts(parts.each_ref().map(String::as_bytes));
            for (place, scope) in SHELVES.into_iter().enumerate() {
                let before = seen.entry(keys.at(scope)).or_insert((parts, place));
                prop_assert_eq!(*before, (parts, place));
            }
        }
    }
}
