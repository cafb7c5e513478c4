//! Probes an upstream, over the same client as calls.
//!
//! Every round asks for the slot. Slowly changing facts (genesis hash, epoch, block height,
//! received shreds, `getHealth`) are requested at the start and every few rounds. Live answers
//! count as probes: if they brought new slots, up to [`MOST_SKIPPED`] rounds are skipped. While a
//! subscription reports each slot, only the stronger commitments are requested, in turns. A metered
//! upstream is asked for one slot only, through one of its addresses, and not at all while it is
//! held off. So is one whose budget all the probes would use a noticeable part of; if even that is
//! too much, its rounds become rarer (see [`pace`]).
//!
//! A round is judged once, when it is over. It is good if it brought a slot and, where the genesis
//! hash is configured, if the upstream has shown it: a node that answers anything else, refuses, or
//! does not say which cluster it belongs to has failed the probe.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use crate::config;
use crate::solana;
use crate::upstream::health::tracker::{Health, HeightCheck, Tracker};
use crate::upstream::state::endpoint_state::EndpointState;
use crate::upstream::state::member::Member;

mod ask;
mod away;
mod lane;
mod memory;
mod pace;
mod plan;
mod recheck;
mod result;
mod round;
#[cfg(test)]
mod tests;
mod turns;

use lane::ProbeLane;
use memory::{AddressMemory, ProbeMemory};
use plan::{ProbeCircumstances, ProbeQuestion, plan};
use result::{text, unsigned};
use round::{ProbeAnswer, ProbeRound, RoundVerdict};

/// Rounds that may be skipped in a row because live answers brought enough.
const MOST_SKIPPED: u32 = 4;

/// The probe of one upstream.
pub(in crate::upstream) struct Probe {
    member: Arc<Member>,
    memory: Mutex<ProbeMemory>,
}

impl Probe {
    pub(in crate::upstream) fn new(member: Arc<Member>) -> Self {
        Self {
            member,
            memory: Mutex::default(),
        }
    }

    pub(in crate::upstream) fn upstream(&self) -> &str {
        self.member.live.id()
    }

    /// One round at one address. Returns whether the address works.
    pub(in crate::upstream) async fn check(&self, address: SocketAddr) -> bool {
        let now = Instant::now();
        if let Some(good) = self.leave_out(address, now) {
            return good;
        }
        let (questions, lane) = self.begin(address);
        let mut round = ProbeRound::default();
        for question in questions {
            let started = Instant::now();
            let said = self.ask(question, address, &lane).await;
            if !self.learn(question, said, &mut round, started) {
                break;
            }
        }
        self.conclude(address, &round)
    }

    fn is_resting(&self, now: Instant) -> bool {
        let hold_off = self.member.live.hold_off.lock();
        hold_off.keeps_probes_away(ProbeQuestion::SLOT, now)
    }

    /// Whether the upstream has shown its genesis hash, or need not.
    fn is_proven(&self) -> bool {
        let Member { cluster, live, .. } = &*self.member;
        cluster.rule == config::GenesisRule::Auto || live.genesis().is_some()
    }

    fn begin(&self, address: SocketAddr) -> (Vec<ProbeQuestion>, ProbeLane) {
        let live = &self.member.live;
        let fresh = Commitment::ALL.map(|commitment| live.slot_feed.count(commitment));
        let unwell = live.is_unwell();
        let unproven = !self.is_proven();
        let fed = live.slot_feed.is_subscribed(Instant::now());
        let mut memory = self.memory.lock();
        let known = memory
            .rounds
            .entry(address)
            .or_insert_with(|| AddressMemory {
                lane: ProbeLane::new(&self.member),
                round: 0,
                skipped: 0,
                fresh,
                good: true,
                slots: [None; 3],
            });
        let mut told = [false; 3];
        for ((told, fresh), before) in told.iter_mut().zip(&fresh).zip(&known.fresh) {
            *told = fresh != before;
        }
        let questions = plan(&ProbeCircumstances {
            round: known.round,
            sparing: self.is_sparing(),
            unwell,
            unproven,
            told,
            fed,
            may_skip: known.skipped < MOST_SKIPPED,
            failed: !known.good,
        });
        known.skipped = if told.contains(&true) && known.skipped < MOST_SKIPPED {
            known.skipped + 1
        } else {
            0
        };
        known.fresh = fresh;
        known.round += 1;
        (questions, known.lane.clone())
    }

