//! Which upstream a call goes to, and which next if that one fails.
//!
//! Healthy upstreams of the best tier that has any are compared two at a time: of two random ones
//! the cheaper one is used, which spreads calls without herding them. If no upstream is healthy,
//! the least unhealthy one serves rather than none. Even then an upstream must be allowed the
//! method, belong to the cluster, be outside a pause it asked for, and have budget left.

use std::sync::Arc;
use std::time::Duration;

use perijove_core::Slot;
use tokio::time::Instant;

use crate::solana::{Capability, Class, Priority};
use crate::upstream::health::tracker::Health;
use crate::upstream::state::breaker::Admission;
use crate::upstream::state::endpoint_state::InFlightGuard;
use crate::upstream::state::history::{DeeperUpstreams, HistoryDistance};
use crate::upstream::state::hold_off::{RefusedSubject, question};
use crate::upstream::state::pause::{PauseCause, PauseRemainder};
use crate::upstream::{EndpointState, Upstream};

mod candidate;
#[cfg(test)]
mod tests;

pub use candidate::{Candidate, FailureReporter};

/// Most upstreams in a pool; see [`GivenUpstreams`].
pub(in crate::upstream) const MOST_UPSTREAMS: usize = 256;

/// Costs that differ by more than this factor decide between two upstreams,
const MUCH_DEARER: f32 = 1.25;
/// if they also differ by this many microseconds: less is the machine's noise, and would keep calls
/// from one of two equal ones.
const NOISE: f32 = 500.0;

/// An upstream that fails this share of its recent calls should not be burdened with those of
/// others as well.
const STRUGGLING: f32 = 0.5;

/// What a call requires.
#[derive(Clone, Copy, Debug)]
pub struct CallRequirements<'a> {
    pub class: &'a Class,
    /// The method as the client named it.
    pub method_name: &'a str,
    /// The raw parameters, which identify the question.
    pub params: Option<&'a [u8]>,
    /// The caller's `minContextSlot`, or another slot that must have been reached.
    pub min_slot: Option<Slot>,
    /// What the client was shown already. An upstream that may have reached it by now will do: its
    /// answer is checked.
    pub floor: Option<Slot>,
    /// Only upstreams assumed to have this, and none rather than another.
    pub only: Option<Capability>,
    /// Only upstreams that may have history which another has not.
    pub history: Option<DeeperUpstreams<'a>>,
    /// A reserve of a provider's budget may be kept for the higher classes.
    pub priority: Priority,
    /// An unknown method: the first to be asked is an unmetered upstream, even if it has refused
    /// this method before.
    pub strange: bool,
}

impl<'a> CallRequirements<'a> {
    /// The requirements of the class alone.
    pub fn of(class: &'a Class, method_name: &'a str) -> Self {
        Self {
            class,
            method_name,
            params: None,
            min_slot: class.context.min_context_slot,
            floor: None,
            only: None,
            history: None,
            priority: class.profile().priority,
            strange: false,
        }
    }

    /// The slot the upstream should have reached.
    fn slot(&self) -> Option<Slot> {
        self.min_slot.max(self.class.pinned_slot)
    }
}

/// What speaks against sending a call to an upstream, from the least to the most serious.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    None,
    Unprobed,
    /// It has not reached the slot.
    Behind,
    Lagging,
    Unwell,
    Stale,
    Stopped,
    /// It has refused such calls, which others served.
    Refusing,
    Suspect,
    // From here on a second choice is not worth waiting for: see `Candidates::next`.
    Resting,
    BreakerOpen,
    Failing,
    Lacking,
    MethodClosed,
    Implausible,
    /// It asked for a pause that is not over: see [`Paused`].
    Paused,
    /// It must not be asked.
    Never,
}

impl Obstacle {
    fn of(health: Health) -> Self {
        match health {
            Health::Healthy => Self::None,
            Health::Unprobed => Self::Unprobed,
            Health::Lagging => Self::Lagging,
            Health::Unwell => Self::Unwell,
            Health::Stale => Self::Stale,
            Health::Stopped => Self::Stopped,
            Health::Suspect => Self::Suspect,
            Health::Failing => Self::Failing,
            Health::Implausible => Self::Implausible,
            Health::WrongCluster => Self::Never,
        }
    }
}

