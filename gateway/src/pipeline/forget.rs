//! Forgets answers of an upstream that turned out to belong to another cluster, and what clients
//! were shown of its head of the chain. A slot of another chain, far above this one's, would make
//! every true answer look old.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use perijove_core::telemetry::json;

use crate::cache::TieredCache;
use crate::dispatch::Floors;
use crate::upstream::Pool;

/// The generation of the pool up to which answers were forgotten.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    generation: AtomicU64,
    /// Held while answers are being forgotten, so that nothing is answered from them.
    forgetting: Mutex<()>,
}

impl Forgotten {
    /// Forgets the answers of upstreams of another cluster, if one was found since the last time.
    pub(super) fn forget_strangers(&self, pool: &Pool, cache: &TieredCache, floors: &Floors) {
        if self.generation.load(Ordering::Acquire) < pool.generation() {
            self.forget_now(pool, cache, floors);
        }
    }

    /// The same for a call that stores something while such an upstream is found.
    pub(super) fn forget_since(
        &self,
        generation: u64,
        pool: &Pool,
        cache: &TieredCache,
        floors: &Floors,
    ) {
        if generation != pool.generation() {
            self.generation.store(0, Ordering::Release);
            self.forget_now(pool, cache, floors);
        }
    }

    #[cold]
    fn forget_now(&self, pool: &Pool, cache: &TieredCache, floors: &Floors) {
        let _forgetting = self.forgetting.lock();
        let generation = pool.generation();
        if self.generation.load(Ordering::Acquire) >= generation {
            return;
        }
        let strangers: Vec<_> = pool
            .upstreams()
            .iter()
            .filter(|upstream| upstream.is_of_other_cluster())
            .map(|upstream| Arc::clone(upstream.name()))
            .collect();
        // Answers first: from then on nobody is shown their slots any more.
        let answers = cache.forget(&strangers);
        floors.forget();
        self.generation.store(generation, Ordering::Release);
        if !strangers.is_empty() {
            tracing::warn!(
                upstreams = json(&strangers).as_slice(),
                answers,
                "upstreams belong to another cluster; their cached answers were dropped"
            );
        }
    }
}
