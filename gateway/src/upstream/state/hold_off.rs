//! What an upstream has refused: hold-offs after "too many requests", methods it does not serve,
//! capabilities it lacks, what it refused although others did not ([`refusals`]), and streamed answers
//! that it broke off ([`broken_streams`]). Pure: time
//! and randomness are passed in. [`crate::upstream::state::pause`] decides how long a pause is.
//!
//! None of this means that the upstream is broken, so none of it affects the breaker.

mod broken_streams;
mod clearing;
mod method_memory;
mod refusals;

use std::time::Duration;

use tokio::time::Instant;

use crate::config;
use crate::solana::Capability;
use crate::upstream::state::hold::{Hold, HoldCause};
use crate::upstream::state::pause::{Pause, PauseBegun, PauseCause, PauseDemand, PauseRemainder};

pub(in crate::upstream) use broken_streams::FIRST_PAUSE as FIRST_STREAM_PAUSE;
use refusals::Refusals;
pub(in crate::upstream) use refusals::{FIRST_PAUSE, RefusalKind, question};

#[cfg(test)]
mod tests;
use method_memory::MethodMemories;
pub(in crate::upstream) use method_memory::{LONGEST_NAME, REFUSAL, is_unknown};

/// If an upstream refuses this many methods and serves none, it is doubted as a whole.
const MANY_METHODS: usize = 3;
/// Why a call may be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum RefusedSubject {
    /// The upstream, or this method of it, is held off.
    Resting(PauseRemainder),
    /// The upstream is held off, and would not serve the method otherwise.
    RestingAndClosed,
    /// It does not serve the method.
    MethodClosed,
}

#[derive(Debug, Default)]
pub(in crate::upstream) struct HoldOff {
    upstream: Pause,
    methods: MethodMemories,
    lacks: Vec<(Capability, Instant)>,
    /// Its refusals of any method, once it seems to refuse everything.
    everything: Refusals,
    /// When the last successful call began.
    served: Option<Instant>,
}

impl HoldOff {
    /// Whether there is no hold-off.
    pub(in crate::upstream) fn is_clear(&self, now: Instant) -> bool {
        self.upstream.left(now).is_none()
            && self.lacks.iter().all(|(_, until)| *until <= now)
            && self.everything.is_clear(now)
            && self.methods.values().all(|memory| memory.is_clear(now))
    }

    /// Whether a call should go elsewhere because similar ones were refused. `question` is computed
    /// only if needed.
    pub(in crate::upstream) fn refuses(
        &self,
        method: &str,
        question: impl Fn() -> u64,
        now: Instant,
    ) -> bool {
        let memory = self.methods.get(method);
        self.everything.excludes(&question, now)
            || memory.is_some_and(|memory| {
                memory.refusals.excludes(&question, now) || memory.streams.excludes(&question, now)
            })
    }

    /// A streamed answer to `question` broke off. Returns the pause if the method is held off from now
    /// on.
    pub(in crate::upstream) fn broke_off(
        &mut self,
        method: &str,
        question: u64,
        now: Instant,
    ) -> Option<Duration> {
        self.methods.of(method, now)?.streams.note(question, now)
    }

    /// A streamed answer to a call that began at `started` reached its end.
    pub(in crate::upstream) fn streamed(&mut self, method: &str, started: Instant) {
        if let Some(memory) = self.methods.get_mut(method) {
            memory.streams.ended_well(started);
        }
    }

    /// It refused what another upstream then served. Returns the pause if the method, or all of it,
    /// is held off from now on.
    pub(in crate::upstream) fn refused(
        &mut self,
        method: &str,
        refused: RefusalKind,
        now: Instant,
    ) -> Option<Duration> {
        let pause = self.methods.of(method, now)?.refusals.note(refused, now)?;
        let closed = self
            .methods
            .values()
            .filter(|memory| memory.refusals.closed(now));
        let first = closed
            .clone()
            .filter_map(|memory| memory.refusals.begun())
            .min();
        let serves = first.is_none_or(|first| self.served.is_some_and(|served| served >= first));
        if !serves && closed.count() >= MANY_METHODS {
            self.everything.close(refused, now);
        }
        Some(pause)
    }

