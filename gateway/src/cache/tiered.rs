//! The tiers together: the part of the cache that all requests share, across reloads.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use perijove_core::UnixClock;
use tokio::runtime::Handle;

use super::{
    CacheEntry, CacheKey, CacheMetrics, CacheTier, CopyBudget, Lifetime, MemoryCache, PoolTrades,
    QuoteCache, RedisCache, RedisConfigError, RedisMetrics, RemoteStatus,
};
use crate::config;

/// Copies in progress may take this fraction of the cache's memory, in addition to it.
const COPIES: usize = 16;

/// Kept answers of the whole gateway. It survives reloads.
pub struct TieredCache {
    pub memory: MemoryCache,
    pub metrics: CacheMetrics,
    /// Large answers being copied while they stream.
    pub copies: Arc<CopyBudget>,
    /// Quotes of Jupiter's API.
    pub quotes: QuoteCache,
    /// The trades that expire quotes.
    pub trades: Arc<PoolTrades>,
    remote: ArcSwapOption<RedisCache>,
    redis_metrics: RedisMetrics,
    clock: UnixClock,
}

/// The shared tier that a configuration asks for; inactive until it is adopted.
#[derive(Clone)]
pub struct Prepared(Option<Arc<RedisCache>>);

impl TieredCache {
    /// A cache without the shared tier.
    pub fn new(
        settings: &config::Cache,
        metrics: CacheMetrics,
        redis_metrics: RedisMetrics,
        clock: UnixClock,
    ) -> Self {
        let trades = metrics.trades.clone();
        Self {
            memory: MemoryCache::new(settings.memory, metrics.clone()),
            metrics,
            copies: CopyBudget::new(settings.memory / COPIES),
            quotes: QuoteCache::new(config::Quotes::default().memory),
            trades: Arc::new(PoolTrades::new(trades)),
            remote: ArcSwapOption::empty(),
            redis_metrics,
            clock,
        }
    }

    /// Prepares what these settings ask for. The current shared tier is kept if it is the same.
    /// With `others` (prices, and trades that expire quotes) there is one even where no answers are
    /// kept.
    ///
    /// # Errors
    /// Certificates that cannot be used.
    pub fn prepare(
        &self,
        settings: &config::Cache,
        others: bool,
    ) -> Result<Prepared, RedisConfigError> {
        let wanted = settings.enabled || others;
        let Some(redis) = settings.redis.as_ref().filter(|_| wanted) else {
            return Ok(Prepared(None));
        };
        let longest = settings.max_entry;
        if let Some(present) = self.remote()
            && present.is(redis, longest)
        {
            return Ok(Prepared(Some(present)));
        }
        let metrics = self.redis_metrics.clone();
        RedisCache::new(redis, longest, metrics, self.clock).map(|remote| Prepared(Some(remote)))
    }

    /// Applies new settings.
    pub fn adopt(&self, config: &config::Config, prepared: Prepared, runtime: &Handle) {
        let settings = &config.cache;
        let quotes = &config.jupiter.quote;
        self.memory.resize(settings.memory);
        self.quotes.resize(quotes.memory);
        self.copies.resize(settings.memory / COPIES);
        if let Some(remote) = &prepared.0 {
            remote.start(runtime);
            let listens = config.jupiter.is_served() && quotes.quiet_slots > quotes.valid_slots;
            remote.listen(listens.then_some(&self.trades), runtime);
        }
        self.remote.store(prepared.0);
    }

    /// The tier that replicas share, if there is one.
    pub fn remote(&self) -> Option<Arc<RedisCache>> {
        self.remote.load_full()
    }

    /// Stores an answer in every tier, for `lives` in the shared one unless it is permanent. Never
    /// waits.
    pub fn put(&self, key: CacheKey, entry: &Arc<CacheEntry>, lives: Duration) {
        self.memory.put(key, Arc::clone(entry));
        if let Some(remote) = &*self.remote.load() {
            remote.put(key, entry, lives);
            self.metrics.stored(CacheTier::Redis);
        }
    }

    /// Forgets the answers of these upstreams, here and, as far as known from here, in the shared
    /// tier; and answers here that may have been merged with them. Returns the number of answers.
    ///
    /// An answer merged from several upstreams names one of them. Only short-lived ones are, and
    /// losing those is cheap.
    pub fn forget(&self, upstreams: &[Arc<str>]) -> usize {
        let said = |entry: &CacheEntry| upstreams.contains(&entry.upstream);
        let short = |entry: &CacheEntry| matches!(entry.lifetime, Lifetime::Until(_));
        let gone = self.memory.forget(|entry| said(entry) || short(entry));
        if let Some(remote) = self.remote() {
            let said = gone.iter().filter(|(_, entry)| said(entry));
            remote.forget(said.map(|(key, _)| *key).collect());
        }
        gone.len()
    }

    /// Milliseconds since 1970.
    pub fn unix_now(&self) -> u64 {
        self.clock.millis()
    }

    /// State of the shared tier, for the status page.
    pub fn status(&self) -> Option<RemoteStatus> {
        self.remote().map(|remote| remote.status())
    }
}

impl fmt::Debug for TieredCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};

    use super::*;
    use crate::cache::remote::testing::{balance, key, named};

    fn cache(registry: &Registry) -> TieredCache {
        let metrics = CacheMetrics::register(registry).unwrap();
        let redis = RedisMetrics::register(registry).unwrap();
        TieredCache::new(
            &config::Cache::default(),
            metrics,
            redis,
            UnixClock::new(|| 0),
        )
    }

    #[test]
    fn what_some_upstreams_said_for_good_is_forgotten_and_what_others_said_is_not() {
        let cache = cache(&Registry::new());
        let keep = |number, entry: CacheEntry| cache.memory.put(key(number), Arc::new(entry));
        keep(1, named("stranger").made_permanent());
        keep(2, named("validator").made_permanent());
        // It may have been merged with an answer of the wrong cluster.
        keep(3, named("validator"));
        assert_eq!(cache.forget(&["stranger".into()]), 2);
        let known = [1, 2, 3].map(|number| cache.memory.get(&key(number)).is_some());
        assert_eq!(known, [false, true, false]);
    }

    #[test]
    fn an_answer_that_is_put_is_counted_once() {
        let registry = Registry::new();
        let cache = cache(&registry);
        cache.put(key(1), &Arc::new(balance(100)), Duration::from_secs(1));
        // Older: it is not kept.
        cache.put(key(1), &Arc::new(balance(99)), Duration::from_secs(1));
        let text = TextEncoder::new().encode_to_string(&registry.gather());
        let told = text.unwrap();
        let counted = r#"perijove_cache_stores_total{tier="memory"} 1"#;
        assert!(told.lines().any(|line| line == counted), "{told}");
    }
}