    /// Adds an answer to the round. `false`: further questions are pointless.
    fn learn(
        &self,
        question: ProbeQuestion,
        said: ProbeAnswer,
        round: &mut ProbeRound,
        started: Instant,
    ) -> bool {
        let ProbeAnswer::Result(result) = &said else {
            return round.without(question, said);
        };
        let number = unsigned(result);
        match (question, number) {
            (ProbeQuestion::Slot(commitment), Some(slot)) => {
                round.slot(commitment, Slot(slot), started);
            }
            (ProbeQuestion::BlockHeight, _) => round.height = number,
            (ProbeQuestion::ReceivedShred, _) => round.shred = number.map(Slot),
            (ProbeQuestion::Epoch, _) => {
                if let Some(epoch) = solana::epoch_slots(result)
                    && self.member.live.health().knows_the_tip()
                {
                    let clock = &self.member.cluster.clock;
                    clock.epoch(*epoch.start(), *epoch.end());
                }
            }
            (ProbeQuestion::LedgerStart, _) => {
                if let Some(slot) = number.map(Slot) {
                    self.member.live.ledger_starts(slot);
                }
            }
            (ProbeQuestion::FirstBlock, _) => {
                if let Some(slot) = number.map(Slot) {
                    self.member.live.history_begins(slot);
                }
            }
            (ProbeQuestion::Genesis, _) => match text(result) {
                Some(hash) => round.vouched = self.heard_genesis(hash, started),
                None => return round.without(question, said),
            },
            (ProbeQuestion::Slot(_) | ProbeQuestion::Health, _) => {
                return round.without(question, said);
            }
        }
        true
    }

    /// Returns whether it is the cluster's genesis hash.
    fn heard_genesis(&self, hash: &str, now: Instant) -> bool {
        let Member {
            cluster,
            live,
            policy,
            ..
        } = &*self.member;
        let judge = |live: &EndpointState| {
            let wrong = cluster.is_wrong(live);
            let before = live.health();
            live.track(&policy.health, now, |tracker| {
                tracker.differs(cluster.difference(live));
                tracker.wrong_cluster(wrong);
            });
            if wrong && before != Health::WrongCluster {
                cluster.disown(now);
            }
            if !wrong && before == Health::WrongCluster {
                live.look_soon.notify_one();
            }
        };
        if cluster.heard_genesis(live, hash) {
            cluster.members().iter().for_each(|member| judge(member));
        }
        judge(live);
        cluster.genesis().is_some() && !cluster.is_wrong(live)
    }

    /// Judges a round. An upstream fails only when none of its addresses works. Returns whether
    /// this one does.
    fn conclude(&self, address: SocketAddr, round: &ProbeRound) -> bool {
        let worth = round.worth(self.is_proven());
        let (worked, any) = self.remember(address, &worth);
        let Member {
            live,
            policy,
            cluster,
            ..
        } = &*self.member;
        let limits = &policy.health;
        let height = round.height.zip(round.processed());
        let height = height.map(|(height, slot)| {
            let check = cluster.check_height(height, slot);
            if check == HeightCheck::Plausible {
                cluster.heights.told(live.id(), height);
            }
            check
        });
        let findings = |tracker: &mut Tracker| {
            match worth {
                RoundVerdict::Good => tracker.succeeded(limits),
                RoundVerdict::Bad(cause) if !any => tracker.failed(limits, cause),
                RoundVerdict::Closed(cause) if !any => tracker.refuses_all(cause),
                RoundVerdict::Withheld(cause) => tracker.withheld(cause),
                RoundVerdict::Bad(_) | RoundVerdict::Closed(_) | RoundVerdict::Nothing => {}
            }
            if let Some(check) = height {
                tracker.height(check);
            }
            if let Some(shred) = round.shred {
                tracker.received(shred);
            }
            if let Some(word) = round.word {
                tracker.says(word);
            }
        };
        match round.look() {
            Some(mut look) => {
                look.outrun = self.memory.lock().is_outrun(address, &look);
                self.member.judge(&look, findings);
                if worked {
                    self.member.try_calls_sooner(look.started, look.at);
                }
            }
            None => {
                live.track(limits, Instant::now(), findings);
            }
        }
        worked
    }

    /// Records whether an address works. Returns that, and whether any does.
    fn remember(&self, address: SocketAddr, worth: &RoundVerdict) -> (bool, bool) {
        let known = self.member.live.addresses.known();
        let mut memory = self.memory.lock();
        memory.rounds.retain(|address, _| known.contains(address));
        memory.turns.retain(&known);
        let mut worked = *worth == RoundVerdict::Good;
        if let Some(entry) = memory.rounds.get_mut(&address) {
            if matches!(worth, RoundVerdict::Nothing | RoundVerdict::Withheld(_)) {
                worked = entry.good;
            }
            entry.good = worked;
        }
        let any = memory.rounds.values().any(|entry| entry.good);
        (worked, any)
    }
}
