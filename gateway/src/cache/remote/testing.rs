//! Entries and keys for tests.

use bytes::Bytes;
use perijove_core::{Commitment, Slot};

use crate::cache::{CacheEntry, CacheKey, Expiry, KeyScope, Lifetime, ScopedKeys};
use crate::jsonrpc::Answer;
use crate::solana::{canonical, classify};

/// An answer of few bytes, read at this slot.
pub(in crate::cache) fn balance(slot: u64) -> CacheEntry {
    let body =
        format!(r#"{{"jsonrpc":"2.0","result":{{"context":{{"slot":{slot}}},"value":7}},"id":1}}"#);
    answered(body, slot)
}

/// An answer of about so many bytes, which do not compress.
pub(super) fn long(bytes: usize) -> CacheEntry {
    let noise: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(bytes)
        .collect();
    answered(
        format!(r#"{{"jsonrpc":"2.0","result":"{noise}","id":1}}"#),
        100,
    )
}

/// An answer of an upstream with this name.
pub(in crate::cache) fn named(upstream: &str) -> CacheEntry {
    CacheEntry {
        upstream: upstream.into(),
        ..balance(100)
    }
}

fn answered(body: String, slot: u64) -> CacheEntry {
    let answer = Answer::scan(Bytes::from(body)).unwrap();
    let until = Expiry {
        now: Slot(slot + 2),
        commitment: Commitment::Confirmed,
        reach: Slot(slot + 1),
    };
    CacheEntry {
        answer: answer.template(),
        read_at: Slot(slot),
        dated: true,
        lifetime: Lifetime::Until(until),
        upstream: "validator".into(),
    }
}

/// The key of some call.
pub(in crate::cache) fn key(number: u64) -> CacheKey {
    let params = format!("[{number}]").into_bytes();
    let class = classify("getBlock", Some(&params));
    let canonical = canonical(&class, Some(&params)).unwrap();
    ScopedKeys::new("genesis", &canonical, b"").at(KeyScope::Permanent)
}
