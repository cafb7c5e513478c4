//! What a client has already been told about the head of the chain, so that it never sees the
//! chain run backwards when its calls land on different upstreams.
//!
//! A floor is kept per client, kind of number and commitment, fades when unused, and is bounded in
//! count. Not here: which upstream is likely to satisfy it (`upstream::pool`).

use std::time::Duration;

use perijove_core::Commitment;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::solana::{Head, HeadValue};

/// Identifies a client: its consumer or its address, hashed.
pub type ClientKey = u64;

#[derive(Clone, Copy, Debug)]
struct Floor {
    value: u64,
    raised: Instant,
}

/// All floors of all clients.
#[derive(Debug)]
pub struct Floors {
    entries: Cache<(ClientKey, Head, Commitment), Floor>,
}

impl Floors {
    /// Keeps at most about `capacity` floors; the least used ones go first.
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: Cache::new(capacity.max(1)),
        }
    }

    /// The lowest value this client may still be told, unless `ttl` has passed since it was set.
    pub fn get(
        &self,
        client: ClientKey,
        kind: Head,
        commitment: Commitment,
        ttl: Duration,
        now: Instant,
    ) -> Option<u64> {
        let floor = self.entries.get(&(client, kind, commitment))?;
        (now.saturating_duration_since(floor.raised) < ttl).then_some(floor.value)
    }

    /// Remembers that this client is told `value`. Only a greater one counts: a floor that fades is
    /// not held up by being told again.
    ///
    /// Two answers racing here may leave the lower one for a moment; the client asked for both at
    /// once and cannot tell which came first.
    pub fn raise(
        &self,
        client: ClientKey,
        commitment: Commitment,
        told: HeadValue,
        ttl: Duration,
        now: Instant,
    ) {
        let HeadValue { head, number } = told;
        let known = self.get(client, head, commitment, ttl, now);
        if known.is_none_or(|known| number > known) {
            let floor = Floor {
                value: number,
                raised: now,
            };
            self.entries.insert((client, head, commitment), floor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_mins(1);
    const SLOT_100: HeadValue = HeadValue {
        head: Head::Slot,
        number: 100,
    };

    #[tokio::test(start_paused = true)]
    async fn a_floor_belongs_to_one_client_number_and_commitment() {
        let (floors, now) = (Floors::new(16), Instant::now());
        floors.raise(7, Commitment::Confirmed, SLOT_100, TTL, now);
        let get = |client, kind, commitment| floors.get(client, kind, commitment, TTL, now);
        assert_eq!(get(7, Head::Slot, Commitment::Confirmed), Some(100));
        assert_eq!(get(8, Head::Slot, Commitment::Confirmed), None);
        assert_eq!(get(7, Head::BlockHeight, Commitment::Confirmed), None);
        assert_eq!(get(7, Head::Slot, Commitment::Finalized), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_floor_fades_so_that_a_restarted_test_cluster_is_not_shut_out() {
        let (floors, now) = (Floors::new(16), Instant::now());
        floors.raise(7, Commitment::Processed, SLOT_100, TTL, now);
        let half = now + TTL / 2;
        floors.raise(7, Commitment::Processed, SLOT_100, TTL, half);
        let later = now + TTL;
        assert_eq!(
            floors.get(7, Head::Slot, Commitment::Processed, TTL, later),
            None
        );
    }
}
