//! What other gateways know, or are about to know.

use std::sync::Arc;

use smallvec::SmallVec;
use tokio::time::timeout_at;

use super::question::{Found, Question};
use crate::cache::{Awaited, Claim, Claimed, Entry, Freshness, Key, Lookup, Remote, Tier};

/// What was found beyond this gateway.
pub(super) enum Elsewhere {
    Known(Arc<Entry>),
    /// Another gateway was fetching it, and has.
    Fetched(Arc<Entry>),
    /// It is for the caller to fetch; with a claim, others wait for it.
    Nothing(Option<Claim>),
}

impl Question<'_> {
    /// What became known since the first look, to this gateway or to another.
    pub(super) async fn known_elsewhere(&self) -> Elsewhere {
        let Some(view) = self.view() else {
            return Elsewhere::Nothing(None);
        };
        if let (Found::Fresh(entry), _) = self.find(&view) {
            return Elsewhere::Known(entry);
        }
        let cache = &self.request.pipeline.cache;
        let Some(remote) = cache.remote() else {
            return Elsewhere::Nothing(None);
        };
        let count = |result| cache.metrics.lookup(Tier::Redis, result);
        if let Some(entry) = self.in_remote(&remote, count).await {
            return Elsewhere::Known(entry);
        }
        let slots = self.request.snapshot.cache.slots(self.class);
        match remote.claim(self.places.flight, view.now, slots).await {
            Claimed::Mine(claim) => Elsewhere::Nothing(Some(claim)),
            Claimed::Unknown => Elsewhere::Nothing(None),
            Claimed::Taken(awaited) => {
                let fetched = self.fetched_elsewhere(&remote, awaited);
                match timeout_at(self.request.deadline, fetched).await {
                    Ok(Some(entry)) => Elsewhere::Fetched(entry),
                    Ok(None) | Err(_) => Elsewhere::Nothing(None),
                }
            }
        }
    }

    /// Looks for what another gateway fetches, until it is there or no longer to be expected.
    async fn fetched_elsewhere(&self, remote: &Remote, mut awaited: Awaited) -> Option<Arc<Entry>> {
        while awaited.next().await {
            if let Some(entry) = self.in_remote(remote, |_uncounted| ()).await {
                awaited.found();
                return Some(entry);
            }
        }
        None
    }

    /// What is true of what Redis has. Each look is told to `count`.
    async fn in_remote(&self, remote: &Remote, count: impl Fn(Lookup)) -> Option<Arc<Entry>> {
        // All at once: one deadline for all of them.
        let keys: SmallVec<[Key; 2]> = self.keys().collect();
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

    fn judge_remote(&self, looked_up: Result<Entry, Lookup>) -> Result<Arc<Entry>, Lookup> {
        let entry = looked_up?;
        // Before it was found out, here or by another gateway.
        let pool = &self.request.snapshot.pool;
        let giver = pool.upstream(&entry.upstream);
        if giver.is_some_and(|upstream| upstream.is_stranger()) {
            return Err(Lookup::Unfit);
        }
        let view = self.view().ok_or(Lookup::Unfit)?;
        match self.weigh(&entry, &view) {
            Some(Freshness::Fresh | Freshness::Settled) => Ok(Arc::new(entry)),
            Some(Freshness::Stale(_)) => Err(Lookup::Expired),
            None => Err(Lookup::Unfit),
        }
    }
}