    /// A call is sent in spite of earlier refusals, as a trial.
    pub(in crate::upstream) fn begin_trial(&mut self, method: &str, now: Instant) {
        self.everything.begin_trial(now);
        if let Some(memory) = self.methods.get_mut(method) {
            memory.refusals.begin_trial(now);
            memory.streams.begin_trial(now);
        }
    }

    /// When the last call that was successful began.
    pub(in crate::upstream) fn last_served(&self) -> Option<Instant> {
        self.served
    }

    /// A call that began at `started` was successful.
    pub(in crate::upstream) fn served(&mut self, started: Instant) {
        self.served = self.served.max(Some(started));
        if self.everything.are_before(started) {
            self.everything = Refusals::default();
        }
    }

    /// What speaks against a call of `method`. A pause that is only a guess lets a trial call
    /// through every `trial`.
    pub(in crate::upstream) fn refusal(
        &self,
        method: &str,
        now: Instant,
        trial: Duration,
    ) -> Option<RefusedSubject> {
        let whole = self.upstream.rest(now, trial);
        let memory = self.methods.get(method);
        if memory.is_some_and(|memory| memory.is_closed(now)) {
            return Some(match whole {
                None => RefusedSubject::MethodClosed,
                Some(_) => RefusedSubject::RestingAndClosed,
            });
        }
        let own = memory.and_then(|memory| memory.pause.rest(now, trial));
        let rest = match whole {
            Some(whole) => whole.longer(own),
            None => own?,
        };
        Some(RefusedSubject::Resting(rest))
    }

    /// Whether anything speaks against a call of `method`.
    pub(in crate::upstream) fn is_refused(&self, method: &str, now: Instant) -> bool {
        self.refusal(method, now, Duration::ZERO).is_some()
    }

    /// Whether the upstream is not to be probed with this method for now. A refused key is not a
    /// request to be held off, and what is unavailable to calls need not be to probes.
    pub(in crate::upstream) fn keeps_probes_away(&self, method: &str, now: Instant) -> bool {
        let whole = self.upstream.rest(now, Duration::ZERO);
        let memory = self.methods.get(method);
        let own = memory.and_then(|memory| memory.pause.rest(now, Duration::ZERO));
        let mut rests = [whole, own].into_iter().flatten();
        rests.any(|rest| rest.cause != PauseCause::Key)
    }

