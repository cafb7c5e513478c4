//! What speaks against sending a call to an upstream.

use perijove_core::Slot;
use tokio::time::Instant;

use super::requirements::CallRequirements;
use crate::upstream::Upstream;
use crate::upstream::health::tracker::Health;
use crate::upstream::state::breaker::Admission;
use crate::upstream::state::hold_off::{RefusedSubject, question};
use crate::upstream::state::member::Member;

/// What speaks against sending a call to an upstream, from the least to the most serious.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Obstacle {
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
    /// It asked for a pause that is not over: see [`super::select::Paused`].
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

impl CallRequirements<'_> {
    /// The most serious obstacle of an upstream. `first`: no other has been given for the call.
    pub(super) fn obstacle(&self, upstream: &Upstream, first: bool, now: Instant) -> Obstacle {
        let member = &upstream.member;
        let live = &member.live;
        let rules = &member.methods;
        let clear = live.is_clear();
        let lacks = |capability| {
            !rules.grant(capability) || (!clear && live.hold_off.lock().lacks(capability, now))
        };
        if !rules.allow(self.method_name) || self.only.is_some_and(lacks) {
            return Obstacle::Never;
        }
        if let Some(elsewhere) = self.history
            && !elsewhere.accepts(upstream, now)
        {
            return Obstacle::Never;
        }
        let mut worst = Obstacle::None;
        if !clear {
            worst = self.doubts(upstream, first, now);
        }
        let (method, priority) = (self.method_name, self.priority());
        if live.budget.wait(method, priority, now).is_some() {
            worst = worst.max(Obstacle::Paused);
        }
        if self.class.needs.is_some_and(lacks) {
            worst = match worst {
                Obstacle::Paused => Obstacle::Never,
                other => other.max(Obstacle::Lacking),
            };
        }
        let behind = |slot| !self.reaches(slot, member, now);
        let below = |slot| !self.may_reach(slot, member, now);
        if self.slot().is_some_and(behind) || self.floor.is_some_and(below) {
            worst = worst.max(Obstacle::Behind);
        }
        worst
    }

    /// Whether an upstream has probably reached a slot at the call's commitment.
    fn reaches(&self, slot: Slot, member: &Member, now: Instant) -> bool {
        let commitment = self.class.context.commitment;
        let (stand, pace) = (member.live.stand(), member.cluster.pace());
        stand.reaches(slot, commitment, now, pace)
            || member
                .counterpart(slot, commitment, now)
                .is_some_and(|(level, slot)| stand.reaches(slot, level, now, pace))
    }

    /// Whether it may have reached it.
    fn may_reach(&self, slot: Slot, member: &Member, now: Instant) -> bool {
        let commitment = self.class.context.commitment;
        let (stand, usual) = (member.live.stand(), member.cluster.usual_pace());
        stand.may_reach(slot, commitment, now, usual)
            || member
                .counterpart(slot, commitment, now)
                .is_some_and(|(level, slot)| stand.may_reach(slot, level, now, usual))
    }

    /// Health, breaker and hold-off of an upstream with possible obstacles.
    fn doubts(&self, upstream: &Upstream, first: bool, now: Instant) -> Obstacle {
        let live = upstream.state();
        let health = Obstacle::of(live.health());
        let breaker = match admission(upstream, now) {
            Admission::Free | Admission::Trial => Obstacle::None,
            Admission::Refused => Obstacle::BreakerOpen,
        };
        let trial = upstream.member.policy.hold_off.base;
        let method = self.method_name;
        let hold_off = live.hold_off.lock();
        let hold_off = match hold_off.refusal(method, now, trial) {
            None if hold_off.refuses(method, || question(self.params), now) => Obstacle::Refusing,
            None => Obstacle::None,
            Some(RefusedSubject::Resting(rest)) if rest.next.is_zero() => Obstacle::Resting,
            Some(RefusedSubject::Resting(_)) => Obstacle::Paused,
            Some(RefusedSubject::RestingAndClosed) => Obstacle::Never,
            Some(RefusedSubject::MethodClosed) if self.strange && first => Obstacle::None,
            Some(RefusedSubject::MethodClosed) => Obstacle::MethodClosed,
        };
        health.max(breaker).max(hold_off)
    }
}

/// Whether its circuit breaker admits a call.
pub(super) fn admission(upstream: &Upstream, now: Instant) -> Admission {
    let settings = &upstream.member.policy.breaker;
    upstream.state().breaker.lock().admission(now, settings)
}
