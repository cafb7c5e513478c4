//! Step 9: a call is answered from Redis, which gateways share; or waits for another gateway that
//! is making it.

use std::sync::Arc;

use smallvec::SmallVec;
use tokio::time::timeout_at;

use super::cacheable::CacheableCall;
use super::memory_lookup::MemoryLookup;
use crate::cache::{
    Awaited, CacheEntry, CacheKey, CacheTier, Claim, Claimed, EntryFreshness, Lookup, RedisCache,
};

/// The result beyond this gateway.
pub(super) enum RemoteLookup {
    Found(Arc<CacheEntry>),
    /// Another gateway was fetching it, and its answer arrived.
    FetchedByOther(Arc<CacheEntry>),
    /// The caller has to fetch it; with a claim, others wait for it.
    NotFound(Option<Claim>),
}

impl CacheableCall<'_> {
    /// What was stored since the memory lookup, by this gateway or another.
    pub(super) async fn look_up_remote(&self) -> RemoteLookup {
        if !self.reads() {
            return RemoteLookup::NotFound(None);
        }
        let Some(view) = self.view() else {
            return RemoteLookup::NotFound(None);
        };
        if let (MemoryLookup::Fresh(entry), _) = self.find_in_memory(&view) {
            return RemoteLookup::Found(entry);
        }
        let cache = &self.request.pipeline.cache;
        let Some(remote) = cache.remote() else {
            return RemoteLookup::NotFound(None);
        };
        let _step = self.step("cache.redis");
        let count = |result| cache.metrics.lookup(CacheTier::Redis, result);
        if let Some(entry) = self.look_up_redis(&remote, count).await {
            return RemoteLookup::Found(entry);
        }
        let slots = self.request.snapshot.cache.slots(self.class);
        match remote.claim(self.keys.in_flight, view.now, slots).await {
            Claimed::Mine(claim) => RemoteLookup::NotFound(Some(claim)),
            Claimed::Unknown => RemoteLookup::NotFound(None),
            Claimed::Taken(awaited) => {
                let fetched = self.wait_for_other_gateway(&remote, awaited);
                match timeout_at(self.request.context.deadline, fetched).await {
                    Ok(Some(entry)) => RemoteLookup::FetchedByOther(entry),
                    Ok(None) | Err(_) => RemoteLookup::NotFound(None),
                }
            }
        }
    }

    /// Waits for what another gateway fetches, until it is there or no longer expected.
    async fn wait_for_other_gateway(
        &self,
        remote: &RedisCache,
        mut awaited: Awaited,
    ) -> Option<Arc<CacheEntry>> {
        while awaited.next().await {
            if let Some(entry) = self.look_up_redis(remote, |_uncounted| ()).await {
                awaited.found();
                return Some(entry);
            }
        }
        None
    }

    /// The valid entry in Redis, if any. Each lookup is reported to `count`.
    async fn look_up_redis(
        &self,
        remote: &RedisCache,
        count: impl Fn(Lookup),
    ) -> Option<Arc<CacheEntry>> {
        // All keys at once: one deadline for all of them.
        let keys: SmallVec<[CacheKey; 2]> = self.keys().collect();
        let looked_up = remote.get_many(&keys).await;
        for (key, looked_up) in keys.into_iter().zip(looked_up) {
            let found = self.judge_remote(looked_up);
            count(found.as_ref().map_or_else(|why| *why, |_entry| Lookup::Hit));
            if let Ok(entry) = found {
                let memory = &self.request.pipeline.cache.memory;
                memory.put(key, Arc::clone(&entry));
                return Some(entry);
            }
        }
        None
    }

    fn judge_remote(
        &self,
        looked_up: Result<CacheEntry, Lookup>,
    ) -> Result<Arc<CacheEntry>, Lookup> {
        let entry = looked_up?;
        // It may be from before an upstream of another cluster was found, here or by another
        // gateway.
        let pool = &self.request.snapshot.pool;
        let giver = pool.upstream(&entry.upstream);
        if giver.is_some_and(|upstream| upstream.is_of_other_cluster()) {
            return Err(Lookup::Unfit);
        }
        let view = self.view().ok_or(Lookup::Unfit)?;
        match self.freshness_for_caller(&entry, &view) {
            Some(EntryFreshness::Fresh | EntryFreshness::Permanent) => Ok(Arc::new(entry)),
            Some(EntryFreshness::Stale(_)) => Err(Lookup::Expired),
            None => Err(Lookup::Unfit),
        }
    }
}
