//! Which upstream a call goes to, and which next if that one fails.
//!
//! Healthy upstreams of the best tier that has any are compared two at a time: of two random ones
//! the cheaper one is used, which spreads calls without herding them. If no upstream is healthy,
//! the least unhealthy one serves rather than none. Even then an upstream must be allowed the
//! method, belong to the cluster, be outside a pause it asked for, and have budget left.

use std::sync::Arc;

use perijove_core::Slot;
use tokio::time::Instant;

use super::given::GivenUpstreams;
use super::obstacle::{Obstacle, admission};
use super::random_pair::{Charges, RandomPair};
use super::requirements::CallRequirements;
use crate::solana::Capability;
use crate::upstream::Upstream;
use crate::upstream::peer::{Choices, Outlook, Paused};
use crate::upstream::state::breaker::Admission;
use crate::upstream::state::hold_off::RefusedSubject;
use crate::upstream::state::in_flight::InFlightGuard;
use crate::upstream::state::pause::{PauseCause, PauseRemainder};

mod candidate;
mod draw;
#[cfg(test)]
mod tests;

pub use candidate::{Candidate, FailureReporter};

/// The upstreams for one call, each returned at most once.
pub struct Candidates<'a> {
    upstreams: &'a [Arc<Upstream>],
    requirements: CallRequirements<'a>,
    tried: GivenUpstreams,
    given: u32,
    /// The call has failed before, or waits: an upstream is wanted that will not fail it too.
    further: bool,
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
            let (method, priority) = (self.requirements.method_name, self.requirements.priority());
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

    fn rest(&self, upstream: &Upstream, now: Instant) -> Option<PauseRemainder> {
        let live = upstream.state();
        let (method, priority) = (self.requirements.method_name, self.requirements.priority());
        if let Some(next) = live.budget.wait(method, priority, now) {
            return Some(PauseRemainder {
                next,
                cause: PauseCause::Budget,
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
}

impl Choices for Candidates<'_> {
    type Chosen = Candidate;

    fn once_more(self) -> Self {
        Self {
            further: true,
            ..self
        }
    }

    fn return_again(&mut self, upstream: &Arc<Upstream>) {
        let is_it = |one: &Arc<Upstream>| Arc::ptr_eq(one, upstream);
        if let Some(index) = self.upstreams.iter().position(is_it) {
            self.tried.remove(index);
        }
    }

    fn next(&mut self, now: Instant) -> Option<Candidate> {
        self.give(now, Charges::Allowed, |_| true)
    }

    fn any_hedge(&self, now: Instant, charging: bool) -> bool {
        let charges = Charges::of_hedge(charging);
        self.draw(now, true, charges)
            .is_some_and(|draw| draw.suits_hedge(charging))
    }

    /// The next upstream for a hedge: a healthy one, and a metered one only if `charging` is true.
    fn next_hedge(&mut self, now: Instant, charging: bool) -> Option<Candidate> {
        let charges = Charges::of_hedge(charging);
        self.give(now, charges, |draw| draw.suits_hedge(charging))
    }

    fn narrow(&mut self, capability: Capability) {
        self.requirements.only = Some(capability);
    }

    /// From here on upstreams that may have reached `floor`. Returns whether the next is healthy;
    /// if none is, one that may have reached the slot before will do, since slots are known late.
    fn aim_at(&mut self, floor: Option<Slot>, now: Instant) -> bool {
        let nearly = floor.map(|slot| Slot(slot.0.saturating_sub(1)));
        [floor, nearly].into_iter().any(|floor| {
            self.requirements.floor = floor;
            let draw = self.draw(now, true, Charges::Allowed);
            draw.is_some_and(|draw| draw.rank.obstacle == Obstacle::None)
        })
    }

    fn outlook(&self, now: Instant) -> Outlook {
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

    fn paused(&self, now: Instant) -> Paused {
        let mut paused = Paused {
            unpaid: true,
            ..Paused::default()
        };
        for upstream in self.upstreams {
            if self.requirements.obstacle(upstream, self.given == 0, now) == Obstacle::Never {
                continue;
            }
            match self.rest(upstream, now) {
                None => {}
                Some(rest) if rest.cause == PauseCause::Key => paused.key_refused = true,
                Some(rest) => {
                    paused.unpaid &= rest.cause == PauseCause::Budget;
                    let shortest = paused.limited.unwrap_or(rest.next);
                    paused.limited = Some(shortest.min(rest.next));
                }
            }
        }
        paused.unpaid &= paused.limited.is_some();
        paused
    }
}
