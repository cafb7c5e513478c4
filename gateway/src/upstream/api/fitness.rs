//! Conclusions from the canary quotes of one upstream. Pure: the time is passed in.

use std::time::Duration;

use perijove_core::Slot;
use tokio::time::Instant;

use crate::config::JupiterHealth;

/// Whether an upstream is to be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiFitness {
    /// Nothing is known yet; it may be tried.
    #[default]
    Unknown,
    Fit,
    /// Its market state is too old.
    Lagging,
    /// It does not answer correctly.
    Failing,
}

impl ApiFitness {
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Fit => "fit",
            Self::Lagging => "lagging",
            Self::Failing => "failing",
        }
    }
}

/// Observations of one upstream.
#[derive(Debug, Default)]
pub(super) struct ApiHealth {
    fitness: ApiFitness,
    failures: u32,
    /// How many slots its last quote was behind.
    lag: Option<u64>,
    /// When it last recovered.
    recovered: Option<Instant>,
}

impl ApiHealth {
    pub(super) fn fitness(&self) -> ApiFitness {
        self.fitness
    }

    pub(super) fn lag(&self) -> Option<u64> {
        self.lag
    }

    pub(super) fn is_usable(&self) -> bool {
        matches!(self.fitness, ApiFitness::Unknown | ApiFitness::Fit)
    }

    /// A quote arrived, from the market state at `slot`; the cluster is at `tip`.
    pub(super) fn quoted(
        &mut self,
        slot: Option<Slot>,
        tip: Option<Slot>,
        now: Instant,
        limits: &JupiterHealth,
    ) {
        self.failures = 0;
        self.lag = slot.zip(tip).map(|(slot, tip)| slot.lag_behind(tip));
        let next = match (self.fitness, self.lag) {
            (_, Some(lag)) if lag > limits.exclude_lag => ApiFitness::Lagging,
            (ApiFitness::Lagging, Some(lag)) if lag >= limits.readmit_lag => ApiFitness::Lagging,
            _ => ApiFitness::Fit,
        };
        if next == ApiFitness::Fit
            && matches!(self.fitness, ApiFitness::Lagging | ApiFitness::Failing)
        {
            self.recovered = Some(now);
        }
        self.fitness = next;
    }

    /// No quote arrived.
    pub(super) fn failed(&mut self, limits: &JupiterHealth) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= limits.failures {
            self.fitness = ApiFitness::Failing;
        }
    }

    /// It is used again from now on.
    pub(super) fn came_back(&mut self, now: Instant) {
        self.recovered = Some(now);
    }

    /// The share of requests that it gets, in thousandths: less while it has just recovered.
    pub(super) fn share(&self, now: Instant, slow_start: Duration) -> u64 {
        let Some(recovered) = self.recovered else {
            return 1000;
        };
        let since = now.saturating_duration_since(recovered);
        if since >= slow_start {
            return 1000;
        }
        // A tenth at once: nothing is learned about an upstream that gets nothing.
        let part = since.as_millis() * 900 / slow_start.as_millis().max(1);
        100 + u64::try_from(part).unwrap_or(900)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> JupiterHealth {
        JupiterHealth::default()
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_with_old_markets_is_avoided_until_they_are_new() {
        let now = Instant::now();
        let tip = Some(Slot(1_000));
        let mut health = ApiHealth::default();
        assert!(health.is_usable());
        for (slot, fitness) in [
            (999, ApiFitness::Fit),
            (984, ApiFitness::Fit),
            (983, ApiFitness::Lagging),
            (990, ApiFitness::Lagging),
            (992, ApiFitness::Lagging),
            (993, ApiFitness::Fit),
            (985, ApiFitness::Fit),
            (1_050, ApiFitness::Fit),
        ] {
            health.quoted(Some(Slot(slot)), tip, now, &limits());
            assert_eq!(health.fitness(), fitness, "{slot}");
        }
        // Without a slot of either, nothing is concluded.
        health.quoted(None, tip, now, &limits());
        health.quoted(Some(Slot(1)), None, now, &limits());
        assert_eq!((health.fitness(), health.lag()), (ApiFitness::Fit, None));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_comes_back_gets_its_requests_little_by_little() {
        let start = Instant::now();
        let mut health = ApiHealth::default();
        let slow = Duration::from_secs(30);
        assert_eq!(health.share(start, slow), 1000);
        for _ in 0..2 {
            health.failed(&limits());
        }
        assert!(health.is_usable());
        health.failed(&limits());
        assert_eq!(health.fitness(), ApiFitness::Failing);
        health.quoted(None, None, start, &limits());
        for (seconds, share) in [(0, 100), (10, 400), (20, 700), (30, 1000), (90, 1000)] {
            assert_eq!(
                health.share(start + Duration::from_secs(seconds), slow),
                share
            );
        }
        assert_eq!(health.share(start, Duration::ZERO), 1000);
    }
}
