//! The combined view of all upstreams: the cluster's genesis hash and its newest slots, the *tip*.
//!
//! An upstream that was last observed a while ago has advanced since
//! ([`crate::upstream::health::slot_position`]): the tip advances between two observations of the upstream
//! that makes it, and is not left to one that is behind but is observed more often.
//!
//! The tip must not be made by a single wrong upstream. Upstreams of another cluster, with
//! impossible numbers or with a slot that does not move are ignored. A sudden jump of one upstream
//! counts only when it is confirmed, and not against two others that agree (see
//! [`crate::upstream::health::credibility`]). Of two upstreams that differ from the beginning, the
//! one ahead counts: nothing distinguishes this from a second one that is late.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use crate::config;
use crate::upstream::health::block_heights::BlockHeights;
use crate::upstream::health::clock::{SlotClock, SlotEstimate, at_least_stronger};
use crate::upstream::health::credibility::highest;
use crate::upstream::health::possible_slots::highest_possible;
use crate::upstream::health::slot_look::PeerSlots;
use crate::upstream::health::slot_position::{FURTHEST, SlotPace};
use crate::upstream::health::survey::{Survey, agreed};
use crate::upstream::health::tracker::{Health, HeightCheck};
use crate::upstream::state::endpoint_state::EndpointState;

#[cfg(test)]
mod tests;

/// The next generation. One counter for the process, so that no two clusters, before and after a
/// reload, have the same.
static GENERATIONS: AtomicU64 = AtomicU64::new(0);

/// The genesis hash that the upstreams' own reports made the cluster's.
#[derive(Debug)]
struct LearnedGenesis {
    hash: String,
    /// More than half of the upstreams had it: from then on no majority counts but all of them.
    settled: bool,
    /// It was logged that the upstreams disagree.
    disputed: bool,
}

/// All upstreams as one cluster.
pub(in crate::upstream) struct ObservedCluster {
    pub(in crate::upstream) rule: config::GenesisRule,
    slot_time: Duration,
    pub(in crate::upstream) clock: SlotClock,
    members: ArcSwap<Vec<Arc<EndpointState>>>,
    /// With the rule `auto`: the genesis hash of the reference, or of the majority.
    learned: Mutex<Option<LearnedGenesis>>,
    /// The active genesis hash, for readers on every call.
    genesis: ArcSwapOption<String>,
    /// What upstreams have shown of the blocks so far.
    pub(in crate::upstream) heights: BlockHeights,
    /// Whether some upstream's block height is below its slot: slots are skipped here, as on
    /// every real cluster. On a fresh test validator the two may be equal.
    skips_slots: AtomicBool,
    generation: AtomicU64,
    /// The cluster's speed, as bits of a [`SlotPace`].
    pace: AtomicU64,
}

impl ObservedCluster {
    pub(in crate::upstream) fn new(settings: &config::Cluster) -> Arc<Self> {
        Arc::new(Self {
            rule: settings.genesis.clone(),
            slot_time: settings.slot_time,
            clock: SlotClock::default(),
            members: ArcSwap::default(),
            learned: Mutex::default(),
            genesis: ArcSwapOption::from_pointee(match &settings.genesis {
                config::GenesisRule::Hash(hash) => Some(hash.clone()),
                config::GenesisRule::Auto => None,
            }),
            heights: BlockHeights::default(),
            skips_slots: AtomicBool::new(false),
            generation: AtomicU64::new(next_generation()),
            pace: AtomicU64::new(SlotPace::of(settings.slot_time).percent(90).bits()),
        })
    }

    pub(in crate::upstream) fn is(&self, settings: &config::Cluster) -> bool {
        self.rule == settings.genesis && self.slot_time == settings.slot_time
    }

    /// Sets the upstreams. The first is the reference for the genesis hash, unless more than half
    /// of them agree on another.
    pub(in crate::upstream) fn replace(&self, members: Vec<Arc<EndpointState>>) {
        self.members.store(Arc::new(members));
    }

    /// Changes whenever an upstream was found to belong to another cluster, and whenever the
    /// cluster's own genesis hash changes: earlier answers may be about another chain. It never
    /// decreases.
    pub(in crate::upstream) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// An upstream that counted until now belongs to another cluster: from now on only the others
    /// count.
    pub(in crate::upstream) fn disown(&self, now: Instant) {
        self.clock.reset();
        self.tick(now);
        self.begin_generation();
    }

