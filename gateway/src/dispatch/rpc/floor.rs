//! Session floors: what a client has been shown of the head of the chain, so that it never sees the
//! chain run backwards when its calls land on different upstreams.
//!
//! Floors are kept per client and commitment, one number for each of the cluster's counters. They
//! expire unless a greater number is shown, and are bounded in count. A call looks its client up
//! once, and reads and raises the numbers without a lock. Not here: which upstream is likely to
//! satisfy them (`upstream::selection`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use perijove_core::{Commitment, Slot};
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::counter_bounds::CounterBounds;
use crate::context::ClientKey;
use crate::solana::{HeadCounter, Heads};

/// All floors of all clients.
#[derive(Debug)]
pub struct Floors {
    start: Instant,
    clients: Cache<(ClientKey, Commitment), Arc<Floor>>,
    /// What is beyond them becomes no floor.
    pub(super) bounds: CounterBounds,
}

/// What one client was shown at one commitment. Numbers are 0 until something was shown.
#[derive(Debug, Default)]
pub(super) struct Floor([FloorValue; 4]);

/// The greatest number shown, and when, in milliseconds since the start.
#[derive(Debug, Default)]
struct FloorValue {
    value: AtomicU64,
    raised: AtomicU64,
}

/// A moment at which floors are looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct FloorTime {
    now: u64,
    ttl: u64,
}

impl Floors {
    /// Keeps the floors of about `capacity` clients; the least used ones are dropped first.
    pub fn new(capacity: usize) -> Self {
        Self {
            start: Instant::now(),
            clients: Cache::new(capacity.max(1)),
            bounds: CounterBounds::default(),
        }
    }

    /// What this client was shown at this commitment.
    pub(super) fn of(&self, client: ClientKey, commitment: Commitment) -> Arc<Floor> {
        let key = (client, commitment);
        if let Some(known) = self.clients.get(&key) {
            return known;
        }
        let entered = self
            .clients
            .get_or_insert_with(&key, || Ok::<_, std::convert::Infallible>(Arc::default()));
        match entered {
            Ok(floor) => floor,
            Err(never) => match never {},
        }
    }

    /// What this client was shown at each commitment, in the order of [`Commitment::ALL`].
    pub(super) fn shown(&self, client: ClientKey, at: FloorTime) -> [Heads; 3] {
        Commitment::ALL.map(|commitment| {
            let floor = self.clients.get(&(client, commitment));
            floor.map_or_else(Heads::default, |floor| floor.heads(at))
        })
    }

    /// A client is notified of the state at a slot, which remains shown for the given time from then
    /// on. What a commitment has reached, weaker ones have.
    pub fn notified(
        &self,
        client: ClientKey,
        commitment: Commitment,
        slot: Slot,
        (now, ttl): (Instant, Duration),
    ) {
        let at = self.moment(now, ttl);
        let reached = Commitment::ALL.into_iter();
        for commitment in reached.filter(|weaker| *weaker <= commitment) {
            let floor = self.of(client, commitment);
            floor.raise(HeadCounter::Slot, slot.0, at);
        }
    }

    /// The moment `now`; numbers shown longer than `ttl` ago have expired.
    pub(super) fn moment(&self, now: Instant, ttl: Duration) -> FloorTime {
        let passed = now.saturating_duration_since(self.start);
        FloorTime {
            now: milliseconds(passed),
            ttl: milliseconds(ttl),
        }
    }

    /// Forgets all floors. Calls in flight no longer raise them.
    pub fn forget(&self) {
        self.clients.clear();
        self.bounds.forget();
    }
}

impl Floor {
    /// The greatest number this client was shown, unless that is too long ago.
    pub(super) fn get(&self, head: HeadCounter, at: FloorTime) -> Option<u64> {
        let number = self.0.get(head as usize)?;
        let value = number.value.load(Ordering::Acquire);
        (value > 0 && !number.faded(at)).then_some(value)
    }

    /// All of them.
    pub(super) fn heads(&self, at: FloorTime) -> Heads {
        let mut heads = Heads::default();
        for head in HeadCounter::ALL {
            heads.set(head, self.get(head, at));
        }
        heads
    }

    /// Records that the client is shown `told`. Only a greater number counts: repeating a number
    /// does not prolong a floor.
    pub(super) fn raise(&self, head: HeadCounter, told: u64, at: FloorTime) {
        let Some(number) = self.0.get(head as usize) else {
            return;
        };
        let mut known = number.value.load(Ordering::Acquire);
        // A greater number recorded concurrently stays.
        while told > known || number.faded(at) {
            // The time is stored first, so that the new number is never taken for an expired one.
            number.raised.store(at.now, Ordering::Release);
            let swapped =
                number
                    .value
                    .compare_exchange(known, told, Ordering::AcqRel, Ordering::Acquire);
            match swapped {
                Ok(_) => return,
                Err(other) => known = other,
            }
        }
    }
}

