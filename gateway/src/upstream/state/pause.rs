//! One pause of an upstream, or of one method of it: how long it is, which part of it the upstream
//! named itself, and whether a trial call may be made in the part that is a guess. Pure: time and
//! randomness are passed in.

use std::time::Duration;

use tokio::time::Instant;

use crate::config;

/// The pause after 2^16 times the base is far beyond any maximum.
const MOST_DOUBLINGS: u32 = 16;

/// After further refusals of the gateway's key the pause grows to this many times the first.
const KEY_GROWTH: u32 = 3;

/// Why an upstream is held off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::upstream) enum PauseCause {
    /// Too many requests.
    #[default]
    Limit,
    /// More requests than its own budget pays for.
    Budget,
    /// The provider's credits are used up.
    Credits,
    /// It refuses the gateway's key.
    Key,
}

/// How the upstream asked for the pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) struct PauseDemand {
    /// The minimum it named, by `Retry-After` or a reset time.
    pub(in crate::upstream) at_least: Option<Duration>,
    pub(in crate::upstream) cause: PauseCause,
}

/// The remainder of a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) struct PauseRemainder {
    /// Until a call may be sent again, even as a trial; zero if one may be sent now.
    pub(in crate::upstream) next: Duration,
    pub(in crate::upstream) cause: PauseCause,
}

impl PauseRemainder {
    /// The longer of two.
    pub(in crate::upstream) fn longer(self, other: Option<Self>) -> Self {
        other.filter(|other| other.next > self.next).unwrap_or(self)
    }
}

/// A pause that has been set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::upstream) struct PauseBegun {
    pub(in crate::upstream) pause: Duration,
    /// No pause of the same cause was running.
    pub(in crate::upstream) fresh: bool,
    /// No pause of the same cause since the last good answer.
    pub(in crate::upstream) first: bool,
}

/// One exponential pause.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Pause {
    until: Option<Instant>,
    /// The end of the named part. What follows is a guess, in which trials are allowed.
    named_until: Option<Instant>,
    cause: PauseCause,
    begun: Option<Instant>,
    /// The last call that was refused, or sent as a trial.
    tried: Option<Instant>,
    /// Pauses requested since the last good answer.
    times: u32,
}

impl Pause {
    pub(in crate::upstream) fn left(&self, now: Instant) -> Option<Duration> {
        remaining(self.until, now)
    }

    /// The remainder, if a trial may be made every `trial` once the named part is over.
    pub(in crate::upstream) fn rest(
        &self,
        now: Instant,
        trial: Duration,
    ) -> Option<PauseRemainder> {
        let left = self.left(now)?;
        let next_trial = self.tried.map(|tried| tried + trial);
        let next = remaining(self.named_until.max(next_trial), now).unwrap_or_default();
        Some(PauseRemainder {
            next: next.min(left),
            cause: self.cause,
        })
    }

    /// A trial call is made now.
    pub(in crate::upstream) fn tries(&mut self, now: Instant) {
        self.tried = Some(now);
    }

    /// Whether it began before a moment, or never did.
    pub(in crate::upstream) fn is_before(&self, moment: Instant) -> bool {
        self.begun.is_none_or(|begun| begun <= moment)
    }

    /// Whether the gateway's key was refused, now or the last time.
    pub(in crate::upstream) fn is_for_key(&self) -> bool {
        self.begun.is_some() && self.cause == PauseCause::Key
    }

    /// Whether the operator can end its cause: by another key, or by buying credits.
    pub(in crate::upstream) fn is_for_operator(&self) -> bool {
        self.begun.is_some() && matches!(self.cause, PauseCause::Key | PauseCause::Credits)
    }

    /// Whether it is only a guess about a rate limit.
    pub(in crate::upstream) fn is_guess(&self, now: Instant) -> bool {
        self.cause == PauseCause::Limit && remaining(self.named_until, now).is_none()
    }

    /// The upstream asks for a pause. `chance` is in 0..1 and spreads the pauses of several
    /// gateways.
    pub(in crate::upstream) fn begin(
        &mut self,
        demand: PauseDemand,
        now: Instant,
        chance: f64,
        settings: &config::HoldOffSettings,
    ) -> PauseBegun {
        let under_way = self.left(now).is_some();
        let first = self.begun.is_none() || self.cause != demand.cause;
        let fresh = !under_way || self.cause != demand.cause;
        // Concurrent calls are refused together: they count once.
        if !under_way {
            self.times = (self.times + 1).min(MOST_DOUBLINGS);
            self.named_until = None;
        }
        let exponent = i32::try_from(self.times.saturating_sub(1)).unwrap_or_default();
        let credits = demand.cause == PauseCause::Credits;
        let named = demand.at_least.unwrap_or_default();
        let grown = match demand.cause {
            PauseCause::Credits => settings.credits,
            // Short, because a corrected key should be found soon, and a trial costs one retry.
            PauseCause::Key => {
                let most = named.saturating_mul(KEY_GROWTH);
                scaled(named, settings.factor.powi(exponent), most)
            }
            PauseCause::Limit | PauseCause::Budget => {
                scaled(settings.base, settings.factor.powi(exponent), settings.max)
            }
        };
        let spread = 1.0 + settings.jitter * (2.0 * chance - 1.0);
        let most = if credits {
            settings.credits.max(settings.max)
        } else {
            settings.max
        };
        // The named time is the minimum, but no upstream can take itself out for good.
        let named = named.min(most);
        let pause = scaled(grown, spread, most).max(named);
        // Trials bring back neither credits nor a valid key.
        let unconditional = if demand.cause == PauseCause::Limit {
            named
        } else {
            pause
        };
        self.begun = Some(now);
        self.tried = Some(now);
        self.until = self.until.max(Some(now + pause));
        self.named_until = self.named_until.max(Some(now + unconditional));
        if fresh {
            self.cause = demand.cause;
        }
        PauseBegun {
            pause,
            fresh,
            first,
        }
    }
}

fn remaining(until: Option<Instant>, now: Instant) -> Option<Duration> {
    until
        .map(|until| until.saturating_duration_since(now))
        .filter(|left| !left.is_zero())
}

fn scaled(duration: Duration, by: f64, most: Duration) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * by)
        .unwrap_or(most)
        .min(most)
}
