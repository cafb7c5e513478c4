//! What an answer is found by: 128 bits over length-delimited parts.
//!
//! The hash is BLAKE3: nobody can make a call whose key is that of somebody else's call, which
//! would put a wrong answer under it.

use std::fmt;

use perijove_core::Commitment;

use crate::solana::Canonical;

/// The key of an answer. Equal on every replica.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u128);

/// How settled the answers under a key are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shelf {
    /// Read at this commitment; good for some slots.
    At(Commitment),
    /// True at every commitment, for as long as the cluster exists.
    Settled,
}

impl Key {
    /// The key of a call on one shelf. `cluster` is the genesis hash. `variant` is whatever else
    /// tells answers apart, such as a request header; empty for most calls.
    pub fn new(cluster: &str, canonical: &Canonical, shelf: Shelf, variant: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in [cluster.as_bytes(), canonical.as_bytes(), variant] {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            hasher.update(&length.to_le_bytes());
            hasher.update(part);
        }
        hasher.update(&[match shelf {
            Shelf::At(Commitment::Processed) => 0,
            Shelf::At(Commitment::Confirmed) => 1,
            Shelf::At(Commitment::Finalized) => 2,
            Shelf::Settled => 3,
        }]);
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        Self(u128::from_be_bytes(bytes))
    }

    /// The sixteen bytes of the key.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
