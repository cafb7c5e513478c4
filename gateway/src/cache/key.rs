//! Cache keys: 128 bits over length-delimited parts.
//!
//! The hash is BLAKE3: nobody can construct a call whose key collides with somebody else's, which
//! would put a wrong answer under it.

use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use perijove_core::Commitment;

use crate::solana::Canonical;

#[cfg(test)]
mod tests;

/// The key of an answer. Equal on every replica.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(u128);

/// How final the answers under a key are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyScope {
    /// Read at this commitment; valid for some slots.
    AtCommitment(Commitment),
    /// Valid at every commitment, for as long as the cluster exists.
    Permanent,
}

/// The keys of one call, one per scope: independent parts of one long hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopedKeys([CacheKey; 4]);

impl ScopedKeys {
    /// The keys of a call. `cluster` is the genesis hash. `variant` is whatever else distinguishes
    /// answers, such as a request header; empty for most calls.
    pub fn new(cluster: &str, canonical: &Canonical, variant: &[u8]) -> Self {
        Self::of_parts([cluster.as_bytes(), canonical.as_bytes(), variant])
    }

    fn of_parts(parts: [&[u8]; 3]) -> Self {
        let mut hasher = blake3::Hasher::new();
        // The lengths first, and together: each piece that is added costs a little.
        let lengths = parts.map(|part| u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(lengths.as_flattened());
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            hasher.update(part);
        }
        // One block of output: as cheap as a single key.
        let mut bytes = [0; 64];
        hasher.finalize_xof().fill(&mut bytes);
        let (keys, _) = bytes.as_chunks::<16>();
        let mut scopes = [CacheKey(0); 4];
        for (scope, key) in scopes.iter_mut().zip(keys) {
            *scope = CacheKey(u128::from_be_bytes(*key));
        }
        Self(scopes)
    }

    /// The key in one scope.
    pub const fn at(&self, scope: KeyScope) -> CacheKey {
        let [processed, confirmed, finalized, settled] = self.0;
        match scope {
            KeyScope::AtCommitment(Commitment::Processed) => processed,
            KeyScope::AtCommitment(Commitment::Confirmed) => confirmed,
            KeyScope::AtCommitment(Commitment::Finalized) => finalized,
            KeyScope::Permanent => settled,
        }
    }
}

impl CacheKey {
    /// A key by its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// The sixteen bytes of the key.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Tables use the key itself as the hash: it is one already, and callers cannot steer it.
pub(super) type ByKey = BuildHasherDefault<KeyHasher>;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write_u128(&mut self, key: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "half of it is enough")]
        let half = key as u64;
        self.0 = half;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Keys are written in one piece; anything else would do no harm.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