/// Upstreams that only a pause keeps from being asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paused {
    /// The shortest time until a rate-limited one may be asked again.
    pub limited: Option<Duration>,
    /// Some refuse the gateway's key.
    pub key_refused: bool,
}

/// The prospects of the next upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// None is worth asking.
    Nobody,
    /// One that may be asked.
    Left,
    /// One that another attempt does not harm: healthy, not failing, and with a free connection.
    Fit,
}

/// The upstreams for one call, each returned at most once.
pub struct Candidates<'a> {
    upstreams: &'a [Arc<Upstream>],
    requirements: CallRequirements<'a>,
    tried: GivenUpstreams,
    given: u32,
    /// The call has failed before, or waits: an upstream is wanted that will not fail it too.
    further: bool,
}

/// Which upstreams were returned already, by index in the pool.
#[derive(Clone, Copy, Default)]
struct GivenUpstreams([u64; MOST_UPSTREAMS / 64]);

impl GivenUpstreams {
    fn contains(self, index: usize) -> bool {
        self.0
            .get(index / 64)
            .is_none_or(|word| word & (1 << (index % 64)) != 0)
    }

    fn remove(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word &= !(1 << (index % 64));
        }
    }

    fn insert(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }
}

/// Whether metered upstreams are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Charges {
    Allowed,
    Avoided,
}

impl Charges {
    fn of_hedge(charging: bool) -> Self {
        if charging {
            Self::Allowed
        } else {
            Self::Avoided
        }
    }
}

/// The rank of an upstream for a call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct UpstreamRank {
    obstacle: Obstacle,
    /// How far its history is from what is looked for; equal for all if none is.
    distance: HistoryDistance,
    /// It is metered and the call is probably a mistake.
    charges: bool,
    /// All its connections are in use: the call would wait for one. Any other equally healthy one
    /// is better, of whatever tier.
    busy: bool,
    /// Another attempt should rather go to one that does not fail most of its calls, of whatever
    /// tier.
    struggling: bool,
    tier: crate::config::Tier,
}

/// Two random ones of the best rank.
struct RandomPair {
    rank: UpstreamRank,
    first: usize,
    second: Option<usize>,
    seen: usize,
    /// Another one is only kept from being asked by a pause.
    paused: bool,
}

impl<'a> Candidates<'a> {
    pub(in crate::upstream) fn new(
        upstreams: &'a [Arc<Upstream>],
        requirements: CallRequirements<'a>,
    ) -> Self {
        Self {
            upstreams,
            requirements,
            tried: GivenUpstreams::default(),
            given: 0,
            further: false,
        }
    }

    /// The same for a call that has failed on all of them before.
    #[must_use]
    pub fn once_more(self) -> Self {
        Self {
            further: true,
            ..self
        }
    }

    /// An upstream that was returned may be returned again: the call was not sent to it.
    pub fn return_again(&mut self, upstream: &Arc<Upstream>) {
        let is_it = |one: &Arc<Upstream>| Arc::ptr_eq(one, upstream);
        if let Some(index) = self.upstreams.iter().position(is_it) {
            self.tried.remove(index);
        }
    }

    /// The next upstream to ask; `None` if all were returned or none may be asked.
    pub fn next(&mut self, now: Instant) -> Option<Candidate> {
        self.give(now, Charges::Allowed, |_| true)
    }

    /// Whether [`Candidates::next_hedge`] would return one.
    pub fn any_hedge(&self, now: Instant, charging: bool) -> bool {
        let charges = Charges::of_hedge(charging);
        self.draw(now, true, charges)
            .is_some_and(|draw| draw.suits_hedge(charging))
    }

    /// The next upstream for a hedge: a healthy one, and a metered one only if `charging` is true.
    pub fn next_hedge(&mut self, now: Instant, charging: bool) -> Option<Candidate> {
        let charges = Charges::of_hedge(charging);
        self.give(now, charges, |draw| draw.suits_hedge(charging))
    }

