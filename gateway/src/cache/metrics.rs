//! Metrics of the cache. Those of the connection to Redis are beside it.

use std::sync::{Arc, OnceLock};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::cache::TradeMetrics;
use crate::solana::Class;

/// Where answers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheTier {
    Memory,
    Redis,
}

impl CacheTier {
    const fn label(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis => "redis",
        }
    }
}

/// Result of one lookup in a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Found and valid.
    Hit,
    /// Found, but expired.
    Expired,
    /// Found and valid, but older than the slot this caller asks for, or than what it was told
    /// before.
    Unfit,
    /// Not found.
    Miss,
    /// Timed out.
    Slow,
    /// The tier failed.
    Error,
}

impl Lookup {
    pub(super) const ALL: [Self; 6] = [
        Self::Hit,
        Self::Expired,
        Self::Unfit,
        Self::Miss,
        Self::Slow,
        Self::Error,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Expired => "expired",
            Self::Unfit => "unfit",
            Self::Miss => "miss",
            Self::Slow => "slow",
            Self::Error => "error",
        }
    }
}

/// The amount held, read when metrics are scraped.
pub(super) trait CacheUsage: Send + Sync {
    /// Bytes and entries.
    fn held(&self) -> (u64, usize);
}

/// Counters and gauges of the cache. Clones count together.
#[derive(Clone, Debug)]
pub struct CacheMetrics {
    lookups: IntCounterVec,
    /// For the memory, in the order of [`Lookup::ALL`]: finding a counter by its labels costs as
    /// much as the lookup itself.
    in_memory: [OnceLock<IntCounter>; Lookup::ALL.len()],
    stores: IntCounterVec,
    evictions: IntCounter,
    coalesced: IntCounter,
    credits_saved: IntCounter,
    hits: IntCounter,
    prices: IntCounter,
    products: IntCounterVec,
    /// For the trades that ingest publishes.
    pub(super) trades: TradeMetrics,
    holdings: UsageGauges,
}

impl CacheMetrics {
    /// # Errors
    /// When one of the names is taken in `registry`.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let family = |name, help, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let counter = |name, help| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let products = family(
            "jupiter_api_cache_hits_total",
            "Calls answered from the cache, by product",
            &["product"],
        )?;
        let holdings = UsageGauges::new()?;
        registry.register(Box::new(holdings.clone()))?;
        let metrics = Self {
            lookups: family(
                "perijove_cache_lookups_total",
                "Lookups in a tier of the cache, by result",
                &["tier", "result"],
            )?,
            in_memory: std::array::from_fn(|_| OnceLock::new()),
            stores: family(
                "perijove_cache_stores_total",
                "Answers stored in a tier of the cache",
                &["tier"],
            )?,
            evictions: counter(
                "perijove_cache_evictions_total",
                "Answers dropped from memory to make room for others",
            )?,
            coalesced: counter(
                "perijove_cache_coalesced_total",
                "Calls answered by an identical call in flight",
            )?,
            credits_saved: counter(
                "perijove_cache_credits_saved_total",
                "Cost of the calls answered without an upstream, in units of the cheapest call",
            )?,
            hits: products.with_label_values(&["rpc"]),
            prices: products.with_label_values(&["price"]),
            products,
            trades: TradeMetrics::register(registry)?,
            holdings,
        };
        metrics.begin();
        Ok(metrics)
    }

    /// Creates every series at zero.
    fn begin(&self) {
        for tier in [CacheTier::Memory, CacheTier::Redis] {
            self.stores.with_label_values(&[tier.label()]);
            for result in Lookup::ALL {
                let labels = [tier.label(), result.label()];
                self.lookups.with_label_values(&labels);
            }
        }
    }

    /// The counter of memory lookups with this result.
    pub(super) fn in_memory(&self, result: Lookup) -> u64 {
        let labels = [CacheTier::Memory.label(), result.label()];
        self.lookups.with_label_values(&labels).get()
    }

    /// One look into one tier.
    pub fn lookup(&self, tier: CacheTier, result: Lookup) {
        let find = || {
            self.lookups
                .with_label_values(&[tier.label(), result.label()])
        };
        match (tier, self.in_memory.get(result as usize)) {
            (CacheTier::Memory, Some(counter)) => counter.get_or_init(find).inc(),
            _ => find().inc(),
        }
    }

    /// A call was answered from the cache, from either tier.
    pub fn hit(&self, class: &Class) {
        self.hits.inc();
        self.saved(class);
    }

    /// All prices of a request were known.
    pub fn price_told(&self) {
        self.prices.inc();
    }

    /// A request for a product of Jupiter's API was answered without an upstream.
    pub fn product_told(&self, product: &str) {
        self.products.with_label_values(&[product]).inc();
        self.credits_saved.inc();
    }

    /// A call was answered by an identical one in flight.
    pub fn coalesced(&self, class: &Class) {
        self.coalesced.inc();
        self.saved(class);
    }

    /// An answer was stored in a tier.
    pub fn stored(&self, tier: CacheTier) {
        self.stores.with_label_values(&[tier.label()]).inc();
    }

    pub(super) fn evictions(&self) -> IntCounter {
        self.evictions.clone()
    }

    /// From now on the gauges show this cache.
    pub(super) fn show(&self, held: Arc<dyn CacheUsage>) {
        // There is one memory; a second one would have metrics of its own.
        drop(self.holdings.held.set(held));
    }

    fn saved(&self, class: &Class) {
        self.credits_saved.inc_by(u64::from(class.profile().cost));
    }
}