    /// The current hold-offs, with their method: `None` for all.
    pub(in crate::upstream) fn holds(&self, now: Instant) -> Vec<Hold<'_>> {
        let cause_of = |cause: PauseCause| match cause {
            PauseCause::Limit | PauseCause::Budget => HoldCause::RateLimited,
            PauseCause::Credits => HoldCause::Credits,
            PauseCause::Key => HoldCause::Key,
        };
        let paused = |method, pause: &Pause| {
            let rest = pause.rest(now, Duration::ZERO)?;
            Some(Hold {
                method,
                cause: cause_of(rest.cause),
                left: pause.left(now),
            })
        };
        let refused = |method, refusals: &Refusals| {
            refusals.lasts(now).then(|| Hold {
                method,
                cause: HoldCause::Refused,
                left: refusals.left(now),
            })
        };
        let mut holds: Vec<_> = paused(None, &self.upstream)
            .into_iter()
            .chain(refused(None, &self.everything))
            .collect();
        for (method, memory) in self.methods.by_name() {
            let method = Some(method);
            let closed = memory.closed_at.filter(|_| memory.is_closed(now));
            holds.extend(closed.map(|at| Hold {
                method,
                cause: HoldCause::Closed,
                left: Some((at + REFUSAL).saturating_duration_since(now)),
            }));
            holds.extend(paused(method, &memory.pause));
            holds.extend(refused(method, &memory.refusals));
            holds.extend(memory.streams.left(now).map(|left| Hold {
                method,
                cause: HoldCause::BrokenOff,
                left: Some(left),
            }));
        }
        holds
    }

    /// Takes the trial call that a guessed pause allows; `false` if another call has it.
    pub(in crate::upstream) fn take_trial(
        &mut self,
        method: &str,
        now: Instant,
        trial: Duration,
    ) -> bool {
        let due = match self.refusal(method, now, trial) {
            Some(RefusedSubject::Resting(rest)) => rest.next.is_zero(),
            Some(RefusedSubject::RestingAndClosed) => false,
            Some(RefusedSubject::MethodClosed) | None => true,
        };
        if due {
            self.upstream.tries(now);
            if let Some(memory) = self.methods.get_mut(method) {
                memory.pause.tries(now);
            }
        }
        due
    }

    pub(in crate::upstream) fn lacks(&self, capability: Capability, now: Instant) -> bool {
        self.lacks
            .iter()
            .any(|(lacked, until)| *lacked == capability && *until > now)
    }

    /// How long the upstream as a whole is held off.
    pub(in crate::upstream) fn resting(&self, now: Instant) -> Option<Duration> {
        self.upstream.left(now)
    }

    /// Methods it is known not to serve, in alphabetical order.
    pub(in crate::upstream) fn closed_methods(&self, now: Instant) -> Vec<String> {
        let closed = self.methods.by_name().into_iter();
        closed
            .filter(|(_, memory)| memory.is_closed(now) || memory.refusals.closed(now))
            .map(|(method, _)| method.to_owned())
            .collect()
    }

    /// Whether the upstream as a whole refuses the gateway's key.
    pub(in crate::upstream) fn refuses_key(&self, now: Instant) -> bool {
        let rest = self.upstream.rest(now, Duration::ZERO);
        rest.is_some_and(|rest| rest.cause == PauseCause::Key)
    }

    /// Holds off the whole upstream. `chance` is in 0..1 and spreads the pauses of several
    /// gateways.
    pub(in crate::upstream) fn rest(
        &mut self,
        demand: PauseDemand,
        now: Instant,
        chance: f64,
        settings: &config::HoldOffSettings,
    ) -> PauseBegun {
        self.upstream.begin(demand, now, chance, settings)
    }

    /// As [`HoldOff::rest`], for one method.
    pub(in crate::upstream) fn rest_method(
        &mut self,
        method: &str,
        demand: PauseDemand,
        now: Instant,
        chance: f64,
        settings: &config::HoldOffSettings,
    ) -> PauseBegun {
        match self.methods.of(method, now) {
            Some(memory) => memory.pause.begin(demand, now, chance, settings),
            None => PauseBegun::default(),
        }
    }

    /// The gateway's key may be another now, the provider may have been told to accept it, or
    /// credits may have been bought. Returns whether it was refused, or had none left.
    pub(in crate::upstream) fn forget_refused_key(&mut self) -> bool {
        let methods = self.methods.values_mut().map(|memory| &mut memory.pause);
        let mut any = false;
        for pause in methods.chain([&mut self.upstream]) {
            if pause.is_for_operator() {
                *pause = Pause::default();
                any = true;
            }
        }
        any
    }

    /// The upstream does not serve this method. Returns whether that is new.
    pub(in crate::upstream) fn close_method(&mut self, method: &str, now: Instant) -> bool {
        let Some(memory) = self.methods.of(method, now) else {
            return false;
        };
        let news = !memory.is_closed(now);
        memory.closed_at = Some(now);
        news
    }

    /// The upstream lacks this capability.
    pub(in crate::upstream) fn learn_lack(&mut self, capability: Capability, now: Instant) {
        self.lacks
            .retain(|(lacked, until)| *lacked != capability && *until > now);
        self.lacks.push((capability, now + REFUSAL));
    }
}
