//! Kept answers in this process, bounded by bytes.
//!
//! What is asked for again stays before what was asked for once, so a scan over everything does not
//! drive out what is in use. Whether an entry is still true is the [`CacheEntry`]'s to say; those that
//! are not any more lie here until they are replaced or make room.

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

/// Shards, at most: each is bounded by its share of the bytes, and has to hold several of the
/// largest entries.
const SHARDS: usize = 32;

/// Bytes below which a shard is not split further.
const SHARD: usize = 1024 * 1024;

/// What an entry is thought to weigh, for the number of evicted keys that are remembered.
const USUAL: usize = 1024;

/// The part of a shard that one entry may take.
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

/// How full the memory is, and what it was good for since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryStatus {
    pub entries: usize,
    pub bytes: u64,
    pub of_bytes: u64,
    /// Looks that found what they looked for.
    pub hits: u64,
    pub lookups: u64,
}

type Entries = Cache<CacheKey, Arc<CacheEntry>, ByWeight, ByKey, Evictions>;

impl MemoryCache {
    /// Holds at most `bytes`, what finding the answers takes included.
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

    /// What is kept under a key, true or not.
    pub fn get(&self, key: &CacheKey) -> Option<Arc<CacheEntry>> {
        self.entries.get(key)
    }

    /// Keeps an entry unless a newer one is there or it is too large: one that would drive out a
    /// good part of its shard is not worth that.
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

    /// Lets go of what is kept under a key.
    pub fn remove(&self, key: &CacheKey) {
        let _writing = self.writer(*key).lock();
        drop(self.entries.remove(key));
    }

    /// Lets go of what `lost` says has to go, and gives that. Not for the path of a call: it looks at
    /// everything there is.
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

    /// Holds at most `bytes` from now on; what is too much goes at once.
    pub fn resize(&self, bytes: usize) {
        if self.entries.capacity() != weight(bytes) {
            self.entries.set_capacity(weight(bytes));
        }
    }

    /// How full it is, and what it was good for, for people.
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

/// Counts what has to go, and frees it once the shard's lock is let go of.
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
