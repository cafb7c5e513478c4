//! The header of every value, and the compression of its body.
//!
//! ```text
//!  0  "PJ"
//!  2  version, 2                   a reader passes over versions it does not know
//!  3  slot                         8 bytes, big-endian: compared byte by byte in Redis, and at
//! 11  write time                   this place in every version; milliseconds since 1970
//! 19  flags: 1 = LZ4               all others are 0
//! 20  length of the body           4 bytes, before compression
//! 24  checksum                     XXH3 (64 bits) of the stored body, seeded with that of the bytes
//!                                  before, seeded with that of the key
//! 32  body
//! ```
//!
//! All numbers are big-endian. The key is part of the checksum: a value returned for the wrong key,
//! as a confused connection may do, is rejected. This protects against accidents, not against
//! somebody who can write to Redis.

use std::borrow::Cow;
use std::ops::Range;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::Slot;

/// Bytes before the body.
pub const HEADER: usize = 32;

/// The longest body, in bytes.
pub const LONGEST: usize = 64 * 1024 * 1024;

const MAGIC: [u8; 2] = *b"PJ";
const VERSION: u8 = 2;
const COMPRESSED: u8 = 1;
const CHECKSUM: Range<usize> = 24..HEADER;

/// When a value was read from the cluster and written to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The slot the content was read at. The newer of two values wins by it.
    pub slot: Slot,
    /// When it was written, in milliseconds since 1970, by the writer's clock. For people, not for
    /// decisions: the clocks of two machines differ.
    pub written: u64,
}

/// Why a value was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("not a value that Perijove wrote")]
    Foreign,
    #[error("an unknown format version")]
    Version,
    #[error("longer than it may be")]
    TooLong,
    #[error("damaged, or the value of another key")]
    Damaged,
}

/// The value of a key: a stamped body, compressed from `compress_from` bytes on if that makes it
/// shorter. `None` for a body above [`LONGEST`].
pub fn seal(key: &str, stamp: Stamp, body: &[u8], compress_from: usize) -> Option<Vec<u8>> {
    let length = u32::try_from(body.len())
        .ok()
        .filter(|_| body.len() <= LONGEST)?;
    let packed = (body.len() >= compress_from)
        .then(|| lz4_flex::block::compress(body))
        .filter(|packed| packed.len() < body.len());
    let stored = packed.as_deref().unwrap_or(body);
    let mut value = Vec::with_capacity(HEADER + stored.len());
    value.extend_from_slice(&MAGIC);
    value.push(VERSION);
    value.extend_from_slice(&stamp.slot.0.to_be_bytes());
    value.extend_from_slice(&stamp.written.to_be_bytes());
    value.push(if packed.is_some() { COMPRESSED } else { 0 });
    value.extend_from_slice(&length.to_be_bytes());
    let checksum = checksum(key, &value, stored);
    value.extend_from_slice(&checksum);
    value.extend_from_slice(stored);
    Some(value)
}

/// The stamp and the body of a key's value. No body above `most` bytes is decompressed.
///
/// # Errors
/// Why it is to be ignored.
pub fn open<'v>(
    key: &str,
    value: &'v [u8],
    most: usize,
) -> Result<(Stamp, Cow<'v, [u8]>), Unreadable> {
    let (header, stored) = value
        .split_first_chunk::<HEADER>()
        .ok_or(Unreadable::Foreign)?;
    let [m0, m1, version, rest @ ..] = header;
    if [*m0, *m1] != MAGIC {
        return Err(Unreadable::Foreign);
    }
    if *version != VERSION {
        return Err(Unreadable::Version);
    }
    let (slot, rest) = number(rest).ok_or(Unreadable::Foreign)?;
    let (written, rest) = number(rest).ok_or(Unreadable::Foreign)?;
    let [flags, l0, l1, l2, l3, ..] = *rest else {
        return Err(Unreadable::Foreign);
    };
    let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
    // Before anything is computed over it or memory is allocated for it.
    if length > most || stored.len() > most {
        return Err(Unreadable::TooLong);
    }
    let told = header.get(CHECKSUM).unwrap_or_default();
    let covered = header.get(..CHECKSUM.start).unwrap_or_default();
    if checksum(key, covered, stored) != told {
        return Err(Unreadable::Damaged);
    }
    let body = match flags {
        0 => Cow::Borrowed(stored),
        COMPRESSED => lz4_flex::block::decompress(stored, length)
            .map_err(|_error| Unreadable::Damaged)?
            .into(),
        _ => return Err(Unreadable::Version),
    };
    if body.len() != length {
        return Err(Unreadable::Damaged);
    }
    let stamp = Stamp {
        slot: Slot(slot),
        written,
    };
    Ok((stamp, body))
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), rest))
}

pub(super) fn checksum(key: &str, header: &[u8], stored: &[u8]) -> [u8; 8] {
    let seed = xxh3_64_with_seed(header, xxh3_64(key.as_bytes()));
    xxh3_64_with_seed(stored, seed).to_be_bytes()
}
