//! Who gave which quote and which order, for the requests that follow from them.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::jupiter::Fingerprint;

/// How many are remembered of each.
const MOST: usize = 100_000;

/// A quote is swapped within seconds, if at all.
const QUOTED: Duration = Duration::from_mins(2);
/// An order's transaction lives as long as its block hash.
const ORDERED: Duration = Duration::from_mins(10);

/// The upstream, by its name, and when it was.
type Origin = (Arc<str>, Instant);

/// A bounded memory; the least used of it goes first.
pub(in crate::pipeline) struct Origins {
    quotes: Cache<Fingerprint, Origin>,
    orders: Cache<String, Origin>,
    /// Quotes with the operator's fee in them.
    charged: Cache<Fingerprint, Instant>,
}

impl Default for Origins {
    fn default() -> Self {
        Self {
            quotes: Cache::new(MOST),
            orders: Cache::new(MOST),
            charged: Cache::new(MOST),
        }
    }
}

impl std::fmt::Debug for Origins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origins").finish_non_exhaustive()
    }
}

impl Origins {
    pub(super) fn quoted(&self, print: Fingerprint, upstream: &Arc<str>, now: Instant) {
        self.quotes.insert(print, (Arc::clone(upstream), now));
    }

    /// The operator's fee is in this quote.
    pub(super) fn charged(&self, print: Fingerprint, now: Instant) {
        self.charged.insert(print, now);
    }

    pub(super) fn is_charged(&self, print: Fingerprint) -> bool {
        self.charged.get(&print).is_some()
    }

    pub(super) fn of_quote(&self, print: Fingerprint, now: Instant) -> Option<Arc<str>> {
        recent(self.quotes.get(&print), QUOTED, now)
    }

    pub(super) fn ordered(&self, id: &str, upstream: &Arc<str>, now: Instant) {
        // Nobody's ids are longer; and what a client sends must not fill the memory.
        if id.len() <= 128 {
            self.orders
                .insert(id.to_owned(), (Arc::clone(upstream), now));
        }
    }

    pub(super) fn of_order(&self, id: &str, now: Instant) -> Option<Arc<str>> {
        recent(self.orders.get(id), ORDERED, now)
    }
}

fn recent(origin: Option<Origin>, lifetime: Duration, now: Instant) -> Option<Arc<str>> {
    let (upstream, at) = origin?;
    (now.saturating_duration_since(at) < lifetime).then_some(upstream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_order_is_known_by_its_id_until_its_transaction_is_dead() {
        let (origins, now) = (Origins::default(), Instant::now());
        origins.ordered("a", &"hosted".into(), now);
        let later = |minutes| now + Duration::from_mins(minutes);
        assert_eq!(origins.of_order("a", later(9)).as_deref(), Some("hosted"));
        assert_eq!(origins.of_order("a", later(10)), None);
        assert_eq!(origins.of_order("b", now), None);
        origins.ordered(&"x".repeat(200), &"hosted".into(), now);
        assert_eq!(origins.of_order(&"x".repeat(200), now), None);
    }
}