    fn begin_generation(&self) {
        self.generation.store(next_generation(), Ordering::Release);
    }

    /// The required genesis hash, once it is known.
    pub(in crate::upstream) fn genesis(&self) -> Option<Arc<String>> {
        self.genesis.load_full()
    }

    /// An upstream reported its genesis hash. Returns whether the cluster's hash changed, so that
    /// all must be checked again.
    pub(in crate::upstream) fn heard_genesis(&self, from: &EndpointState, hash: &str) -> bool {
        from.set_genesis(hash.to_owned());
        if self.rule != config::GenesisRule::Auto {
            return false;
        }
        let members = self.members.load();
        let is_reference = members.first().is_some_and(|first| first.id() == from.id());
        let reported: Vec<_> = members.iter().filter_map(|one| one.genesis()).collect();
        let votes = reported.iter().filter(|other| *other == hash).count();
        let majority = votes * 2 > members.len();
        let mut learned = self.learned.lock();
        let adopt = match learned.as_mut() {
            Some(known) if known.hash == hash => {
                known.settled |= majority;
                false
            }
            None => is_reference || majority || self.agree_without_reference(hash),
            // A test cluster that was restarted: no upstream is left on the old one.
            Some(_) if votes == reported.len() => true,
            Some(known) => {
                let undecided = !known.settled && !majority && reported.len() == members.len();
                if undecided && !std::mem::replace(&mut known.disputed, true) {
                    tell_dispute(&known.hash, hash);
                }
                majority && !known.settled
            }
        };
        if adopt {
            if let Some(before) = learned.as_ref() {
                let before = before.hash.as_str();
                tracing::warn!(before, now = hash, "genesis hash changed on most upstreams");
                // The slots of another cluster mean nothing.
                self.clock.reset();
                self.begin_generation();
            }
            *learned = Some(LearnedGenesis {
                hash: hash.to_owned(),
                settled: majority,
                disputed: false,
            });
            self.genesis.store(Some(Arc::new(hash.to_owned())));
        }
        adopt
    }

    /// Whether the reference does not answer, and all that do report this hash.
    fn agree_without_reference(&self, hash: &str) -> bool {
        let members = self.members.load();
        let silent = members
            .first()
            .is_some_and(|first| first.health() == Health::Failing);
        let others = || members.iter().filter_map(|member| member.genesis());
        silent && others().next().is_some() && others().all(|other| other == hash)
    }

    /// Adopts what all others agree on while the reference does not answer at all: without a hash,
    /// nothing could be kept.
    fn learn_without_reference(&self) {
        let members = self.members.load();
        if let Some(hash) = members.iter().find_map(|member| member.genesis())
            && self.agree_without_reference(&hash)
        {
            let mut learned = self.learned.lock();
            if learned.is_none() {
                tracing::info!(
                    hash,
                    "first upstream unreachable; using the genesis hash that the others agree on"
                );
                *learned = Some(LearnedGenesis {
                    hash: hash.clone(),
                    settled: false,
                    disputed: false,
                });
                self.genesis.store(Some(Arc::new(hash)));
            }
        }
    }

    /// Whether an upstream is known to belong to another cluster.
    pub(in crate::upstream) fn is_wrong(&self, live: &EndpointState) -> bool {
        match (self.genesis(), live.genesis()) {
            (Some(expected), Some(hash)) => *expected != hash,
            _ => false,
        }
    }

    /// How an upstream differs from this cluster, as text.
    pub(in crate::upstream) fn difference(&self, live: &EndpointState) -> Option<String> {
        let (expected, own) = (self.genesis()?, live.genesis()?);
        (*expected != own)
            .then(|| format!("its genesis hash is {own}, the cluster's is {expected}"))
    }

    pub(in crate::upstream) fn members(&self) -> Arc<Vec<Arc<EndpointState>>> {
        self.members.load_full()
    }

    /// Whether this cluster cannot have reached a slot by now, in milliseconds since 1970.
    pub(in crate::upstream) fn is_impossible(&self, slot: Slot, now: u64) -> bool {
        let genesis = self.genesis.load();
        let genesis = genesis.as_deref().map(String::as_str);
        highest_possible(genesis, self.slot_time, now).is_some_and(|highest| slot > highest)
    }

    /// Compares a block height with the slot that was requested after it.
    pub(in crate::upstream) fn check_height(&self, height: u64, slot: Slot) -> HeightCheck {
        if height < slot.0 {
            self.skips_slots.store(true, Ordering::Relaxed);
        }
        if height > slot.0 || (height == slot.0 && self.skips_slots.load(Ordering::Relaxed)) {
            HeightCheck::Implausible
        } else {
            HeightCheck::Plausible
        }
    }

