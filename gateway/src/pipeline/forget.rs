//! Forgets answers of an upstream that turned out to belong to another cluster, and what clients
//! were shown of its head of the chain. A slot of another chain, far above this one's, would make
//! every true answer look old.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use perijove_core::telemetry::json;

use super::Pipeline;
use crate::upstream::Pool;

/// The generation of the pool up to which answers were forgotten.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    generation: AtomicU64,
    /// Held while answers are being forgotten, so that nothing is answered from them.
    forgetting: Mutex<()>,
}

impl Pipeline {
    /// Forgets the answers of upstreams of another cluster, if one was found since the last time.
    pub(super) fn forget_strangers(&self, pool: &Pool) {
        if self.forgotten.generation.load(Ordering::Acquire) < pool.generation() {
            self.forget_now(pool);
        }
    }

    /// The same for a call that stores something while such an upstream is found.
    pub(super) fn forget_since(&self, generation: u64, pool: &Pool) {
        if generation != pool.generation() {
            self.forgotten.generation.store(0, Ordering::Release);
            self.forget_now(pool);
        }
    }

    #[cold]
    fn forget_now(&self, pool: &Pool) {
        let _forgetting = self.forgotten.forgetting.lock();
        let generation = pool.generation();
        if self.forgotten.generation.load(Ordering::Acquire) >= generation {
            return;
        }
        let strangers: Vec<_> = pool
            .upstreams()
            .iter()
            .filter(|upstream| upstream.is_of_other_cluster())
            .map(|upstream| Arc::clone(upstream.name()))
            .collect();
        // Answers first: from then on nobody is shown their slots any more.
        let answers = self.cache.forget(&strangers);
        self.dispatch_state.rpc.floors.forget();
        self.forgotten
            .generation
            .store(generation, Ordering::Release);
        if !strangers.is_empty() {
            tracing::warn!(
                upstreams = json(&strangers).as_slice(),
                answers,
                "upstreams belong to another cluster; their cached answers were dropped"
            );
        }
    }
}
