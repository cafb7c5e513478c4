//! Kept answers in this process, bounded by bytes.
//!
//! Entries that are read again are kept before entries that were read once, so a scan does not
//! evict what is in use. [`CacheEntry`] decides whether an entry is still valid; expired ones stay
//! until they are replaced or evicted.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::IntCounter;
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};
use serde::Serialize;

use super::key::ByKey;
use super::metrics::CacheUsage;
use super::{CacheEntry, CacheKey, CacheMetrics, CacheTier, Lookup};

#[cfg(test)]
mod tests;

/// Maximum number of shards: each is bounded by its share of the bytes, and has to hold several of
/// the largest entries.
const SHARDS: usize = 32;

/// Bytes below which a shard is not split further.
const SHARD: usize = 1024 * 1024;

/// Assumed weight of an entry, for the number of evicted keys that are remembered.
const USUAL: usize = 1024;

/// One entry may take this fraction of a shard.
const SHARE: u64 = 4;

/// Locks against two writers of one key.
const WRITERS: usize = 64;

/// Kept answers in this process.
#[derive(Debug)]
pub struct MemoryCache {
    entries: Arc<Entries>,
    writers: [Mutex<()>; WRITERS],
    metrics: CacheMetrics,
}

/// How full the memory is, and its hits since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryStatus {
    pub entries: usize,
    pub bytes: u64,
    pub of_bytes: u64,
    /// Lookups that found an entry.
    pub hits: u64,
    pub lookups: u64,
}

type Entries = Cache<CacheKey, Arc<CacheEntry>, ByWeight, ByKey, Evictions>;

impl MemoryCache {
    /// Holds at most `bytes`, including the index.
    pub fn new(bytes: usize, metrics: CacheMetrics) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_shards(shards(bytes, cores), bytes, metrics)
    }

    fn with_shards(shards: usize, bytes: usize, metrics: CacheMetrics) -> Self {
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(bytes / USUAL)
            .weight_capacity(weight(bytes))
            .build();
        #[expect(clippy::expect_used, reason = "what has to be set is set above")]
        let options = options.expect("complete options");
        let evictions = Evictions(metrics.evictions());
        let entries = Arc::new(Cache::with_options(
            options,
            ByWeight,
            ByKey::default(),
            evictions,
        ));
        metrics.show(Arc::<Entries>::clone(&entries));
        Self {
            entries,
            writers: std::array::from_fn(|_| Mutex::new(())),
            metrics,
        }
    }

    /// The entry under a key, expired or not.
    pub fn get(&self, key: &CacheKey) -> Option<Arc<CacheEntry>> {
        self.entries.get(key)
    }

    /// Stores an entry unless a newer one is there or it is too large: an entry that would evict a
    /// good part of its shard is not worth it.
    pub fn put(&self, key: CacheKey, entry: Arc<CacheEntry>) {
        if entry.weight() > self.entries.shard_capacity() / SHARE {
            return;
        }
        let _writing = self.writer(key).lock();
        let newer = |held: Arc<CacheEntry>| held.read_at > entry.read_at;
        if self.entries.peek(&key).is_some_and(newer) {
            return;
        }
        self.entries.insert(key, entry);
        self.metrics.stored(CacheTier::Memory);
    }

    /// Removes the entry of a key.
    pub fn remove(&self, key: &CacheKey) {
        let _writing = self.writer(*key).lock();
        drop(self.entries.remove(key));
    }

    /// Removes all entries for which `lost` is true, and returns them. Not for the request path: it
    /// visits every entry.
    pub fn forget(&self, lost: impl Fn(&CacheEntry) -> bool) -> Vec<(CacheKey, Arc<CacheEntry>)> {
        let gone = Mutex::new(Vec::new());
        self.entries.retain(|key, entry| {
            let goes = lost(entry);
            if goes {
                gone.lock().push((*key, Arc::clone(entry)));
            }
            !goes
        });
        gone.into_inner()
    }

    /// Changes the limit to `bytes`; the excess is evicted at once.
    pub fn resize(&self, bytes: usize) {
        if self.entries.capacity() != weight(bytes) {
            self.entries.set_capacity(weight(bytes));
        }
    }

    /// Usage and hits, for the status page.
    pub fn status(&self) -> MemoryStatus {
        let (bytes, entries) = self.entries.held();
        MemoryStatus {
            entries,
            bytes,
            of_bytes: self.entries.capacity(),
            hits: self.metrics.in_memory(Lookup::Hit),
            lookups: Lookup::ALL
                .iter()
                .map(|result| self.metrics.in_memory(*result))
                .sum(),
        }
    }

    fn writer(&self, key: CacheKey) -> &Mutex<()> {
        let [first, ..] = key.to_bytes();
        let [lock, ..] = &self.writers;
        self.writers
            .get(usize::from(first) % WRITERS)
            .unwrap_or(lock)
    }
}

/// How many shards: enough for the cores, none too small.
fn shards(bytes: usize, cores: usize) -> usize {
    let most = (cores * 4).clamp(1, SHARDS).min((bytes / SHARD).max(1));
    // The number is rounded up to a power of two where it is used.
    1 << most.ilog2()
}

fn weight(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[derive(Clone, Debug)]
struct ByWeight;

impl Weighter<CacheKey, Arc<CacheEntry>> for ByWeight {
    fn weight(&self, _: &CacheKey, entry: &Arc<CacheEntry>) -> u64 {
        entry.weight()
    }
}

impl CacheUsage for Entries {
    fn held(&self) -> (u64, usize) {
        (self.weight(), self.len())
    }
}

/// Counts what is evicted, and frees it after the shard's lock is released.
#[derive(Clone, Debug)]
struct Evictions(IntCounter);

impl Lifecycle<CacheKey, Arc<CacheEntry>> for Evictions {
    type RequestState = Vec<Arc<CacheEntry>>;

    // Called for what makes room; unlike the next, not for what is replaced.
    fn before_evict(&self, _: &mut Self::RequestState, _: &CacheKey, _: &mut Arc<CacheEntry>) {
        self.0.inc();
    }

    fn on_evict(&self, gone: &mut Self::RequestState, _: CacheKey, entry: Arc<CacheEntry>) {
        gone.push(entry);
    }
}
