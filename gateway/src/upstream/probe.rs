//! Asking an upstream how it is, over the same client as calls.
//!
//! Every round asks for the slot. What changes rarely (genesis hash, epoch, block height, received
//! shreds, `getHealth`) is asked at the start and every so many rounds. Live answers count as
//! probes: where they brought new slots, up to [`MOST_SKIPPED`] rounds are left out. A metered
//! upstream is asked for one slot only, through one of its addresses, and not at all while it
//! rests.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use crate::solana::{self, Class, FaultKind, Penalty, Verdict, classify, judge};
use crate::upstream::client::{Line, Route};
use crate::upstream::connection::Connections;
use crate::upstream::endpoint::Purpose;
use crate::upstream::http2::Http2;
use crate::upstream::member::Member;
use crate::upstream::reply::{AttemptLimits, Reply, ReplyBody};
use crate::upstream::tracker::{Health, Sighting, Source};

mod plan;
#[cfg(test)]
mod tests;

use plan::{Circumstances, Question, plan};

/// Rounds that may be left out in a row because live answers told enough.
const MOST_SKIPPED: u32 = 4;
/// No answer to a probe is larger than this.
const ANSWER: usize = 16 * 1024;

/// The answer to one question.
enum Said {
    /// The raw JSON of the result.
    Result(Vec<u8>),
    /// Reached, but it does not want to say.
    Refused,
    /// No usable answer.
    Nothing,
    /// No answer at all: there is no point in asking on.
    Unreachable,
}

/// The probe of one upstream.
pub(super) struct Probe {
    member: Arc<Member>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    rounds: HashMap<SocketAddr, AddressMemory>,
    /// Counts checks of a metered upstream, to take its addresses in turn.
    turn: usize,
}

struct AddressMemory {
    lane: Lane,
    round: u64,
    skipped: u32,
    fresh: [u64; 3],
    good: bool,
}

/// A way to one address for one caller: when all connections are in use it must still be seen how
/// the upstream is.
#[derive(Clone)]
struct Lane {
    connections: Arc<Connections>,
    http2: Option<Arc<Http2>>,
}

impl Lane {
    fn new(member: &Member) -> Self {
        let idle_timeout = member.settings.idle_timeout;
        let http2 = member.wire.endpoint.may_be_http2();
        Self {
            connections: Connections::new(1, 1, idle_timeout),
            http2: http2.then(|| Http2::new(1, 1, idle_timeout)),
        }
    }
}

impl Probe {
    pub(super) fn new(member: Arc<Member>) -> Self {
        Self {
            member,
            memory: Mutex::default(),
        }
    }

    pub(super) fn upstream(&self) -> &str {
        self.member.live.id()
    }

    /// One round at one address. Returns whether the address works.
    pub(super) async fn check(&self, address: SocketAddr) -> bool {
        let now = Instant::now();
        if let Some(good) = self.leave_out(address, now) {
            return good;
        }
        let (questions, lane) = self.begin(address);
        let mut worked = true;
        let mut height = None;
        for question in questions {
            let started = Instant::now();
            let said = self.ask(question, address, &lane).await;
            let essential = matches!(question, Question::Slot(_));
            match said {
                Said::Result(result) => self.learn(question, &result, &mut height, started),
                Said::Refused => self.refused(question),
                Said::Unreachable => {
                    worked = false;
                    break;
                }
                Said::Nothing if essential => worked = false,
                Said::Nothing => {}
            }
        }
        self.conclude(address, worked);
        worked
    }

    /// Whether this round is left out, and what is believed of the address then.
    fn leave_out(&self, address: SocketAddr, now: Instant) -> Option<bool> {
        if !self.member.settings.metered {
            return None;
        }
        let mut memory = self.memory.lock();
        let good = memory.rounds.get(&address).is_none_or(|known| known.good);
        let hold_off = self.member.live.hold_off.lock();
        let resting = hold_off.is_refused(Question::SLOT, now);
        drop(hold_off);
        if resting {
            return Some(good);
        }
        // The addresses of a metered upstream are looked at in turn, one per round.
        let addresses = self.member.live.addresses.known().len().max(1);
        let turn = memory.turn;
        memory.turn = turn.wrapping_add(1);
        let chosen = turn % addresses == (turn / addresses) % addresses;
        (!chosen).then_some(good)
    }

