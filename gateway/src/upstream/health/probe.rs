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

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use crate::config;
use crate::limit::PermitRequest;
use crate::solana::{self, Class, FaultKind, Penalty, Priority, Verdict, classify, judge};
use crate::trace::span::{self, SpanPeer};
use crate::upstream::client::reply::{AttemptLimits, ReplyBody, UpstreamReply};
use crate::upstream::client::{ConnectionRoute, RequestCost, RpcRequest, UpstreamLine};
use crate::upstream::health::diagnosis::Diagnosis;
use crate::upstream::health::slot_look::SlotLook;
use crate::upstream::health::tracker::{Health, Tracker};
use crate::upstream::http1::connection::Http1Connections;
use crate::upstream::http2::Http2Pool;
use crate::upstream::state::endpoint_state::EndpointState;
use crate::upstream::state::member::Member;

mod away;
mod pace;
mod plan;
mod recheck;
mod round;
#[cfg(test)]
mod tests;
mod turns;

use plan::{ProbeCircumstances, ProbeQuestion, plan};
use round::{ProbeAnswer, ProbeRound, RoundVerdict};
use turns::AddressTurns;

/// Rounds that may be skipped in a row because live answers brought enough.
const MOST_SKIPPED: u32 = 4;
/// No answer to a probe is larger than this.
const ANSWER: usize = 16 * 1024;

/// The probe of one upstream.
pub(in crate::upstream) struct Probe {
    member: Arc<Member>,
    memory: Mutex<ProbeMemory>,
}

#[derive(Default)]
struct ProbeMemory {
    rounds: HashMap<SocketAddr, AddressMemory>,
    /// Whose turn it is where not all addresses are probed.
    turns: AddressTurns,
    /// Whether the log says that probes are rare.
    is_said_rare: bool,
}

struct AddressMemory {
    lane: ProbeLane,
    round: u64,
    skipped: u32,
    fresh: [u64; 3],
    good: bool,
    /// The last slots seen, in the order of [`Commitment::ALL`].
    slots: [Option<Slot>; 3],
}

impl ProbeMemory {
    /// Records the position of an address, and returns whether another working one is further
    /// ahead.
    fn is_outrun(&mut self, address: SocketAddr, look: &SlotLook) -> bool {
        if let Some(known) = self.rounds.get_mut(&address) {
            for (known, slot) in known.slots.iter_mut().zip(look.slots) {
                *known = slot.or(*known);
            }
        }
        let others = self.rounds.iter().filter(|(other, _)| **other != address);
        let ahead = |slots: &[Option<Slot>; 3]| {
            let pairs = slots.iter().zip(look.slots);
            pairs
                .filter_map(|(other, own)| Some(*other > Some(own?)))
                .any(|ahead| ahead)
        };
        others
            .filter(|(_, known)| known.good)
            .any(|(_, known)| ahead(&known.slots))
    }
}

/// Connections to one address for the probe only: it must work even when all connections of calls
/// are in use.
#[derive(Clone)]
struct ProbeLane {
    connections: Arc<Http1Connections>,
    http2: Option<Arc<Http2Pool>>,
}

impl ProbeLane {
    fn new(member: &Member) -> Self {
        let idle_timeout = member.settings.idle_timeout;
        let http2 = member.wire.endpoint.may_be_http2();
        Self {
            connections: Http1Connections::new(1, 1, idle_timeout),
            http2: http2.then(|| Http2Pool::new(1, 1, idle_timeout)),
        }
    }
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
        let fresh = Commitment::ALL.map(|commitment| live.freshness(commitment));
        let unwell = live.is_unwell();
        let unproven = !self.is_proven();
        let fed = live.is_fed(Instant::now());
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

