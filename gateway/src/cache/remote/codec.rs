//! An entry as the body of a value in Redis. The stamp before it belongs to
//! [`perijove_core::redis`].
//!
//! ```text
//!  0  layout, 1
//!  1  lifetime: 0 until, 1 pinned, 2 settled
//!  2  the slot it is about (8)
//! 10  its end: by the clock (8), by the commitment (8), the commitment (1): 0, 1, 2
//! 27  1 = dated, 2 = a result
//! 28  where the result begins (4) and ends (4)
//! 36  where the id goes (4)
//! 40  length of the upstream's name (1), the name
//!     the answer
//! ```
//!
//! Fields that a lifetime or an error does not have are 0. All numbers are big-endian, and none is
//! trusted when read.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use perijove_core::redis::{self, Stamp};
use perijove_core::{Commitment, Slot};

use crate::cache::{CacheEntry, Expiry, Lifetime};
use crate::jsonrpc::Template;

const LAYOUT: u8 = 1;

/// Bytes before the name.
const FIXED: usize = 41;

const UNTIL: u8 = 0;
const PINNED: u8 = 1;
const SETTLED: u8 = 2;

const DATED: u8 = 1;
const RESULT: u8 = 2;

/// Encodes an entry under this name, written at `written` milliseconds since 1970. `None` if it
/// does not fit the layout.
pub(super) fn seal(
    name: &str,
    entry: &CacheEntry,
    written: u64,
    compress_from: usize,
) -> Option<Vec<u8>> {
    let stamp = Stamp {
        slot: entry.read_at,
        written,
    };
    redis::seal(name, stamp, &body(entry)?, compress_from)
}

/// Decodes the entry in the value of a name; `None` if it is not one. No body above `longest` bytes
/// is decompressed.
pub(super) fn open(name: &str, value: Vec<u8>, longest: usize) -> Option<CacheEntry> {
    let opened = redis::open(name, &value, longest);
    let (stamp, body) = opened
        .inspect_err(
            |reason| tracing::debug!(%reason, "unreadable value in the shared cache ignored"),
        )
        .ok()?;
    let body = match body {
        Cow::Owned(body) => Bytes::from(body),
        Cow::Borrowed(body) => {
            let start = value.len() - body.len();
            Bytes::from(value).split_off(start)
        }
    };
    entry(body, stamp.slot)
}

fn body(entry: &CacheEntry) -> Option<Vec<u8>> {
    let nothing = Expiry {
        now: Slot(0),
        commitment: Commitment::Processed,
        reach: Slot(0),
    };
    let (tag, about, end) = match entry.lifetime {
        Lifetime::Until(end) => (UNTIL, Slot(0), end),
        Lifetime::Pinned { about, until } => (PINNED, about, until),
        Lifetime::Permanent => (SETTLED, Slot(0), nothing),
    };
    let name = entry.upstream.as_bytes();
    let answer = entry.answer.body();
    let result = entry.answer.place();
    let dated = if entry.dated { DATED } else { 0 };
    let has_result = if result.is_some() { RESULT } else { 0 };
    let result = result.unwrap_or(0..0);
    let mut body = Vec::with_capacity(FIXED + name.len() + answer.len());
    body.put_u8(LAYOUT);
    body.put_u8(tag);
    body.put_u64(about.0);
    body.put_u64(end.now.0);
    body.put_u64(end.reach.0);
    body.put_u8(u8::try_from(end.commitment.index()).ok()?);
    body.put_u8(dated | has_result);
    body.put_u32(u32::try_from(result.start).ok()?);
    body.put_u32(u32::try_from(result.end).ok()?);
    body.put_u32(u32::try_from(entry.answer.gap()).ok()?);
    body.put_u8(u8::try_from(name.len()).ok()?);
    body.put_slice(name);
    body.put_slice(answer);
    Some(body)
}

fn entry(mut body: Bytes, read_at: Slot) -> Option<CacheEntry> {
    if body.len() < FIXED || body.get_u8() != LAYOUT {
        return None;
    }
    let tag = body.get_u8();
    let about = Slot(body.get_u64());
    let until = Expiry {
        now: Slot(body.get_u64()),
        reach: Slot(body.get_u64()),
        commitment: *Commitment::ALL.get(usize::from(body.get_u8()))?,
    };
    let lifetime = match tag {
        UNTIL => Lifetime::Until(until),
        PINNED => Lifetime::Pinned { about, until },
        SETTLED => Lifetime::Permanent,
        _ => return None,
    };
    let bits = body.get_u8();
    let result = place(body.get_u32())?..place(body.get_u32())?;
    let gap = place(body.get_u32())?;
    let name = usize::from(body.get_u8());
    if bits & !(DATED | RESULT) != 0 || body.len() < name {
        return None;
    }
    let name = body.split_to(name);
    let result = (bits & RESULT != 0).then_some(result);
    Some(CacheEntry {
        answer: Template::from_parts(body, gap, result)?,
        read_at,
        dated: bits & DATED != 0,
        lifetime,
        upstream: Arc::from(std::str::from_utf8(&name).ok()?),
    })
}

fn place(number: u32) -> Option<usize> {
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests;