    fn begin(&self, address: SocketAddr) -> (Vec<Question>, Lane) {
        let live = &self.member.live;
        let fresh = Commitment::ALL.map(|commitment| live.freshness(commitment));
        let unwell = live.is_unwell();
        let mut memory = self.memory.lock();
        let known = memory
            .rounds
            .entry(address)
            .or_insert_with(|| AddressMemory {
                lane: Lane::new(&self.member),
                round: 0,
                skipped: 0,
                fresh,
                good: true,
            });
        let mut told = [false; 3];
        for ((told, fresh), before) in told.iter_mut().zip(&fresh).zip(&known.fresh) {
            *told = fresh != before;
        }
        let questions = plan(&Circumstances {
            round: known.round,
            metered: self.member.settings.metered,
            unwell,
            told,
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

    async fn ask(&self, question: Question, address: SocketAddr, lane: &Lane) -> Said {
        let metrics = &self.member.live.metrics;
        let line = Line {
            wire: &self.member.wire,
            purpose: Purpose::Probe,
            connections: &lane.connections,
            http2: lane.http2.as_ref(),
            saturation: None,
            opened: &metrics.opened,
            broken: &metrics.broken,
        };
        let timeout = self.member.settings.probe.timeout;
        let deadline = Instant::now() + timeout;
        let limits = AttemptLimits {
            deadline,
            queue: deadline,
            first_byte: timeout,
            answer_buffer: ANSWER,
            ledger_only: false,
            replayable: true,
        };
        let mut timer = pin!(None);
        let body = question.body();
        let reply = line
            .call(body.as_bytes(), &limits, Route::Only(address), &mut timer)
            .await;
        let class = classify(question.method(), Some(question.params().as_bytes()));
        let (said, outcome) = match reply {
            Ok(reply) => self.understand(reply, question, &class),
            Err(fault) => (Said::Unreachable, fault.kind.label()),
        };
        metrics.probe(question.method(), outcome);
        said
    }

    /// Judges a reply as that to any call; penalties other than failures are taken over.
    fn understand(&self, reply: Reply, question: Question, class: &Class) -> (Said, &'static str) {
        let ReplyBody::Complete(answer) = reply.body else {
            return (Said::Nothing, FaultKind::TooLarge.label());
        };
        let now = Instant::now();
        let verdict = judge(
            reply.status,
            &reply.hints,
            answer.as_ref(),
            class,
            self.member.clock.now(),
        );
        match verdict {
            None => {
                let slot = matches!(question, Question::Slot(_));
                if slot {
                    self.answered(reply.latency, now);
                }
                let result = answer
                    .ok()
                    .and_then(|answer| Some(answer.result()?.to_vec()));
                (result.map_or(Said::Nothing, Said::Result), "good")
            }
            Some(verdict) => (self.weigh(&verdict, question, now), verdict.kind.label()),
        }
    }

    fn weigh(&self, verdict: &Verdict, question: Question, now: Instant) -> Said {
        match verdict.penalty {
            Penalty::Failure => Said::Nothing,
            Penalty::Lagging { .. } if question == Question::Health => {
                self.unwell(true);
                // Reached, and it said something: not to be taken back as a refusal.
                Said::Nothing
            }
            // What is refused to the probe need not be closed to calls.
            Penalty::CloseMethod | Penalty::Lacks(_) | Penalty::Refusal | Penalty::None => {
                Said::Refused
            }
            Penalty::HoldOff { .. } | Penalty::KeyRefused { .. } | Penalty::Lagging { .. } => {
                self.member.penalise(verdict, question.method(), None, now);
                Said::Refused
            }
        }
    }

    fn answered(&self, latency: Duration, now: Instant) {
        let Member { live, policy, .. } = &*self.member;
        live.score.succeeded(latency, false, now, &policy.selection);
        if !live.is_clear() {
            self.member.probed_well(latency, now);
        }
    }

    fn refused(&self, question: Question) {
        // Whoever does not answer getHealth cannot take a complaint back.
        if question == Question::Health {
            self.unwell(false);
        }
    }

    fn unwell(&self, unwell: bool) {
        let limits = &self.member.policy.health;
        self.member.live.track(limits, Instant::now(), |tracker| {
            tracker.says_unwell(unwell);
        });
    }

    fn learn(&self, question: Question, result: &[u8], height: &mut Option<u64>, now: Instant) {
        let live = &self.member.live;
        let limits = &self.member.policy.health;
        match question {
            Question::Slot(commitment) => {
                let Some(slot) = unsigned(result).map(Slot) else {
                    return;
                };
                self.member.observe(Sighting {
                    commitment,
                    slot,
                    source: Source::Probe,
                    at: now,
                });
                if commitment == Commitment::Processed
                    && let Some(height) = height.take()
                {
                    let check = self.member.cluster.check_height(height, slot);
                    live.track(limits, now, |tracker| tracker.height(check));
                }
            }
            Question::BlockHeight => *height = unsigned(result),
            Question::ReceivedShred => {
                if let Some(shred) = unsigned(result).map(Slot) {
                    live.track(limits, now, |tracker| tracker.received(shred));
                }
            }
            Question::Health => self.unwell(false),
            Question::Epoch => {
                if let Some(epoch) = solana::epoch_slots(result)
                    && live.health().knows_the_tip()
                {
                    self.member
                        .cluster
                        .clock
                        .epoch(*epoch.start(), *epoch.end());
                }
            }
            Question::Genesis => {
                if let Some(hash) = text(result) {
                    self.heard_genesis(hash, now);
                }
            }
            Question::LedgerStart => {
                if let Some(slot) = unsigned(result).map(Slot) {
                    live.ledger_starts(slot);
                }
            }
            Question::FirstBlock => {
                if let Some(slot) = unsigned(result).map(Slot) {
                    live.history_begins(slot);
                }
            }
        }
    }

    fn heard_genesis(&self, hash: &str, now: Instant) {
        let Member {
            cluster,
            live,
            policy,
            ..
        } = &*self.member;
        let judge = |live: &crate::upstream::Live| {
            let wrong = cluster.is_wrong(live);
            let before = live.health();
            live.track(&policy.health, now, |tracker| tracker.wrong_cluster(wrong));
            if wrong && before != Health::WrongCluster {
                cluster.disown(now);
            }
        };
        if cluster.heard_genesis(live, hash) {
            cluster.members().iter().for_each(|member| judge(member));
        }
        judge(live);
    }

    /// An upstream fails only when none of its addresses works.
    fn conclude(&self, address: SocketAddr, worked: bool) {
        let known = self.member.live.addresses.known();
        let any = {
            let mut memory = self.memory.lock();
            memory.rounds.retain(|address, _| known.contains(address));
            if let Some(entry) = memory.rounds.get_mut(&address) {
                entry.good = worked;
            }
            memory.rounds.values().any(|entry| entry.good)
        };
        let limits = &self.member.policy.health;
        self.member.live.track(limits, Instant::now(), |tracker| {
            if worked {
                tracker.succeeded(limits);
            } else if !any {
                tracker.failed(limits);
            }
        });
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
