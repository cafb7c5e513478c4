//! The expected cost of a call to an upstream, from its recent latency, failures, lag and the calls
//! in progress. Lock-free: every call reads and writes it.
//!
//! Latency is an exponentially weighted mean that rises faster than it falls, so that a slow
//! upstream loses calls quickly and regains them slowly. Heavy methods have a mean of their own: a
//! scan of five seconds says nothing about how fast a balance is read.
//!
//! An upstream without calls cannot show that it has recovered. So failures are forgotten within
//! seconds (persistent ones are the breaker's task), and a mean without new samples fades, with the
//! lag measured beside it. One that is dearer than another gets a trial call every few seconds, and
//! while those are much faster than its mean, one after the other: the mean then follows them
//! quickly. A run of quick probes corrects the mean at once, provided that probes were slow too: if
//! they never were, they say nothing about calls.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::config;

mod millis;
#[cfg(test)]
mod tests;
mod trials;

use millis::elapsed;
use trials::Trials;

/// The latency assumed before the first answer.
const UNKNOWN: f32 = 1000.0;
/// The same for heavy methods.
const UNKNOWN_HEAVY: f32 = 100_000.0;
/// The weight of a slower answer.
const RISE: f32 = 0.25;
/// The least weight of a faster answer.
const FALL: f32 = 0.03;
/// The same for the answer to a trial call
const TRIAL: f32 = 0.75;
/// if its latency is less than this part of the mean.
const QUICK: f32 = 0.75;
/// How far one failure moves the share of failures towards 1.
const FAILURE: f32 = 0.25;
/// How far one success moves it towards 0.
const SUCCESS: f32 = 0.1;
/// Failures are forgotten this many times faster than latencies.
const FAILURES_FADE: u32 = 8;
/// A smaller failure ratio counts as none.
const NEGLIGIBLE: f32 = 0.05;
/// A mean that is older than this fades: no calls are sent that could correct it.
const UNTOUCHED: u32 = 1000;
/// How many times faster it fades than answers are forgotten.
const UNTOUCHED_FADES: u32 = 4;
/// Two observations of equal nodes, a moment apart, may differ by this many slots.
const EVEN: u64 = 1;
/// This many probes in a row, each at least twice as fast as the mean, show that the mean is out of
/// date.
const RUN: u32 = 8;

/// Latency, failures and load of one upstream.
#[derive(Debug)]
pub(in crate::upstream) struct Score {
    start: Instant,
    light: Mean,
    heavy: Mean,
    failures: Mean,
    /// The slowest recent probe.
    slowest_probe: Mean,
    quick_probes: QuickProbes,
    trials: Trials,
    in_flight: AtomicU32,
}

/// Probes in a row that were much faster than the mean. Two writers at once may miscount by one.
#[derive(Debug, Default)]
struct QuickProbes {
    count: AtomicU32,
    /// The bits of the slowest latency among them.
    slowest: AtomicU32,
}

impl QuickProbes {
    /// Adds a sample; returns the slowest once there are enough of them.
    fn add(&self, sample: f32) -> Option<f32> {
        let slowest = f32::from_bits(self.slowest.load(Ordering::Relaxed)).max(sample);
        self.slowest.store(slowest.to_bits(), Ordering::Relaxed);
        if self.count.fetch_add(1, Ordering::Relaxed) + 1 < RUN {
            return None;
        }
        self.end();
        Some(slowest)
    }

    fn end(&self) {
        if self.count.load(Ordering::Relaxed) > 0 {
            self.count.store(0, Ordering::Relaxed);
            self.slowest.store(0, Ordering::Relaxed);
        }
    }
}

impl Score {
    pub(in crate::upstream) fn new(start: Instant) -> Self {
        Self {
            start,
            light: Mean::default(),
            heavy: Mean::default(),
            failures: Mean::default(),
            slowest_probe: Mean::default(),
            quick_probes: QuickProbes::default(),
            trials: Trials::default(),
            in_flight: AtomicU32::new(0),
        }
    }

    /// A good answer arrived after `latency`.
    pub(in crate::upstream) fn succeeded(
        &self,
        latency: Duration,
        heavy: bool,
        now: Instant,
        settings: &config::Selection,
    ) {
        let mean = if heavy { &self.heavy } else { &self.light };
        let at = self.milliseconds(now);
        let sample = latency.as_secs_f32() * 1e6;
        let (value, since) = mean.load(at);
        let value = match since {
            None => sample,
            // It began before trials showed that this is over.
            Some(_) if sample > value && !heavy && self.trials.outdate(at, latency) => value,
            Some(_) if sample > value => value + RISE * (sample - value),
            Some(elapsed) => {
                let faded = 1.0 - fade(elapsed, settings.latency_decay);
                let trial = !heavy && sample < value * QUICK && self.trials.quick();
                let least = if trial { TRIAL } else { FALL };
                value + faded.max(least) * (sample - value)
            }
        };
        mean.store(value, at);
        let share = self.failure_share(now, settings);
        if share > 0.0 {
            self.failures.store(share * (1.0 - SUCCESS), at);
        }
    }

