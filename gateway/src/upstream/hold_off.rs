//! What an upstream has refused: pauses after "too many requests", methods it does not serve,
//! capabilities it lacks. Pure: time and chance come from outside.
//!
//! None of this says that the upstream is broken, so none of it touches the breaker.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::config;
use crate::solana::{Capability, Method};

#[cfg(test)]
mod tests;

/// How long a learned refusal is believed before it is tried again.
pub(super) const REFUSAL: Duration = Duration::from_mins(10);

/// Most unknown methods remembered per upstream. Their names come from clients, who must be able
/// neither to fill the memory nor to keep what is known of other methods out of it.
const MOST_UNKNOWN: usize = 200;
/// Longer names are no methods of anybody's.
pub(super) const LONGEST_NAME: usize = 64;

/// The pause after 2^16 times the base is far beyond any maximum.
const MOST_DOUBLINGS: u32 = 16;

/// What a call may be refused for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The upstream as a whole rests for so long.
    Resting(Duration),
    /// This method of it rests for so long.
    MethodResting(Duration),
    /// It does not serve the method.
    MethodClosed,
}

/// How the upstream asked for the pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Demand {
    /// What it named itself, by `Retry-After` or a reset time.
    pub(super) at_least: Option<Duration>,
    /// It said that no credits are left.
    pub(super) credits: bool,
}

#[derive(Debug, Default)]
pub(super) struct HoldOff {
    upstream: Pause,
    methods: HashMap<Box<str>, MethodMemory>,
    lacks: Vec<(Capability, Instant)>,
}

#[derive(Debug, Default)]
struct MethodMemory {
    pause: Pause,
    closed_at: Option<Instant>,
}

/// One exponential pause.
#[derive(Debug, Default)]
struct Pause {
    until: Option<Instant>,
    begun: Option<Instant>,
    /// Demands since the last good answer.
    times: u32,
}

impl HoldOff {
    /// Whether nothing is held against the upstream.
    pub(super) fn is_clear(&self, now: Instant) -> bool {
        self.upstream.left(now).is_none()
            && self.lacks.iter().all(|(_, until)| *until <= now)
            && self
                .methods
                .values()
                .all(|memory| memory.pause.left(now).is_none() && !memory.is_closed(now))
    }

    pub(super) fn refusal(&self, method: &str, now: Instant) -> Option<Refusal> {
        if let Some(left) = self.upstream.left(now) {
            return Some(Refusal::Resting(left));
        }
        let memory = self.methods.get(method)?;
        if memory.is_closed(now) {
            return Some(Refusal::MethodClosed);
        }
        memory.pause.left(now).map(Refusal::MethodResting)
    }

    pub(super) fn lacks(&self, capability: Capability, now: Instant) -> bool {
        self.lacks
            .iter()
            .any(|(lacked, until)| *lacked == capability && *until > now)
    }

    /// How long the upstream as a whole rests.
    pub(super) fn resting(&self, now: Instant) -> Option<Duration> {
        self.upstream.left(now)
    }

    /// Methods it is known not to serve, in alphabetical order.
    pub(super) fn closed_methods(&self, now: Instant) -> Vec<String> {
        let mut closed: Vec<String> = self
            .methods
            .iter()
            .filter(|(_, memory)| memory.is_closed(now))
            .map(|(method, _)| method.to_string())
            .collect();
        closed.sort_unstable();
        closed
    }

    /// The whole upstream is to rest. `chance` lies in 0..1 and spreads the pauses of several
    /// gateways. Returns the pause.
    pub(super) fn rest(
        &mut self,
        demand: Demand,
        now: Instant,
        chance: f64,
        settings: &config::HoldOff,
    ) -> Duration {
        self.upstream.begin(demand, now, chance, settings)
    }

    /// As [`HoldOff::rest`], for one method.
    pub(super) fn rest_method(
        &mut self,
        method: &str,
        demand: Demand,
        now: Instant,
        chance: f64,
        settings: &config::HoldOff,
    ) -> Duration {
        match self.memory(method, now) {
            Some(memory) => memory.pause.begin(demand, now, chance, settings),
            None => Duration::ZERO,
        }
    }

