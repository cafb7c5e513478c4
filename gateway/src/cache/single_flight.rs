//! Identical calls in flight: the first leads, the others follow and get its outcome.
//!
//! ```text
//! join ─┬─ nobody there ──▶ Leader ──┬─ settle ──▶ its followers get the outcome
//!       │                            └─ dropped ─▶ its followers join again; the first of them leads
//!       └─ in flight ─────▶ Follower ── wait ──▶ FollowerOutcome
//! ```
//!
//! A call that began too long ago is no longer followed: its answer would be out of date for new
//! callers. A new call takes its place, and the old one continues for its followers.
//!
//! Either side may be cancelled at any moment. A leader leaves its place before it reports its
//! outcome, so whoever joins from then on leads a call of its own: no caller gets an answer to a
//! call that ended before it joined, and none waits for a call that is over.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use perijove_core::Slot;
use tokio::sync::Notify;

use super::CacheKey;
use super::key::ByKey;
use crate::limit::Urgency;
use crate::solana::Priority;

#[cfg(test)]
mod tests;

/// Calls whose keys fall into the same shard share nothing but its lock.
const SHARDS: usize = 64;

/// The calls in flight, each with its followers. `T` is the outcome.
#[derive(Debug)]
pub struct SingleFlight<T> {
    /// Shared with the leaders one by one, so that they do not contend for one counter.
    shards: [Arc<FlightShard<T>>; SHARDS],
}

type FlightShard<T> = Mutex<HashMap<CacheKey, Arc<InFlightCall<T>>, ByKey>>;

/// One call in flight.
#[derive(Debug)]
struct InFlightCall<T> {
    /// The slot in which it began.
    begun: Slot,
    told: OnceLock<FollowerOutcome<T>>,
    landed: Notify,
    /// Raised by those that follow.
    urgency: Arc<Urgency>,
}

/// What a caller that joined has to do.
#[derive(Debug)]
pub enum FlightRole<T> {
    /// Make the call.
    Lead(Leader<T>),
    /// Wait for it.
    Follow(Follower<T>),
}

/// What followers get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowerOutcome<T> {
    /// How the call ended.
    Settled(T),
    /// It was given up; join again.
    HandedOver,
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Arc::default()),
        }
    }
}

impl<T> SingleFlight<T> {
    /// Joins the call of this key, whenever it began.
    pub fn join(&self, key: CacheKey) -> FlightRole<T> {
        self.join_within(key, Slot(0), u64::MAX)
    }

    /// Joins the call of this key if it began less than `slots` slots before `now`.
    pub fn join_within(&self, key: CacheKey, now: Slot, slots: u64) -> FlightRole<T> {
        let shard = self.shard(key);
        let mut under_way = shard.lock();
        if let Some(flight) = under_way.get(&key)
            && flight.begun.lag_behind(now) < slots
        {
            return FlightRole::Follow(Follower {
                flight: Arc::clone(flight),
            });
        }
        let flight = Arc::new(InFlightCall {
            begun: now,
            told: OnceLock::new(),
            landed: Notify::new(),
            urgency: Arc::default(),
        });
        let urgency = Arc::clone(&flight.urgency);
        under_way.insert(key, Arc::clone(&flight));
        FlightRole::Lead(Leader {
            key,
            shard: Arc::clone(shard),
            flight: Some(flight),
            urgency,
        })
    }

    fn shard(&self, key: CacheKey) -> &Arc<FlightShard<T>> {
        // Other bits than those by which the tables are indexed.
        let [first, ..] = key.to_bytes();
        let [shard, ..] = &self.shards;
        self.shards
            .get(usize::from(first) % SHARDS)
            .unwrap_or(shard)
    }
}

/// The role of the caller that makes the call. Dropping it hands the role to a follower.
#[derive(Debug)]
#[must_use = "followers wait for it to be settled"]
pub struct Leader<T> {
    key: CacheKey,
    shard: Arc<FlightShard<T>>,
    /// `None` once it has settled.
    flight: Option<Arc<InFlightCall<T>>>,
    urgency: Arc<Urgency>,
}

impl<T> Leader<T> {
    /// Whether anybody follows now. Somebody may still join until it is settled.
    #[cfg(test)]
    fn is_followed(&self) -> bool {
        let Some(flight) = &self.flight else {
            return false;
        };
        let under_way = self.shard.lock();
        let listed = under_way.get(&self.key);
        let listed = listed.is_some_and(|listed| Arc::ptr_eq(listed, flight));
        Arc::strong_count(flight) > 1 + usize::from(listed)
    }

    /// How urgent the call is to those that follow. It waits for nothing in a lower class.
    pub fn urgency(&self) -> &Arc<Urgency> {
        &self.urgency
    }

    /// Gives the followers the outcome. Costs next to nothing without any.
    pub fn settle(mut self, outcome: T) {
        self.land(FollowerOutcome::Settled(outcome));
    }

    fn land(&mut self, told: FollowerOutcome<T>) {
        let Some(flight) = self.flight.take() else {
            return;
        };
        // Nobody can join from here on; the value is freed after the lock is released.
        self.leave(&flight);
        if Arc::strong_count(&flight) > 1 {
            // It settles once.
            drop(flight.told.set(told));
            flight.landed.notify_waiters();
        }
    }

    /// Leaves its place, unless another call has taken it.
    fn leave(&self, flight: &Arc<InFlightCall<T>>) {
        if let Entry::Occupied(place) = self.shard.lock().entry(self.key)
            && Arc::ptr_eq(place.get(), flight)
        {
            drop(place.remove());
        }
    }
}

impl<T> Drop for Leader<T> {
    fn drop(&mut self) {
        self.land(FollowerOutcome::HandedOver);
    }
}

/// The role of a caller that waits. Dropping it affects nobody.
#[derive(Debug)]
#[must_use = "a dropped follower gets no outcome"]
pub struct Follower<T> {
    flight: Arc<InFlightCall<T>>,
}

impl<T> Follower<T> {
    /// Makes the call at least as urgent as a caller of this class needs it.
    pub fn needs(&self, class: Priority) {
        self.flight.urgency.raise(class);
    }
}

impl<T: Clone> Follower<T> {
    /// Waits until the call is settled or given up.
    pub async fn wait(self) -> FollowerOutcome<T> {
        loop {
            // Created before the check, so that an event in between wakes it up.
            let landed = self.flight.landed.notified();
            if let Some(told) = self.flight.told.get() {
                return told.clone();
            }
            landed.await;
        }
    }
}