    /// A probe was answered after `latency`.
    pub(in crate::upstream) fn probed(
        &self,
        latency: Duration,
        now: Instant,
        settings: &config::Selection,
    ) {
        let at = self.milliseconds(now);
        let sample = latency.as_secs_f32() * 1e6;
        let (mean, _) = self.light.load(at);
        let (slowest, since) = self.slowest_probe.load(at);
        let slowest = since.map_or(0.0, |elapsed| {
            slowest * fade(elapsed, settings.latency_decay)
        });
        self.slowest_probe.store(slowest.max(sample), at);
        self.succeeded(latency, false, now, settings);
        if sample * 2.0 > mean || slowest * 4.0 < mean {
            self.quick_probes.end();
        } else if let Some(slowest) = self.quick_probes.add(sample) {
            self.light.store(slowest, at);
        }
    }

    /// The upstream was out of service and is back: its failures no longer count.
    pub(in crate::upstream) fn forgive(&self, now: Instant) {
        self.failures.store(0.0, self.milliseconds(now));
    }

    /// An attempt failed because of the upstream.
    pub(in crate::upstream) fn failed(&self, now: Instant, settings: &config::Selection) {
        let share = self.failure_share(now, settings);
        let share = share + FAILURE * (1.0 - share);
        self.failures.store(share, self.milliseconds(now));
    }

    /// Expected cost of one more call, in microseconds of latency. Lower is better.
    #[expect(clippy::cast_precision_loss, reason = "a score needs no precision")]
    pub(in crate::upstream) fn cost(
        &self,
        heavy: bool,
        lag: u64,
        weight: u32,
        now: Instant,
        settings: &config::Selection,
    ) -> f32 {
        let at = self.milliseconds(now);
        let remembered = |age: u32| match age.checked_sub(UNTOUCHED) {
            Some(untouched) => fade(untouched, settings.latency_decay / UNTOUCHED_FADES),
            None => 1.0,
        };
        let mean = if heavy { &self.heavy } else { &self.light };
        let latency = match mean.load(at) {
            (_, None) if heavy => UNKNOWN_HEAVY,
            (_, None) => UNKNOWN,
            (value, Some(age)) => value * remembered(age),
        };
        // An unlimited lag must not overflow into a good score.
        let lag = lag.saturating_sub(EVEN);
        let lag = u16::try_from(lag).map_or(f32::from(u16::MAX), f32::from);
        let (_, age) = self.light.load(at);
        let penalty = lag * micros(settings.lag_penalty) * age.map_or(1.0, remembered)
            + self.failure_share(now, settings) * micros(settings.failure_penalty);
        // Twice the weight allows twice the calls in progress.
        let calls = 1.0 + self.in_flight() as f32 / weight.max(1) as f32;
        (latency + penalty) * calls
    }

    /// Whether to send the upstream a call although another one is cheaper, to see whether its mean
    /// is out of date. If so, a trial call has begun.
    pub(in crate::upstream) fn begin_trial(&self, now: Instant) -> bool {
        let at = self.milliseconds(now);
        let (_, since) = self.light.load(at);
        since.is_some_and(|since| self.trials.begin(at, since))
    }

    /// The mean latency of heavy or other calls, if any was answered.
    pub(in crate::upstream) fn latency(&self, heavy: bool) -> Option<Duration> {
        let micros = self.latency_micros(heavy)?;
        Duration::try_from_secs_f32(micros / 1e6).ok()
    }

    fn latency_micros(&self, heavy: bool) -> Option<f32> {
        let mean = if heavy { &self.heavy } else { &self.light };
        let (value, since) = mean.load(0);
        since.map(|_| value)
    }

    /// The ratio of recent attempts that failed, fading over time.
    pub(in crate::upstream) fn failure_share(
        &self,
        now: Instant,
        settings: &config::Selection,
    ) -> f32 {
        let (share, since) = self.failures.load(self.milliseconds(now));
        // It only fades: a normal upstream, which does not fail, needs no exponential.
        if share < NEGLIGIBLE {
            return 0.0;
        }
        let decay = settings.latency_decay / FAILURES_FADE;
        let share = since.map_or(0.0, |elapsed| share * fade(elapsed, decay));
        if share < NEGLIGIBLE { 0.0 } else { share }
    }

    pub(in crate::upstream) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(in crate::upstream) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::upstream) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Milliseconds since the start, never 0, wrapping after 49 days.
    fn milliseconds(&self, now: Instant) -> u32 {
        let elapsed = now.saturating_duration_since(self.start).as_millis();
        #[expect(clippy::cast_possible_truncation, reason = "only differences are used")]
        let wrapped = elapsed as u32;
        wrapped.max(1)
    }
}

/// A number and when it was written, in one atomic: two writers at once lose one sample, never
/// mix two.
#[derive(Debug, Default)]
struct Mean(AtomicU64);

impl Mean {
    /// The number and the milliseconds since it was written; None if it never was.
    fn load(&self, at: u32) -> (f32, Option<u32>) {
        let both = self.0.load(Ordering::Relaxed);
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default();
        match half(both) {
            0 => (0.0, None),
            written => (f32::from_bits(half(both >> 32)), Some(elapsed(written, at))),
        }
    }

    fn store(&self, value: f32, at: u32) {
        let bits = u64::from(value.to_bits()) << 32 | u64::from(at);
        self.0.store(bits, Ordering::Relaxed);
    }
}

/// The remaining fraction after this many milliseconds.
#[expect(clippy::cast_precision_loss, reason = "a score needs no precision")]
fn fade(elapsed: u32, decay: Duration) -> f32 {
    if elapsed == 0 {
        return 1.0;
    }
    (-(elapsed as f32) / (decay.as_secs_f32() * 1000.0).max(1.0)).exp()
}

fn micros(duration: Duration) -> f32 {
    duration.as_secs_f32() * 1e6
}
