//! Entries and keys for tests.

use bytes::Bytes;
use perijove_core::{Commitment, Slot};

use crate::cache::{End, Entry, Key, Keys, Lifetime, Shelf};
use crate::jsonrpc::Answer;
use crate::solana::{canonical, classify};

/// An answer of few bytes, read at this slot.
pub(in crate::cache) fn balance(slot: u64) -> Entry {
    let body =
        format!(r#"{{"jsonrpc":"2.0","result":{{"context":{{"slot":{slot}}},"value":7}},"id":1}}"#);
    answered(body, slot)
}

/// An answer of about so many bytes, which do not compress.
pub(super) fn long(bytes: usize) -> Entry {
    let noise: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(bytes)
        .collect();
    answered(
        format!(r#"{{"jsonrpc":"2.0","result":"{noise}","id":1}}"#),
        100,
    )
}

/// An answer of an upstream with this name.
pub(in crate::cache) fn named(upstream: &str) -> Entry {
    Entry {
        upstream: upstream.into(),
        ..balance(100)
    }
}

fn answered(body: String, slot: u64) -> Entry {
    let answer = Answer::scan(Bytes::from(body)).unwrap();
    let until = End {
        now: Slot(slot + 2),
        commitment: Commitment::Confirmed,
        reach: Slot(slot + 1),
    };
    Entry {
        answer: answer.template(),
        read_at: Slot(slot),
        dated: true,
        lifetime: Lifetime::Until(until),
        upstream: "validator".into(),
    }
}

/// The key of some call.
pub(in crate::cache) fn key(number: u64) -> Key {
    let params = format!("[{number}]").into_bytes();
    let class = classify("getBlock", Some(&params));
    let canonical = canonical(&class, Some(&params)).unwrap();
    Keys::new("genesis", &canonical, b"").at(Shelf::Settled)
}
