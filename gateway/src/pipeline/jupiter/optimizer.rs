//! What the route optimizer knows between quotes: which variant was the best for a pair, and how many
//! requests it may still send.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use perijove_core::Pubkey;
use quick_cache::sync::Cache;
use tokio::time::Instant;

/// Pairs whose best variant is remembered.
const PAIRS: usize = 10_000;

/// What is sold and bought, and whether the amount is of what is sold.
pub(super) type QuotedPair = (Pubkey, Pubkey, bool);

/// What is remembered for a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PairMemory {
    pub(super) variant: Arc<str>,
    /// When all variants were last compared; later quotes do not change it.
    explored: Instant,
}

/// State between quotes.
pub(in crate::pipeline) struct Optimizer {
    choices: Cache<QuotedPair, PairMemory>,
    budget: Mutex<VariantBudget>,
}

/// Requests allowed besides the first of each quote: a bucket that refills within a minute.
#[derive(Debug)]
struct VariantBudget {
    left: f64,
    at: Option<Instant>,
}

impl Default for Optimizer {
    fn default() -> Self {
        Self {
            choices: Cache::new(PAIRS),
            budget: Mutex::new(VariantBudget {
                left: 0.0,
                at: None,
            }),
        }
    }
}

impl std::fmt::Debug for Optimizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Optimizer").finish_non_exhaustive()
    }
}

impl VariantBudget {
    /// Takes one request, if there is one.
    fn take(&mut self, per_minute: u32, now: Instant) -> bool {
        let most = f64::from(per_minute);
        let since = self.at.map(|at| now.saturating_duration_since(at));
        self.left = match since {
            None => most,
            Some(since) => (self.left + most * since.as_secs_f64() / 60.0).min(most),
        };
        self.at = Some(now);
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

impl Optimizer {
    /// The best variant of a pair, if the last full comparison is recent.
    pub(super) fn known(
        &self,
        pair: &QuotedPair,
        ttl: Duration,
        now: Instant,
    ) -> Option<PairMemory> {
        let known = self.choices.get(pair)?;
        (now.saturating_duration_since(known.explored) < ttl).then_some(known)
    }

    /// Remembers the best of all variants.
    pub(super) fn learn(&self, pair: QuotedPair, variant: Arc<str>, now: Instant) {
        let choice = PairMemory {
            variant,
            explored: now,
        };
        self.choices.insert(pair, choice);
    }

    /// The next quote compares all variants.
    pub(super) fn forget(&self, pair: &QuotedPair) {
        drop(self.choices.remove(pair));
    }
    /// Takes a further request from the minute's budget, if there is one.
    pub(super) fn may_ask(&self, per_minute: u32, now: Instant) -> bool {
        self.budget.lock().take(per_minute, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_choice_is_forgotten_however_often_it_was_good() {
        let (optimizer, now) = (Optimizer::default(), Instant::now());
        let pair = (Pubkey([1; 32]), Pubkey([2; 32]), true);
        let ttl = Duration::from_mins(5);
        let known = |minutes| {
            let now = now + Duration::from_mins(minutes);
            let known = optimizer.known(&pair, ttl, now);
            known.map(|known| known.variant.to_string())
        };
        assert_eq!(known(0), None);
        optimizer.learn(pair, "direct".into(), now);
        for minute in 0..5 {
            assert_eq!(known(minute).as_deref(), Some("direct"));
        }
        assert_eq!(known(5), None);
        optimizer.learn(pair, "direct".into(), now);
        optimizer.forget(&pair);
        assert_eq!(known(0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_for_beside_the_first_is_bounded_by_the_minute() {
        let mut budget = VariantBudget {
            left: 0.0,
            at: None,
        };
        let now = Instant::now();
        let taken = (0..100).filter(|_| budget.take(60, now)).count();
        assert_eq!(taken, 60);
        let later = now + Duration::from_secs(10);
        let taken = (0..100).filter(|_| budget.take(60, later)).count();
        assert_eq!(taken, 10);
        assert!(!budget.take(0, later + Duration::from_hours(1)));
    }
}