/// Gauges that are computed when they are scraped.
#[derive(Clone)]
struct UsageGauges {
    bytes: IntGauge,
    entries: IntGauge,
    held: Arc<OnceLock<Arc<dyn CacheUsage>>>,
}

impl UsageGauges {
    fn new() -> prometheus::Result<Self> {
        Ok(Self {
            bytes: IntGauge::new(
                "perijove_cache_bytes",
                "Memory held by answers, including their index",
            )?,
            entries: IntGauge::new("perijove_cache_entries", "Answers held in memory")?,
            held: Arc::default(),
        })
    }
}

impl std::fmt::Debug for UsageGauges {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Holdings(..)")
    }
}

impl Collector for UsageGauges {
    fn desc(&self) -> Vec<&Desc> {
        [self.bytes.desc(), self.entries.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (bytes, entries) = self.held.get().map_or((0, 0), |held| held.held());
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        [self.bytes.collect(), self.entries.collect()].concat()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;
    use crate::solana::classify;

    struct FixedUsage;

    impl CacheUsage for FixedUsage {
        fn held(&self) -> (u64, usize) {
            (4096, 3)
        }
    }

    fn scrape(registry: &Registry) -> String {
        TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap()
    }

    #[test]
    fn every_count_is_found_under_its_name() {
        let registry = Registry::new();
        let metrics = CacheMetrics::register(&registry).unwrap();
        for result in Lookup::ALL {
            metrics.lookup(CacheTier::Memory, result);
            metrics.clone().lookup(CacheTier::Memory, result);
            metrics.lookup(CacheTier::Redis, result);
        }
        metrics.stored(CacheTier::Redis);
        metrics.evictions().inc();
        let class = classify("getProgramAccounts", None);
        metrics.hit(&class);
        metrics.coalesced(&class);
        metrics.show(Arc::new(FixedUsage));
        let text = scrape(&registry);
        for line in [
            r#"perijove_cache_lookups_total{result="unfit",tier="memory"} 2"#,
            r#"perijove_cache_lookups_total{result="slow",tier="redis"} 1"#,
            r#"perijove_cache_stores_total{tier="redis"} 1"#,
            "perijove_cache_evictions_total 1",
            "perijove_cache_coalesced_total 1",
            "perijove_cache_credits_saved_total 100",
            r#"jupiter_api_cache_hits_total{product="rpc"} 1"#,
            "perijove_cache_bytes 4096",
            "perijove_cache_entries 3",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn nothing_is_held_before_there_is_a_memory() {
        let registry = Registry::new();
        drop(CacheMetrics::register(&registry).unwrap());
        assert!(scrape(&registry).contains("perijove_cache_bytes 0"));
    }

    #[test]
    fn each_result_has_a_place_of_its_own() {
        for (place, result) in Lookup::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, place);
        }
    }
}
