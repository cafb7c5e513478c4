//! Step 11: an answer is stored in memory and in Redis for as long as it is valid.

use std::sync::Arc;

use super::cacheable::CacheableCall;
use crate::cache::{AnswerOrigin, KeyScope};
use crate::dispatch::{AnswerPayload, CallSummary, Delivered};
use crate::solana;

impl CacheableCall<'_> {
    /// Stores an answer if it may be kept, and returns whether it was complete.
    pub(super) fn store(
        &self,
        delivered: &Delivered<AnswerPayload>,
        attempt_summary: &CallSummary,
    ) -> bool {
        let Delivered::Payload(AnswerPayload::Whole(answer)) = delivered else {
            return false;
        };
        let _step = self.step("store");
        // Another upstream may have what this one says does not exist, or a newer answer.
        if !attempt_summary.may_be_kept() {
            return false;
        }
        let snapshot = &self.request.snapshot;
        let (Some(upstream), true) = (
            &attempt_summary.upstream,
            snapshot.cache.keeps(self.class.method),
        ) else {
            return false;
        };
        let pool = &snapshot.pool;
        let generation = pool.generation();
        let Some(view) = self.view().filter(|_| !upstream.is_of_other_cluster()) else {
            return false;
        };
        let dated = solana::keep(self.class, self.call.params(), answer);
        let source = AnswerOrigin {
            upstream: upstream.name(),
            reached: attempt_summary.reached,
        };
        let admitted = snapshot
            .cache
            .admit(answer, &dated, self.class, &view, &source);
        // Permanently only from an upstream that was verified to belong to this cluster.
        let trusted = |scope| scope != KeyScope::Permanent || upstream.is_of(&self.keys.cluster);
        let admitted = admitted.filter(|(scope, _)| trusted(*scope));
        let kept = admitted.is_some();
        if let Some((scope, entry)) = admitted {
            let cache = &self.request.pipeline.cache;
            let slots = entry.remaining(&view).unwrap_or_default();
            let lives = snapshot
                .config
                .cluster
                .slot_time
                .saturating_mul(u32::try_from(slots).unwrap_or(u32::MAX));
            cache.put(self.key(scope), &Arc::new(entry), lives);
        }
        self.keep_accounts(answer, &view, &source);
        self.request.pipeline.forget_since(generation, pool);
        kept
    }
}
