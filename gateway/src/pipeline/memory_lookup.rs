//! Step 7: a call is answered from memory, if an answer there is valid for its caller.

use std::sync::Arc;
use std::time::Duration;

use super::cache_use::CacheStatus;
use super::cacheable::CacheableCall;
use super::call_reply::CallReply;
use crate::cache::{CacheEntry, CacheKey, CacheTier, EntryFreshness, Lookup};
use crate::jsonrpc::Id;
use crate::solana::SlotView;

/// The result of answering from memory.
pub(super) enum MemoryAnswer {
    /// An answer that is valid now.
    Fresh(CallReply),
    /// An expired one within `cache.stale_while_revalidate`, to be refreshed in the background.
    Stale(CallReply),
    /// Nothing. An expired entry may still replace a failure.
    Miss(Option<Arc<CacheEntry>>),
}

/// What memory has under a call's keys.
pub(super) enum MemoryLookup {
    /// Valid now.
    Fresh(Arc<CacheEntry>),
    /// Expired this many slots ago.
    Stale(Arc<CacheEntry>, u64),
    Nothing,
}

impl CacheableCall<'_> {
    /// Looks for an answer in memory.
    pub(super) fn answer_from_memory(&self, id: &Id) -> MemoryAnswer {
        let Some(view) = self.view().filter(|_| self.reads()) else {
            return MemoryAnswer::Miss(None);
        };
        let _step = self.step("cache.memory");
        self.count_read();
        let expired = match self.look_up(&view) {
            MemoryLookup::Fresh(entry) => {
                return MemoryAnswer::Fresh(self.reply_from_entry(&entry, id, CacheStatus::Hit));
            }
            MemoryLookup::Stale(entry, past)
                if past <= self.request.snapshot.cache.stale_while_revalidate() =>
            {
                return MemoryAnswer::Stale(self.reply_from_entry(&entry, id, CacheStatus::Stale));
            }
            MemoryLookup::Stale(entry, _) => Some(entry),
            MemoryLookup::Nothing => None,
        };
        match self.composed(&view) {
            Some(answer) => MemoryAnswer::Fresh(self.reply_composed(answer, id)),
            None => MemoryAnswer::Miss(expired),
        }
    }

    /// Looks into memory.
    fn look_up(&self, view: &SlotView) -> MemoryLookup {
        let (found, result) = self.find_in_memory(view);
        let metrics = &self.request.pipeline.cache.metrics;
        metrics.lookup(CacheTier::Memory, result);
        found
    }

    /// The same, without counting.
    pub(super) fn find_in_memory(&self, view: &SlotView) -> (MemoryLookup, Lookup) {
        let cache = &self.request.pipeline.cache;
        let (mut found, mut result) = (MemoryLookup::Nothing, Lookup::Miss);
        for key in self.keys() {
            let Some(entry) = cache.memory.get(&key) else {
                continue;
            };
            match self.freshness_for_caller(&entry, view) {
                Some(EntryFreshness::Fresh) => {
                    (found, result) = (MemoryLookup::Fresh(entry), Lookup::Hit);
                    break;
                }
                Some(EntryFreshness::Permanent) => {
                    self.promote(key, &entry);
                    (found, result) = (MemoryLookup::Fresh(entry), Lookup::Hit);
                    break;
                }
                Some(EntryFreshness::Stale(past)) => {
                    (found, result) = (MemoryLookup::Stale(entry, past), Lookup::Expired);
                }
                None => result = Lookup::Unfit,
            }
        }
        (found, result)
    }

    /// Moves an entry whose slot has become final to the permanent scope, where every commitment
    /// finds it.
    fn promote(&self, found_under: CacheKey, entry: &Arc<CacheEntry>) {
        let Some(settled) = self
            .keys
            .permanent
            .filter(|settled| *settled != found_under)
        else {
            return;
        };
        let cache = &self.request.pipeline.cache;
        // The lifetime in seconds does not matter for permanent entries.
        cache.put(settled, &Arc::new(entry.made_permanent()), Duration::ZERO);
        cache.memory.remove(&found_under);
    }
}