impl FloorValue {
    fn faded(&self, at: FloorTime) -> bool {
        at.now.saturating_sub(self.raised.load(Ordering::Acquire)) >= at.ttl
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_mins(1);

    fn told(
        floors: &Floors,
        client: ClientKey,
        head: HeadCounter,
        commitment: Commitment,
    ) -> Option<u64> {
        let at = floors.moment(Instant::now(), TTL);
        floors.of(client, commitment).get(head, at)
    }

    #[tokio::test(start_paused = true)]
    async fn a_floor_belongs_to_one_client_number_and_commitment() {
        let floors = Floors::new(16);
        let at = floors.moment(Instant::now(), TTL);
        let client = floors.of(7, Commitment::Confirmed);
        client.raise(HeadCounter::Slot, 100, at);
        client.raise(HeadCounter::Slot, 99, at);
        let get = |client, head, commitment| told(&floors, client, head, commitment);
        assert_eq!(get(7, HeadCounter::Slot, Commitment::Confirmed), Some(100));
        assert_eq!(get(8, HeadCounter::Slot, Commitment::Confirmed), None);
        assert_eq!(
            get(7, HeadCounter::BlockHeight, Commitment::Confirmed),
            None
        );
        assert_eq!(get(7, HeadCounter::Slot, Commitment::Finalized), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_floor_fades_so_that_a_restarted_test_cluster_is_not_shut_out() {
        let floors = Floors::new(16);
        let at = |later| floors.moment(Instant::now() + later, TTL);
        let client = floors.of(7, Commitment::Processed);
        client.raise(HeadCounter::Slot, 100, at(Duration::ZERO));
        client.raise(HeadCounter::Slot, 100, at(TTL / 2));
        assert_eq!(client.get(HeadCounter::Slot, at(TTL / 2)), Some(100));
        assert_eq!(client.get(HeadCounter::Slot, at(TTL)), None);
        client.raise(HeadCounter::Slot, 7, at(TTL));
        assert_eq!(client.get(HeadCounter::Slot, at(TTL * 3 / 2)), Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_commitment_was_notified_to_have_reached_weaker_ones_have() {
        let floors = Floors::new(16);
        let now = Instant::now();
        floors.notified(7, Commitment::Confirmed, Slot(100), (now, TTL));
        floors.notified(7, Commitment::Processed, Slot(99), (now, TTL));
        floors.notified(7, Commitment::Finalized, Slot(70), (now, TTL));
        let at = floors.moment(now, TTL);
        let shown = floors.shown(7, at).map(|heads| heads.slot());
        assert_eq!(shown, [Some(Slot(100)), Some(Slot(100)), Some(Slot(70))]);
        assert_eq!(floors.shown(8, at), [Heads::default(); 3]);
    }

    #[test]
    fn of_numbers_told_at_once_the_greatest_stays() {
        let floors = Floors::new(16);
        let at = floors.moment(Instant::now(), TTL);
        std::thread::scope(|scope| {
            for offset in 0..4_u64 {
                let floors = &floors;
                scope.spawn(move || {
                    for step in 0..2_000 {
                        let client = floors.of(7, Commitment::Processed);
                        let told = step * 4 + offset + 1;
                        client.raise(HeadCounter::Slot, told, at);
                        assert!(client.get(HeadCounter::Slot, at) >= Some(told));
                    }
                });
            }
        });
        let known = floors
            .of(7, Commitment::Processed)
            .get(HeadCounter::Slot, at);
        assert_eq!(known, Some(8_000));
    }

    #[test]
    fn a_crowd_does_not_fill_the_memory_and_all_can_be_forgotten() {
        let floors = Floors::new(100);
        let at = floors.moment(Instant::now(), TTL);
        for client in 0..10_000 {
            let floor = floors.of(client, Commitment::Processed);
            floor.raise(HeadCounter::Slot, 5, at);
        }
        assert!(floors.clients.len() <= 200, "{}", floors.clients.len());
        let last = floors.of(9_999, Commitment::Processed);
        assert_eq!(last.get(HeadCounter::Slot, at), Some(5));
        floors.forget();
        assert_eq!(
            floors
                .of(9_999, Commitment::Processed)
                .get(HeadCounter::Slot, at),
            None
        );
    }
}