    /// An upstream was observed: the clock learns where the cluster is.
    pub(in crate::upstream) fn tick(&self, at: Instant) {
        if self.rule == config::GenesisRule::Auto && self.genesis.load().is_none() {
            self.learn_without_reference();
        }
        let survey = self.survey(None, at);
        for lonely in survey.lonely(&self.members.load(), at) {
            // The next look settles who is right, which may be half a minute away.
            lonely.look_soon.notify_one();
        }
        self.pace.store(survey.pace.bits(), Ordering::Relaxed);
        let heads = match survey.heads {
            // No upstream advances: neither does the clock.
            [None, None, None] => survey
                .stopped
                .map(|slot| slot.map(|slot| SlotEstimate::standing(slot, at))),
            heads => heads,
        };
        self.clock.set(heads, survey.seen, at);
    }

    /// The assumed speed of the cluster where an upstream's own is not known.
    pub(in crate::upstream) fn pace(&self) -> SlotPace {
        SlotPace::from_bits(self.pace.load(Ordering::Relaxed))
    }

    /// The configured speed.
    pub(in crate::upstream) fn usual_pace(&self) -> SlotPace {
        SlotPace::of(self.slot_time)
    }

    /// Where the cluster probably is at a commitment; `None` while no upstream has reported a slot.
    pub(in crate::upstream) fn tip(&self, commitment: Commitment, now: Instant) -> Option<Slot> {
        self.clock.view(now)?.expected(commitment)
    }

    /// Whether another upstream that knows the tip has shown a slot at this commitment within a
    /// minute. Where there is no other, this one is believed.
    pub(in crate::upstream) fn is_witnessed(
        &self,
        commitment: Commitment,
        of: &str,
        now: Instant,
    ) -> bool {
        let members = self.members.load();
        let mut others = members.iter().filter(|live| live.id() != of).peekable();
        let seen_lately = |live: &Arc<EndpointState>| {
            let seen = live.stand().seen(commitment);
            let lately = |at| now.saturating_duration_since(at) < FURTHEST;
            live.health().knows_the_tip() && seen.is_some_and(|seen| lately(seen.at))
        };
        others.peek().is_none() || others.any(seen_lately)
    }

    /// The combined view of all upstreams but this one.
    pub(in crate::upstream) fn peers(&self, of: &str, now: Instant) -> PeerSlots {
        let survey = self.survey(Some(of), now);
        let heads = survey.heads.map(|head| head.map(|head| head.estimate(now)));
        let members = self.members.load();
        let agreed = Commitment::ALL
            .into_iter()
            .any(|level| agreed(level, &members, of, now, (survey.pace, survey.usual)).is_some());
        PeerSlots {
            heads: at_least_stronger(heads),
            highest: highest(survey.believed),
            settled: highest(survey.settled),
            agreed,
            stopped: at_least_stronger(survey.stopped),
            moves: survey
                .heads
                .iter()
                .flatten()
                .map(SlotEstimate::pace)
                .max()
                .unwrap_or(SlotPace::NONE),
            usual: self.usual_pace(),
        }
    }

    fn survey(&self, except: Option<&str>, now: Instant) -> Survey {
        let members = self.members.load();
        let paces = |counts: fn(Health) -> bool| {
            let those = members.iter().filter(|live| counts(live.health()));
            // One may be catching up. Estimates should rather be too low.
            let usual = self.usual_pace();
            let paces = those.filter_map(|live| live.stand().pace());
            paces.map(|pace| pace.min(usual)).max()
        };
        let pace = paces(|health| health == Health::Healthy)
            .or_else(|| paces(Health::knows_the_tip))
            .unwrap_or_else(|| SlotPace::of(self.slot_time).percent(90));
        let mut survey = Survey::new(pace, self.usual_pace());
        for level in Commitment::ALL {
            survey.take_in(level, &members, except, now);
        }
        survey
    }
}

fn tell_dispute(adopted: &str, other: &str) {
    tracing::error!(
        adopted,
        other,
        "upstreams belong to different clusters, and no hash has a majority; that of the first \
         upstream is used: set cluster.genesis to the right one"
    );
}

fn next_generation() -> u64 {
    GENERATIONS.fetch_add(1, Ordering::AcqRel)
}
