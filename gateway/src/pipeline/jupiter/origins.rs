//! Which upstream gave which quote and which order, for the requests that follow: remembered here,
//! and in the shared cache if there is one, so that any replica can handle them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use perijove_core::{Commitment, Slot};
use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::cache::{CacheEntry, CacheKey, Expiry, Lifetime, TieredCache};
use crate::jsonrpc::Template;
use crate::jupiter::Fingerprint;

/// Maximum number of each.
const MOST: usize = 100_000;

/// A quote is swapped within seconds, if at all. After that any upstream will do.
const QUOTED: Duration = Duration::from_mins(2);
/// An order's transaction lives as long as its block hash.
const ORDERED: Duration = Duration::from_mins(10);

/// Marks a quote in the shared cache that includes the operator's fee.
const CHARGED: &[u8] = b"charged";

/// The origin of a quote or an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QuoteOrigin {
    /// The upstream's name.
    pub(super) upstream: Arc<str>,
    /// It includes the operator's fee.
    pub(super) charged: bool,
    at: Instant,
}

/// A bounded memory; the least used entries are dropped first.
pub(in crate::pipeline) struct QuoteOrigins {
    quotes: Cache<Fingerprint, QuoteOrigin>,
    orders: Cache<String, QuoteOrigin>,
}

impl Default for QuoteOrigins {
    fn default() -> Self {
        Self {
            quotes: Cache::new(MOST),
            orders: Cache::new(MOST),
        }
    }
}

impl std::fmt::Debug for QuoteOrigins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origins").finish_non_exhaustive()
    }
}

impl QuoteOrigin {
    pub(super) fn new(upstream: &Arc<str>, charged: bool, now: Instant) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            charged,
            at: now,
        }
    }

    fn is_within(&self, lifetime: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < lifetime
    }

    /// The upstream that a swap of this quote should go to.
    pub(super) fn to_stay_with(&self, now: Instant) -> Option<Arc<str>> {
        self.is_within(QUOTED, now)
            .then(|| Arc::clone(&self.upstream))
    }

    /// The entry in the shared cache.
    fn entry(&self) -> Option<CacheEntry> {
        let mark = if self.charged { CHARGED } else { b"" };
        Some(CacheEntry {
            answer: Template::from_parts(Bytes::from_static(mark), 0, None)?,
            read_at: Slot(0),
            dated: false,
            // Redis expires it.
            lifetime: Lifetime::Until(Expiry {
                now: Slot(0),
                commitment: Commitment::Processed,
                reach: Slot(0),
            }),
            upstream: Arc::clone(&self.upstream),
        })
    }

    /// Its time is not stored: it counts from now on.
    fn of(entry: &CacheEntry, now: Instant) -> Self {
        Self {
            upstream: Arc::clone(&entry.upstream),
            charged: entry.answer.body() == CHARGED,
            at: now,
        }
    }
}

impl QuoteOrigins {
    /// A quote was given. It may be passed on when this has ended: all gateways know its origin then. One
    /// that is equal to it, but for whose the fee of the same size is, leaves the operator's fee marked:
    /// callers who name a fee of their own name its account in the swap, which is never overridden.
    pub(super) async fn quoted(
        &self,
        print: Fingerprint,
        mut origin: QuoteOrigin,
        cache: &TieredCache,
    ) {
        let known = self.quotes.get(&print);
        let known = known.filter(|known| known.is_within(QUOTED, origin.at));
        origin.charged |= known.is_some_and(|known| known.charged);
        self.quotes.insert(print, origin.clone());
        share(cache, key_of_quote(print), &origin).await;
    }

    /// The origin of a quote.
    pub(super) async fn of_quote(
        &self,
        print: Fingerprint,
        cache: &TieredCache,
    ) -> Option<QuoteOrigin> {
        let now = Instant::now();
        let known = self.quotes.get(&print);
        if let Some(known) = known.filter(|known| known.is_within(ORDERED, now)) {
            return Some(known);
        }
        let found = shared(cache, key_of_quote(print)).await?;
        self.quotes.insert(print, found.clone());
        Some(found)
    }

    /// The same for an order.
    pub(super) async fn ordered(&self, id: &str, origin: QuoteOrigin, cache: &TieredCache) {
        if is_id(id) {
            self.orders.insert(id.to_owned(), origin.clone());
            share(cache, key_of_order(id), &origin).await;
        }
    }

    /// The upstream that has issued an order.
    pub(super) async fn of_order(&self, id: &str, cache: &TieredCache) -> Option<Arc<str>> {
        if !is_id(id) {
            return None;
        }
        let now = Instant::now();
        let known = self.orders.get(id);
        if let Some(known) = known.filter(|known| known.is_within(ORDERED, now)) {
            return Some(known.upstream);
        }
        Some(shared(cache, key_of_order(id)).await?.upstream)
    }
}

async fn share(cache: &TieredCache, key: CacheKey, origin: &QuoteOrigin) {
    let Some((remote, entry)) = cache.remote().zip(origin.entry()) else {
        return;
    };
    let entry = Arc::new(entry);
    remote.put_in_time(key, &entry, ORDERED).await;
}

async fn shared(cache: &TieredCache, key: CacheKey) -> Option<QuoteOrigin> {
    let entry = cache.remote()?.get(key).await.ok()?;
    Some(QuoteOrigin::of(&entry, Instant::now()))
}

/// Real ids are not longer; and what a client sends must not fill the memory.
fn is_id(id: &str) -> bool {
    id.len() <= 128
}

fn key_of_quote(print: Fingerprint) -> CacheKey {
    key(b"origin/quote", &print.to_bytes())
}

fn key_of_order(id: &str) -> CacheKey {
    key(b"origin/order", id.as_bytes())
}

fn key(kind: &[u8], of: &[u8]) -> CacheKey {
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind);
    hasher.update(of);
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    CacheKey::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_origin_counts_for_as_long_as_it_matters() {
        let (name, now) = ("hosted".into(), Instant::now());
        let origin = QuoteOrigin::new(&name, true, now);
        let later = |minutes| now + Duration::from_mins(minutes);
        assert_eq!(origin.to_stay_with(later(1)).as_deref(), Some("hosted"));
        assert_eq!(origin.to_stay_with(later(2)), None);
        assert!(origin.is_within(ORDERED, later(9)) && !origin.is_within(ORDERED, later(10)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_origin_comes_back_from_the_shared_cache_as_it_was() {
        let name = "hosted".into();
        for charged in [true, false] {
            let origin = QuoteOrigin::new(&name, charged, Instant::now());
            let entry = origin.entry().unwrap();
            assert_eq!(QuoteOrigin::of(&entry, Instant::now()), origin);
        }
    }

    #[test]
    fn quotes_and_orders_never_share_a_key() {
        let bytes = [7; 8];
        let print = Fingerprint::from_bytes(bytes);
        let id = std::str::from_utf8(&bytes).unwrap();
        assert_ne!(key_of_quote(print), key_of_order(id));
    }
}