    fn give(
        &mut self,
        now: Instant,
        charges: Charges,
        takes: impl Fn(&RandomPair) -> bool,
    ) -> Option<Candidate> {
        loop {
            let draw = self
                .draw(now, self.further, charges)
                .filter(|draw| self.is_worth(draw) && takes(draw))?;
            let index = self.pick(&draw, now);
            self.tried.insert(index);
            let Some(upstream) = self.upstreams.get(index) else {
                continue;
            };
            let live = upstream.state();
            let (method, priority) = (self.requirements.method_name, self.requirements.priority);
            let Some(charge) = live.budget.take(method, priority, now) else {
                // Other calls have just used up the budget.
                continue;
            };
            let charge = candidate::BudgetHold(charge);
            let trial = if live.is_clear() {
                None
            } else {
                upstream.member.begin_trial(now)
            };
            if trial.is_none()
                && draw.rank.obstacle < Obstacle::BreakerOpen
                && !live.is_clear()
                && admission(upstream, now) != Admission::Free
            {
                // Another call took the last trial.
                continue;
            }
            if draw.rank.obstacle == Obstacle::Resting && !self.take_trial(upstream, now) {
                upstream.member.abandon(trial);
                continue;
            }
            if !live.is_clear() {
                // Last: it keeps other calls away, and so is only for one that is sent.
                live.hold_off
                    .lock()
                    .begin_trial(self.requirements.method_name, now);
            }
            self.given += 1;
            self.further = true;
            let forced = draw.rank.obstacle > Obstacle::Behind;
            if forced {
                live.metrics.forced.inc();
            }
            return Some(Candidate {
                in_flight: InFlightGuard::begin(live),
                upstream: Arc::clone(upstream),
                trial,
                #[cfg(test)]
                forced,
                charge,
                written: Arc::default(),
            });
        }
    }

    /// From here on only upstreams assumed to have this.
    pub fn narrow(&mut self, capability: Capability) {
        self.requirements.only = Some(capability);
    }

    /// From here on upstreams that may have reached `floor`. Returns whether the next is healthy;
    /// if none is, one that may have reached the slot before will do, since slots are known late.
    pub fn aim_at(&mut self, floor: Option<Slot>, now: Instant) -> bool {
        let nearly = floor.map(|slot| Slot(slot.0.saturating_sub(1)));
        [floor, nearly].into_iter().any(|floor| {
            self.requirements.floor = floor;
            let draw = self.draw(now, true, Charges::Allowed);
            draw.is_some_and(|draw| draw.rank.obstacle == Obstacle::None)
        })
    }

    /// The prospects of the next upstream.
    pub fn outlook(&self, now: Instant) -> Outlook {
        let Some(draw) = self
            .draw(now, true, Charges::Allowed)
            .filter(|draw| self.is_worth(draw))
        else {
            return Outlook::Nobody;
        };
        let rank = draw.rank;
        let fit = rank.obstacle == Obstacle::None && !rank.busy && !rank.struggling;
        if fit { Outlook::Fit } else { Outlook::Left }
    }

    /// Which upstreams only a pause keeps from being asked, including those asked before.
    pub fn paused(&self, now: Instant) -> Paused {
        let mut paused = Paused::default();
        for upstream in self.upstreams {
            if self.obstacle(upstream, now) == Obstacle::Never {
                continue;
            }
            match self.rest(upstream, now) {
                None => {}
                Some(rest) if rest.cause == PauseCause::Key => paused.key_refused = true,
                Some(rest) => {
                    let shortest = paused.limited.unwrap_or(rest.next);
                    paused.limited = Some(shortest.min(rest.next));
                }
            }
        }
        paused
    }

    fn rest(&self, upstream: &Upstream, now: Instant) -> Option<PauseRemainder> {
        let live = upstream.state();
        let (method, priority) = (self.requirements.method_name, self.requirements.priority);
        if let Some(next) = live.budget.wait(method, priority, now) {
            return Some(PauseRemainder {
                next,
                cause: PauseCause::Limit,
            });
        }
        if live.is_clear() {
            return None;
        }
        let trial = upstream.member.policy.hold_off.base;
        let held_off = live.hold_off.lock();
        match held_off.refusal(self.requirements.method_name, now, trial)? {
            RefusedSubject::Resting(rest) => Some(rest),
            RefusedSubject::RestingAndClosed | RefusedSubject::MethodClosed => None,
        }
    }

