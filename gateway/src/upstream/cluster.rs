//! What the upstreams say together: the cluster's genesis hash and its newest slots, the *tip*.
//!
//! The tip must not be made by one upstream that is wrong. Upstreams on another cluster, with
//! impossible numbers or with a slot that does not move have no say. A sudden jump of one
//! upstream is not believed before it is confirmed (see [`crate::upstream::tracker`]), and among
//! three or more the leader counts only as far as the second is near. With two, a leader that
//! moves and passes all checks is believed: nothing tells it from a second that is late.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use crate::config;
use crate::upstream::clock::SlotClock;
use crate::upstream::live::{Live, estimate};
use crate::upstream::tracker::{Health, HeightCheck};

#[cfg(test)]
mod tests;

/// Slots as old as this say where the cluster is without an estimate.
const FRESH: Duration = Duration::from_secs(2);
/// Among three or more, a leader further ahead than this of the second is not believed.
const LONELY_LEAD: u64 = 1000;

/// The next [`Cluster::generation`]. One for the process, so that no two clusters, of before and
/// after a reload, have the same.
static GENERATIONS: AtomicU64 = AtomicU64::new(0);

/// All upstreams as one cluster.
pub(super) struct Cluster {
    pub(super) rule: config::GenesisRule,
    slot_time: Duration,
    pub(super) clock: SlotClock,
    members: ArcSwap<Vec<Arc<Live>>>,
    /// With the rule `auto`: what the reference said.
    learned: Mutex<Option<String>>,
    /// The genesis hash in force, for those who ask with every call.
    genesis: ArcSwapOption<String>,
    /// Whether some upstream's block height is below its slot: slots are skipped here, as on
    /// every real cluster. On a fresh test validator the two may be equal.
    skips_slots: AtomicBool,
    generation: AtomicU64,
}

impl Cluster {
    pub(super) fn new(settings: &config::Cluster) -> Arc<Self> {
        Arc::new(Self {
            rule: settings.genesis.clone(),
            slot_time: settings.slot_time,
            clock: SlotClock::new(settings.slot_time),
            members: ArcSwap::default(),
            learned: Mutex::default(),
            genesis: ArcSwapOption::from_pointee(match &settings.genesis {
                config::GenesisRule::Hash(hash) => Some(hash.clone()),
                config::GenesisRule::Auto => None,
            }),
            skips_slots: AtomicBool::new(false),
            generation: AtomicU64::new(next_generation()),
        })
    }

    pub(super) fn is(&self, settings: &config::Cluster) -> bool {
        self.rule == settings.genesis && self.slot_time == settings.slot_time
    }

    /// The upstreams from now on. The first is the reference for the genesis hash.
    pub(super) fn replace(&self, members: Vec<Arc<Live>>) {
        self.members.store(Arc::new(members));
    }

    /// Another number whenever an upstream has proved to belong to another cluster, and whenever
    /// the cluster's own genesis hash changes: what upstreams said before may be about another
    /// chain. It never decreases.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// An upstream that was believed until now belongs elsewhere: where the cluster is, the others
    /// alone say.
    pub(super) fn disown(&self, now: Instant) {
        self.clock.reset();
        for commitment in Commitment::ALL {
            let tip = self.tip(commitment, None, now);
            self.clock.set(commitment, tip, None, now);
        }
        self.begin_generation();
    }

    fn begin_generation(&self) {
        self.generation.store(next_generation(), Ordering::Release);
    }

    /// The genesis hash the upstreams must have, once it is known.
    pub(super) fn genesis(&self) -> Option<Arc<String>> {
        self.genesis.load_full()
    }