    /// The upstream does not serve this method.
    pub(super) fn close_method(&mut self, method: &str, now: Instant) {
        if let Some(memory) = self.memory(method, now) {
            memory.closed_at = Some(now);
        }
    }

    /// The upstream cannot do this.
    pub(super) fn learn_lack(&mut self, capability: Capability, now: Instant) {
        self.lacks
            .retain(|(lacked, until)| *lacked != capability && *until > now);
        self.lacks.push((capability, now + REFUSAL));
    }

    /// A good answer to `method` clears what was held against it and against the upstream, unless
    /// the call had `started` before the refusal: among calls under way together some are still
    /// served when the others are refused.
    pub(super) fn clear(&mut self, method: &str, started: Instant) {
        if self.upstream.is_before(started) {
            self.upstream = Pause::default();
        }
        let after_all = |memory: &MethodMemory| {
            memory.pause.is_before(started) && memory.closed_at.is_none_or(|at| at <= started)
        };
        if self.methods.get(method).is_some_and(after_all) {
            self.methods.remove(method);
        }
    }

    /// A good answer to a call that needed `capability`.
    pub(super) fn clear_lack(&mut self, capability: Capability) {
        self.lacks.retain(|(lacked, _)| *lacked != capability);
    }

    /// The memory of a method. Known methods always have one, unknown ones while there is room.
    fn memory(&mut self, method: &str, now: Instant) -> Option<&mut MethodMemory> {
        if is_unknown(method) && !self.methods.contains_key(method) {
            if method.len() > LONGEST_NAME {
                return None;
            }
            if self.unknown() >= MOST_UNKNOWN {
                self.methods
                    .retain(|_, memory| memory.pause.left(now).is_some() || memory.is_closed(now));
            }
            if self.unknown() >= MOST_UNKNOWN {
                return None;
            }
        }
        Some(self.methods.entry(method.into()).or_default())
    }

    /// How many of the remembered methods are unknown ones.
    fn unknown(&self) -> usize {
        self.methods.keys().filter(|name| is_unknown(name)).count()
    }
}

fn is_unknown(method: &str) -> bool {
    Method::from_name(method) == Method::Other
}

impl MethodMemory {
    fn is_closed(&self, now: Instant) -> bool {
        self.closed_at.is_some_and(|at| now < at + REFUSAL)
    }
}

impl Pause {
    fn left(&self, now: Instant) -> Option<Duration> {
        self.until
            .map(|until| until.saturating_duration_since(now))
            .filter(|left| !left.is_zero())
    }

    /// Whether it began before a moment, or never did.
    fn is_before(&self, moment: Instant) -> bool {
        self.begun.is_none_or(|begun| begun <= moment)
    }

    fn begin(
        &mut self,
        demand: Demand,
        now: Instant,
        chance: f64,
        settings: &config::HoldOff,
    ) -> Duration {
        // Several calls that were under way together are refused together: they count once.
        if self.left(now).is_none() {
            self.times = (self.times + 1).min(MOST_DOUBLINGS);
        }
        let exponent = i32::try_from(self.times.saturating_sub(1)).unwrap_or_default();
        let grown = if demand.credits {
            settings.credits
        } else {
            scaled(settings.base, settings.factor.powi(exponent), settings.max)
        };
        let spread = 1.0 + settings.jitter * (2.0 * chance - 1.0);
        let most = if demand.credits {
            settings.credits.max(settings.max)
        } else {
            settings.max
        };
        let pause = scaled(grown, spread, most);
        // What the upstream asks for is the least, but no upstream can switch itself off for good.
        let pause = demand
            .at_least
            .map_or(pause, |least| pause.max(least))
            .min(most);
        let until = now + pause;
        self.begun = Some(now);
        self.until = Some(self.until.map_or(until, |earlier| earlier.max(until)));
        pause
    }
}

fn scaled(duration: Duration, by: f64, most: Duration) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * by)
        .unwrap_or(most)
        .min(most)
}