    /// The only trial call that may be sent to an upstream held off by a guess; `false` if another
    /// call took it.
    fn take_trial(&self, upstream: &Upstream, now: Instant) -> bool {
        let trial = upstream.member.policy.hold_off.base;
        let mut hold_off = upstream.state().hold_off.lock();
        hold_off.take_trial(self.requirements.method_name, now, trial)
    }

    /// Asking a held-off upstream, or one that does not serve the call, is a last resort, not a
    /// second attempt. One that was down a moment ago may be back, and is the only hope of a call
    /// whose first upstream has just died. An upstream that does not serve the call is not asked in
    /// place of one that does and is only held off.
    fn is_worth(&self, draw: &RandomPair) -> bool {
        let obstacle = draw.rank.obstacle;
        if self.requirements.history.is_some() {
            // There is an answer already, so unhealthy upstreams are not bothered.
            return obstacle < Obstacle::Resting;
        }
        if self.given == 0 {
            return obstacle <= Obstacle::Failing || !draw.paused;
        }
        obstacle < Obstacle::Resting
            || matches!(obstacle, Obstacle::BreakerOpen | Obstacle::Failing)
    }

    /// Two of the best. `further`: it is for more than the first attempt at a call.
    fn draw(&self, now: Instant, further: bool, charges: Charges) -> Option<RandomPair> {
        let mut best: Option<RandomPair> = None;
        let mut paused = false;
        for (index, upstream) in self.upstreams.iter().enumerate() {
            let costs = charges == Charges::Avoided && upstream.settings().metered;
            if costs || self.tried.contains(index) {
                continue;
            }
            let obstacle = self.obstacle(upstream, now);
            if obstacle >= Obstacle::Paused {
                paused |= obstacle == Obstacle::Paused;
                continue;
            }
            let rank = UpstreamRank {
                obstacle,
                distance: self
                    .requirements
                    .history
                    .map_or(HistoryDistance::default(), |elsewhere| {
                        elsewhere.distance(upstream, now)
                    }),
                charges: self.requirements.strange && upstream.settings().metered,
                busy: upstream.state().all_busy(),
                struggling: further && is_struggling(upstream, now),
                tier: upstream.tier(),
            };
            match &mut best {
                Some(draw) if rank > draw.rank => {}
                Some(draw) if rank == draw.rank => draw.add(index),
                _ => {
                    best = Some(RandomPair {
                        rank,
                        first: index,
                        second: None,
                        seen: 1,
                        paused: false,
                    });
                }
            }
        }
        best.map(|draw| RandomPair { paused, ..draw })
    }

    /// The cheaper of the two, unless the other is due for a trial call. Small differences count as
    /// equal, and calls are shared out by weight.
    fn pick(&self, draw: &RandomPair, now: Instant) -> usize {
        let Some(second) = draw.second else {
            return draw.first;
        };
        let (first_cost, first_weight) = self.cost(draw.first, now);
        let (second_cost, second_weight) = self.cost(second, now);
        let (less, more) = (first_cost.min(second_cost), first_cost.max(second_cost));
        if more <= less * MUCH_DEARER || more - less < NOISE {
            let take_first = fastrand::u64(..first_weight + second_weight) < first_weight;
            return if take_first { draw.first } else { second };
        }
        let (cheaper, dearer) = if first_cost < second_cost {
            (draw.first, second)
        } else {
            (second, draw.first)
        };
        // A further attempt should not be a trial, and scans say nothing of other calls.
        let trial = !self.further
            && !self.requirements.class.heavy
            && self.upstreams.get(dearer).is_some_and(|dearer| {
                let score = &dearer.state().score;
                score.begin_trial(now)
            });
        if trial { dearer } else { cheaper }
    }

    fn cost(&self, index: usize, now: Instant) -> (f32, u64) {
        let Some(upstream) = self.upstreams.get(index) else {
            return (f32::MAX, 1);
        };
        let live = upstream.state();
        let selection = &upstream.member.policy.selection;
        let weight = upstream.settings().weight.max(1);
        let heavy = self.requirements.class.heavy;
        let cost = live.score.cost(heavy, live.lag(), weight, now, selection);
        (cost, u64::from(weight))
    }