    /// An upstream named its genesis hash. Returns whether what the cluster's hash is changed,
    /// so that all must be looked at again.
    pub(super) fn heard_genesis(&self, from: &Live, hash: &str) -> bool {
        from.set_genesis(hash.to_owned());
        if self.rule != config::GenesisRule::Auto {
            return false;
        }
        let members = self.members.load();
        let is_reference = members.first().is_some_and(|first| first.id() == from.id());
        let mut learned = self.learned.lock();
        let adopt = match learned.as_deref() {
            Some(known) if known == hash => false,
            None => is_reference || self.agree_without_reference(hash),
            // A test cluster that was started anew: nobody is left on the old one.
            Some(_) => members
                .iter()
                .filter_map(|member| member.genesis())
                .all(|other| other == hash),
        };
        if adopt {
            if let Some(before) = learned.as_deref() {
                tracing::warn!(
                    before,
                    now = hash,
                    "all upstreams have another genesis hash"
                );
            }
            // The slots of another cluster mean nothing.
            if learned.is_some() {
                self.clock.reset();
                self.begin_generation();
            }
            *learned = Some(hash.to_owned());
            self.genesis.store(Some(Arc::new(hash.to_owned())));
        }
        adopt
    }

    /// Whether the reference does not answer, and all that do say this.
    fn agree_without_reference(&self, hash: &str) -> bool {
        let members = self.members.load();
        let silent = members
            .first()
            .is_some_and(|first| first.health() == Health::Failing);
        let others = || members.iter().filter_map(|member| member.genesis());
        silent && others().next().is_some() && others().all(|other| other == hash)
    }

    /// What all others agree on while the reference does not answer at all: without it, nothing
    /// could be kept.
    fn learn_without_reference(&self) {
        let members = self.members.load();
        if let Some(hash) = members.iter().find_map(|member| member.genesis())
            && self.agree_without_reference(&hash)
        {
            let mut learned = self.learned.lock();
            if learned.is_none() {
                tracing::info!(
                    hash,
                    "the first upstream does not answer; the others agree on the genesis hash"
                );
                *learned = Some(hash.clone());
                self.genesis.store(Some(Arc::new(hash)));
            }
        }
    }

    /// Whether an upstream is known to belong to another cluster.
    pub(super) fn is_wrong(&self, live: &Live) -> bool {
        match (self.genesis(), live.genesis()) {
            (Some(expected), Some(hash)) => *expected != hash,
            _ => false,
        }
    }

    pub(super) fn members(&self) -> Arc<Vec<Arc<Live>>> {
        self.members.load_full()
    }

    /// Holds a block height against the slot that was asked for after it.
    pub(super) fn check_height(&self, height: u64, slot: Slot) -> HeightCheck {
        if height < slot.0 {
            self.skips_slots.store(true, Ordering::Relaxed);
        }
        if height > slot.0 || (height == slot.0 && self.skips_slots.load(Ordering::Relaxed)) {
            HeightCheck::Implausible
        } else {
            HeightCheck::Plausible
        }
    }

    /// An upstream was seen at a slot: the clock learns where the cluster is.
    pub(super) fn tick(&self, commitment: Commitment, seen: Slot, at: Instant) {
        if self.rule == config::GenesisRule::Auto && self.genesis.load().is_none() {
            self.learn_without_reference();
        }
        let tip = self.tip(commitment, None, at);
        self.clock.set(commitment, tip, Some(seen), at);
    }

    /// The newest slot at a commitment; None while no upstream has named one. `except` leaves out
    /// an upstream that is compared with the others.
    pub(super) fn tip(
        &self,
        commitment: Commitment,
        except: Option<&str>,
        now: Instant,
    ) -> Option<Slot> {
        let members = self.members.load();
        let seen = || {
            members
                .iter()
                .filter(|live| Some(live.id()) != except && live.health().knows_the_tip())
                .filter_map(|live| live.seen(commitment, now))
        };
        // Estimates only where nobody was asked lately: they are as wrong as the slot time is.
        let fresh = seen().any(|(_, age)| age <= FRESH);
        let (mut first, mut second, mut count) = (None, None, 0);
        for (slot, age) in seen() {
            let slot = if fresh {
                slot
            } else {
                estimate(slot, age, self.slot_time)
            };
            count += 1;
            if Some(slot) > first {
                (first, second) = (Some(slot), first);
            } else {
                second = second.max(Some(slot));
            }
        }
        match (first, second) {
            (Some(first), Some(second)) if count >= 3 && second.lag_behind(first) > LONELY_LEAD => {
                Some(second)
            }
            (first, _) => first,
        }
    }
}

fn next_generation() -> u64 {
    GENERATIONS.fetch_add(1, Ordering::AcqRel)
}