    /// Its upstream, as spans name it.
    fn peer(&self) -> SpanPeer<'_> {
        let settings = &self.member.settings;
        SpanPeer {
            upstream: &settings.id,
            host: settings.url.host(),
            port: settings.url.port(),
        }
    }

    /// What one question may take.
    fn limits(&self) -> AttemptLimits {
        let timeout = self.member.settings.probe.timeout;
        let deadline = Instant::now() + timeout;
        AttemptLimits {
            deadline,
            queue: deadline,
            first_byte: timeout,
            progress: timeout,
            answer_buffer: ANSWER,
            replayable: true,
            ask: PermitRequest::own(Priority::Medium),
            headers: None,
        }
    }

    async fn ask(
        &self,
        question: ProbeQuestion,
        address: SocketAddr,
        lane: &ProbeLane,
    ) -> ProbeAnswer {
        let live = &self.member.live;
        let Some(charge) = live
            .budget
            .take_for_probe(question.method(), Instant::now())
        else {
            return ProbeAnswer::Unpaid;
        };
        let written = AtomicBool::new(false);
        let metrics = &live.metrics;
        let span = span::probe(self.peer(), question.method());
        let line = UpstreamLine {
            wire: &self.member.wire,
            connections: &lane.connections,
            http2: lane.http2.as_ref(),
            saturation: None,
            opened: &metrics.opened,
            connect_time: &metrics.connect_time,
            broken: &metrics.broken,
            written: Some(&written),
            cost: RequestCost::Of(&charge.budget),
        };
        let limits = self.limits();
        let mut timer = pin!(None);
        let request = RpcRequest::probe(question.body().into());
        let reply = line
            .call(
                &request,
                &limits,
                ConnectionRoute::Only(address),
                &mut timer,
            )
            .await;
        if !written.load(Ordering::Relaxed) {
            live.budget.refund_probe(&charge);
        }
        let class = classify(question.method(), Some(question.params().as_bytes()));
        let (said, outcome) = match reply {
            Ok(reply) => {
                metrics.probe_time.observe(reply.latency.as_secs_f64());
                span::ended(&span, Some(reply.status), None);
                self.understand(reply, question, &class)
            }
            Err(fault) => {
                let kind = fault.kind;
                span::ended(&span, None, Some(kind.label()));
                self.note(question, kind, None);
                (
                    ProbeAnswer::Unreachable(Diagnosis::of(kind, None)),
                    kind.label(),
                )
            }
        };
        metrics.probe(question.method(), outcome);
        said
    }

    /// Judges a reply like that to any call; penalties other than failures are applied.
    fn understand(
        &self,
        reply: UpstreamReply,
        question: ProbeQuestion,
        class: &Class,
    ) -> (ProbeAnswer, &'static str) {
        let ReplyBody::Complete(answer) = reply.body else {
            let kind = FaultKind::TooLarge;
            let diagnosis = Diagnosis::of(kind, Some(reply.status));
            return (ProbeAnswer::Nothing(diagnosis), kind.label());
        };
        let now = Instant::now();
        let verdict = judge(
            reply.status,
            &reply.hints,
            answer.as_ref(),
            class,
            self.member.clock.now(),
        );
        if let Some(verdict) = verdict {
            let label = verdict.kind.label();
            self.note(question, verdict.kind, Some(reply.status));
            return (self.weigh(&verdict, question, reply.status, now), label);
        }
        let result = answer
            .ok()
            .and_then(|answer| Some(answer.result()?.to_vec()));
        let Some(result) = result else {
            return (ProbeAnswer::Nothing("no result".into()), "good");
        };
        if matches!(question, ProbeQuestion::Slot(_)) && unsigned(&result).is_some() {
            self.answered(reply.latency, now);
        }
        (ProbeAnswer::Result(result), "good")
    }

    /// Keeps an error for the status page.
    fn note(&self, question: ProbeQuestion, kind: FaultKind, status: Option<u16>) {
        let mut errors = self.member.live.errors.lock();
        errors.note(question.method(), kind, status, Instant::now());
    }

    /// What is refused to the probe need not be refused to calls.
    fn weigh(
        &self,
        verdict: &Verdict,
        question: ProbeQuestion,
        status: u16,
        now: Instant,
    ) -> ProbeAnswer {
        let cause = || Diagnosis::of(verdict.kind, Some(status));
        match verdict.penalty {
            Penalty::Failure => ProbeAnswer::Nothing(cause()),
            Penalty::Lagging { .. } if question == ProbeQuestion::Health => ProbeAnswer::Unwell,
            Penalty::CloseMethod | Penalty::Lacks(_) | Penalty::Refusal | Penalty::None => {
                ProbeAnswer::Refused(cause())
            }
            Penalty::HoldOff { .. } | Penalty::KeyRefused { .. } | Penalty::Lagging { .. } => {
                let said = Some(status);
                let method = question.method();
                self.member.penalise(verdict, said, method, None, now);
                // A refused key, and an account without credits, is not a request to be held off
                // for a while.
                match verdict.penalty {
                    Penalty::KeyRefused { .. } => ProbeAnswer::Refused(cause()),
                    Penalty::HoldOff { credits: true, .. } => ProbeAnswer::Closed(cause()),
                    _ => ProbeAnswer::Rests,
                }
            }
        }
    }

    fn answered(&self, latency: Duration, now: Instant) {
        let Member { live, policy, .. } = &*self.member;
        live.score.probed(latency, now, &policy.selection);
        if !live.is_clear() {
            self.member.probed_well(latency, now);
        }
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
        let height = height.map(|(height, slot)| cluster.check_height(height, slot));
        let findings = |tracker: &mut Tracker| {
            match worth {
                RoundVerdict::Good => tracker.succeeded(limits),
                RoundVerdict::Bad(cause) if !any => tracker.failed(limits, cause),
                RoundVerdict::Closed(cause) if !any => tracker.refuses_all(cause),
                RoundVerdict::Bad(_) | RoundVerdict::Closed(_) | RoundVerdict::Nothing => {}
            }
            if let Some(check) = height {
                tracker.height(check);
            }
            if let Some(shred) = round.shred {
                tracker.received(shred);
            }
            if let Some(unwell) = round.unwell {
                tracker.says_unwell(unwell);
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
            if *worth == RoundVerdict::Nothing {
                worked = entry.good;
            }
            entry.good = worked;
        }
        let any = memory.rounds.values().any(|entry| entry.good);
        (worked, any)
    }
}

fn unsigned(result: &[u8]) -> Option<u64> {
    std::str::from_utf8(result).ok()?.trim().parse().ok()
}

/// A JSON string without escapes, as hashes are.
fn text(result: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(result).ok()?.trim();
    let text = text.strip_prefix('"')?.strip_suffix('"')?;
    (!text.contains(['"', '\\'])).then_some(text)
}