    /// The most serious obstacle of an upstream.
    fn obstacle(&self, upstream: &Upstream, now: Instant) -> Obstacle {
        let member = &upstream.member;
        let live = &member.live;
        let rules = &member.methods;
        let clear = live.is_clear();
        let lacks = |capability| {
            !rules.grant(capability) || (!clear && live.hold_off.lock().lacks(capability, now))
        };
        if !rules.allow(self.requirements.method_name) || self.requirements.only.is_some_and(lacks)
        {
            return Obstacle::Never;
        }
        if let Some(elsewhere) = self.requirements.history
            && !elsewhere.accepts(upstream, now)
        {
            return Obstacle::Never;
        }
        let mut worst = Obstacle::None;
        if !clear {
            worst = self.doubts(upstream, live, now);
        }
        let (method, priority) = (self.requirements.method_name, self.requirements.priority);
        if live.budget.wait(method, priority, now).is_some() {
            worst = worst.max(Obstacle::Paused);
        }
        if self.requirements.class.needs.is_some_and(lacks) {
            worst = match worst {
                Obstacle::Paused => Obstacle::Never,
                other => other.max(Obstacle::Lacking),
            };
        }
        let commitment = self.requirements.class.context.commitment;
        let behind = |slot| {
            let pace = member.cluster.pace();
            !live.stand().reaches(slot, commitment, now, pace)
        };
        let below = |slot| {
            let usual = member.cluster.usual_pace();
            !live.stand().may_reach(slot, commitment, now, usual)
        };
        if self.requirements.slot().is_some_and(behind)
            || self.requirements.floor.is_some_and(below)
        {
            worst = worst.max(Obstacle::Behind);
        }
        worst
    }

    /// Health, breaker and hold-off of an upstream with possible obstacles.
    fn doubts(&self, upstream: &Upstream, live: &EndpointState, now: Instant) -> Obstacle {
        let health = Obstacle::of(live.health());
        let breaker = match admission(upstream, now) {
            Admission::Free | Admission::Trial => Obstacle::None,
            Admission::Refused => Obstacle::BreakerOpen,
        };
        let trial = upstream.member.policy.hold_off.base;
        let method = self.requirements.method_name;
        let hold_off = live.hold_off.lock();
        let hold_off = match hold_off.refusal(method, now, trial) {
            None if hold_off.refuses(method, || question(self.requirements.params), now) => {
                Obstacle::Refusing
            }
            None => Obstacle::None,
            Some(RefusedSubject::Resting(rest)) if rest.next.is_zero() => Obstacle::Resting,
            Some(RefusedSubject::Resting(_)) => Obstacle::Paused,
            Some(RefusedSubject::RestingAndClosed) => Obstacle::Never,
            Some(RefusedSubject::MethodClosed) if self.requirements.strange && self.given == 0 => {
                Obstacle::None
            }
            Some(RefusedSubject::MethodClosed) => Obstacle::MethodClosed,
        };
        health.max(breaker).max(hold_off)
    }
}

/// Whether it fails most of its calls.
fn is_struggling(upstream: &Upstream, now: Instant) -> bool {
    let selection = &upstream.member.policy.selection;
    upstream.state().score.failure_share(now, selection) >= STRUGGLING
}

fn admission(upstream: &Upstream, now: Instant) -> Admission {
    let settings = &upstream.member.policy.breaker;
    upstream.state().breaker.lock().admission(now, settings)
}

impl RandomPair {
    fn suits_hedge(&self, charging: bool) -> bool {
        // A stuck call may go to one that is not known to have reached the slot yet: its answer is
        // checked.
        let worst = if charging {
            Obstacle::Behind
        } else {
            Obstacle::None
        };
        self.rank.obstacle <= worst && !self.rank.busy
    }

    /// Adds one of the same rank. Every pair is equally likely to be kept.
    fn add(&mut self, index: usize) {
        self.seen += 1;
        if self.second.is_none() {
            self.second = Some(index);
            return;
        }
        match fastrand::usize(..self.seen) {
            0 => self.first = index,
            1 => self.second = Some(index),
            _ => {}
        }
    }
}
