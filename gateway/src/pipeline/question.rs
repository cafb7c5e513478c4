//! A call as the cache sees it: the keys its answer may stand under, and what is known there.

use std::sync::Arc;
use std::time::Duration;

use super::Request;
use super::cache_use::CacheUse;
use crate::cache::{Entry, Freshness, Key, Keys, Lookup, Shelf, Tier};
use crate::dispatch::Session;
use crate::jsonrpc::Call;
use crate::solana::{self, Class, Finality, Idempotency, SlotView};

/// A call that somebody else's answer may answer.
pub(super) struct Question<'a> {
    pub(super) request: &'a Request,
    pub(super) call: &'a Call,
    pub(super) class: &'a Class,
    /// The genesis hash.
    pub(super) cluster: Arc<String>,
    /// Answers at the call's commitment.
    here: Key,
    /// Answers for good, for the methods that have such.
    settled: Option<Key>,
    /// The same call under way.
    pub(super) flight: Key,
}

/// What is known.
pub(super) enum Found {
    /// True now.
    Fresh(Arc<Entry>),
    /// For so many slots it has not been true.
    Stale(Arc<Entry>, u64),
    Nothing,
}

impl<'a> Question<'a> {
    /// `None` for calls that no other call's answer can answer, and where the cache is off or
    /// unwanted.
    pub(super) fn of(request: &'a Request, call: &'a Call, class: &'a Class) -> Option<Self> {
        let profile = class.profile();
        let shareable = profile.idempotency == Idempotency::Read && !profile.node_specific();
        let wanted = request.cache_use != CacheUse::Bypass && request.snapshot.cache.enabled();
        if !shareable || !wanted {
            return None;
        }
        let canonical = solana::canonical(class, call.params())?;
        let cluster = request.snapshot.pool.genesis()?;
        let variant = request.variant();
        let shelf = Shelf::At(class.context.commitment);
        let keys = Keys::new(&cluster, &canonical, variant);
        let here = keys.at(shelf);
        let flight = match class.context.min_context_slot {
            None => here,
            // Its answer or refusal is none for those who ask for another slot.
            Some(slot) => {
                let variant = [variant, b"@", &slot.0.to_be_bytes()].concat();
                Keys::new(&cluster, &canonical, &variant).at(shelf)
            }
        };
        let settled = may_settle(profile.finality).then(|| keys.at(Shelf::Settled));
        Some(Self {
            request,
            call,
            class,
            cluster,
            here,
            settled,
            flight,
        })
    }

    /// Whether earlier answers will do.
    pub(super) fn reads(&self) -> bool {
        self.request.cache_use == CacheUse::Normal
            && self.request.snapshot.cache.keeps(self.class.method)
    }

    /// Where the cluster stands now.
    pub(super) fn view(&self) -> Option<SlotView> {
        self.request.snapshot.pool.slots()
    }

    /// The key of a shelf.
    pub(super) fn key(&self, shelf: Shelf) -> Key {
        match (shelf, self.settled) {
            (Shelf::Settled, Some(settled)) => settled,
            _ => self.here,
        }
    }

    /// The keys under which an answer may be, the likelier first.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> + use<> {
        self.settled.into_iter().chain([self.here])
    }

    /// Looks into memory.
    pub(super) fn look_up(&self, view: &SlotView) -> Found {
        let (found, result) = self.find(view);
        let metrics = &self.request.pipeline.cache.metrics;
        metrics.lookup(Tier::Memory, result);
        found
    }

    /// The same, not counted.
    pub(super) fn find(&self, view: &SlotView) -> (Found, Lookup) {
        let cache = &self.request.pipeline.cache;
        let (mut found, mut result) = (Found::Nothing, Lookup::Miss);
        for key in self.keys() {
            let Some(entry) = cache.memory.get(&key) else {
                continue;
            };
            match self.weigh(&entry, view) {
                Some(Freshness::Fresh) => {
                    (found, result) = (Found::Fresh(entry), Lookup::Hit);
                    break;
                }
                Some(Freshness::Settled) => {
                    self.promote(key, &entry);
                    (found, result) = (Found::Fresh(entry), Lookup::Hit);
                    break;
                }
                Some(Freshness::Stale(past)) => {
                    (found, result) = (Found::Stale(entry, past), Lookup::Expired);
                }
                None => result = Lookup::Unfit,
            }
        }
        (found, result)
    }

    /// How true an entry is for this caller; `None` if it must not have it at all: it asked for a
    /// later slot, or was told of a later one already.
    pub(super) fn weigh(&self, entry: &Entry, view: &SlotView) -> Option<Freshness> {
        let mut freshness = entry.freshness(view);
        if freshness == Freshness::Fresh
            && let Some(past) = self.outlived(entry, view)
        {
            freshness = Freshness::Stale(past);
        }
        let context = &self.class.context;
        let late_enough = match context.min_context_slot {
            None => true,
            // What is settled is the same at every slot; the slot has only to be there.
            Some(slot) if freshness == Freshness::Settled => {
                view.seen(context.commitment) >= Some(slot)
            }
            Some(slot) => entry.dated && entry.read_at >= slot,
        };
        let backwards = || {
            let result = entry.result();
            result.is_some_and(|result| self.session().goes_backwards(result))
        };
        (late_enough && !backwards()).then_some(freshness)
    }

    /// For how many slots an entry is older than this method and the policy in force allow: it may
    /// have been kept for another method, under another policy, or by another replica.
    fn outlived(&self, entry: &Entry, view: &SlotView) -> Option<u64> {
        // Errors have lives of their own.
        entry.result()?;
        let slots = self.request.snapshot.cache.slots(self.class)?;
        let end = entry.read_at.0.saturating_add(slots);
        let expected = view.expected(self.class.context.commitment)?;
        expected.0.checked_sub(end).map(|past| past + 1)
    }

    /// Moves an entry whose slot has become final to the shelf where every commitment finds it.
    fn promote(&self, found_under: Key, entry: &Arc<Entry>) {
        let Some(settled) = self.settled.filter(|settled| *settled != found_under) else {
            return;
        };
        let cache = &self.request.pipeline.cache;
        // How long it lives in seconds is of no account for what is true for good.
        cache.put(settled, &Arc::new(entry.settled()), Duration::ZERO);
        cache.memory.remove(&found_under);
    }

    pub(super) fn session(&self) -> Session<'_> {
        Session {
            live: &self.request.pipeline.live,
            client: self.request.client,
            class: self.class,
            floor_ttl: self.request.snapshot.config.selection.floor_ttl,
        }
    }
}

/// Whether answers of this finality may become true for good.
const fn may_settle(finality: Finality) -> bool {
    matches!(
        finality,
        Finality::Pinned | Finality::PerEpoch | Finality::Genesis
    )
}
