//! Kept quotes of Jupiter's API, and answers that there is none. Bounded by bytes. How long one is
//! valid is decided by [`crate::jupiter::QuoteLifetimes`]; which pools have traded since, by
//! [`super::PoolTrades`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use perijove_core::Pubkey;
use perijove_core::Slot;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::CacheKey;

/// Memory per entry besides its bytes, its fields and its pools.
const BESIDE: u64 = 256;

/// Assumed weight of an entry.
const USUAL: u64 = 2048;

/// A kept answer.
#[derive(Debug)]
pub struct KeptQuote {
    pub status: u16,
    /// Header fields to send with it.
    pub fields: Vec<(&'static str, Bytes)>,
    pub body: Bytes,
    /// The upstream that gave it.
    pub upstream: Arc<str>,
    pub context: Option<Slot>,
    /// The pools it leads through; `None` if they are not all known.
    pub pools: Option<Vec<Pubkey>>,
    /// The newest slot of the cluster when the upstream gave it.
    pub tip: Option<Slot>,
    /// When that was.
    pub at: Instant,
    /// Valid for this long, whatever happens: there is no route, or it is not a quote.
    pub lives: Option<Duration>,
}

/// All kept quotes.
pub struct QuoteCache {
    kept: Cache<CacheKey, Arc<KeptQuote>, ByBytes>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<CacheKey, Arc<KeptQuote>> for ByBytes {
    fn weight(&self, _key: &CacheKey, quote: &Arc<KeptQuote>) -> u64 {
        BESIDE + u64::try_from(quote.bytes()).unwrap_or(u64::MAX / 2)
    }
}

impl KeptQuote {
    /// The memory that its lists and texts take.
    fn bytes(&self) -> usize {
        let field = size_of::<(&'static str, Bytes)>();
        let fields: usize = self.fields.iter().map(|(_, value)| value.len()).sum();
        let pools = self.pools.as_ref().map_or(0, Vec::capacity);
        self.body.len() + fields + self.fields.capacity() * field + pools * size_of::<Pubkey>()
    }
}

impl std::fmt::Debug for QuoteCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quotes").finish_non_exhaustive()
    }
}

impl QuoteCache {
    /// Holds at most `bytes`.
    pub fn new(bytes: usize) -> Self {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX / 2);
        let items = usize::try_from(bytes / USUAL).unwrap_or(usize::MAX);
        Self {
            kept: Cache::with_weighter(items.max(16), bytes, ByBytes),
        }
    }

    /// The entry, valid or not.
    pub fn get(&self, key: CacheKey) -> Option<Arc<KeptQuote>> {
        self.kept.get(&key)
    }

    /// Stores a quote, unless one from a later market state is there.
    pub fn put(&self, key: CacheKey, quote: Arc<KeptQuote>) {
        let newer = |kept: Arc<KeptQuote>| {
            kept.context > quote.context && kept.at + Duration::from_secs(1) > quote.at
        };
        if !self.kept.peek(&key).is_some_and(newer) {
            self.kept.insert(key, quote);
        }
    }

    pub fn remove(&self, key: CacheKey) {
        drop(self.kept.remove(&key));
    }

    /// Number of entries, valid or not.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changes the limit to `bytes`.
    pub fn resize(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX / 2);
        if self.kept.capacity() != bytes {
            self.kept.set_capacity(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quote(context: u64, bytes: usize) -> Arc<KeptQuote> {
        Arc::new(KeptQuote {
            status: 200,
            fields: Vec::new(),
            body: vec![b'x'; bytes].into(),
            upstream: "own".into(),
            context: Some(Slot(context)),
            tip: None,
            pools: None,
            at: Instant::now(),
            lives: None,
        })
    }

    fn key(number: u8) -> CacheKey {
        CacheKey::from_bytes([number; 16])
    }

    #[tokio::test(start_paused = true)]
    async fn a_quote_does_not_give_way_to_one_from_earlier_markets() {
        let quotes = QuoteCache::new(1 << 20);
        quotes.put(key(1), quote(10, 1));
        quotes.put(key(1), quote(9, 1));
        assert_eq!(quotes.get(key(1)).unwrap().context, Some(Slot(10)));
        quotes.put(key(1), quote(11, 1));
        assert_eq!(quotes.get(key(1)).unwrap().context, Some(Slot(11)));
        // A quote that claims a slot in the far future does not stay for ever.
        quotes.put(key(1), quote(u64::MAX, 1));
        tokio::time::advance(Duration::from_secs(2)).await;
        quotes.put(key(1), quote(12, 1));
        assert_eq!(quotes.get(key(1)).unwrap().context, Some(Slot(12)));
    }

    #[tokio::test(start_paused = true)]
    async fn their_bytes_are_bounded() {
        let quotes = QuoteCache::new(1 << 20);
        for number in 0..=255 {
            quotes.put(key(number), quote(1, 64 * 1024));
        }
        assert!((1..=16).contains(&quotes.len()), "{}", quotes.len());
    }

    #[tokio::test(start_paused = true)]
    async fn fields_and_pools_are_of_the_bytes() {
        let quotes = QuoteCache::new(1 << 20);
        for number in 0..=255 {
            let long = KeptQuote {
                fields: vec![("etag", vec![b'x'; 32 * 1024].into())],
                pools: Some(vec![Pubkey([number; 32]); 1024]),
                ..Arc::into_inner(quote(1, 1)).unwrap()
            };
            quotes.put(key(number), Arc::new(long));
        }
        assert!((1..=16).contains(&quotes.len()), "{}", quotes.len());
    }
}
