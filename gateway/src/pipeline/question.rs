//! A call as the cache sees it: the keys its answer may stand under, and what is known there.

use std::sync::Arc;
use std::time::Duration;

use super::Request;
use super::cache_use::CacheUse;
use super::meaning::{Meaning, Places};
use crate::cache::{Entry, Freshness, Key, Lookup, Shelf, Tier};
use crate::dispatch::Session;
use crate::jsonrpc::Call;
use crate::solana::{Class, Heads, Method, SlotView};

/// A call that somebody else's answer may answer.
pub(super) struct Question<'a> {
    pub(super) request: &'a Request,
    pub(super) call: &'a Call,
    pub(super) meaning: &'a Arc<Meaning>,
    pub(super) class: &'a Class,
    pub(super) places: &'a Places,
    pub(super) session: Session,
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
    /// `None` for calls that no other call's answer can answer, and where the cache is unwanted.
    pub(super) fn of(
        request: &'a Request,
        call: &'a Call,
        meaning: &'a Arc<Meaning>,
    ) -> Option<Self> {
        let places = meaning.places.as_ref()?;
        (request.cache_use != CacheUse::Bypass).then_some(Self {
            request,
            call,
            meaning,
            class: &meaning.class,
            places,
            session: request.session(&meaning.class),
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
        match (shelf, self.places.settled) {
            (Shelf::Settled, Some(settled)) => settled,
            _ => self.places.here,
        }
    }

    /// The keys under which an answer may be, the likelier first.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> + use<> {
        self.places.settled.into_iter().chain([self.places.here])
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
        let backwards = || self.session.goes_backwards(&self.heads(entry));
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
        let Some(settled) = self
            .places
            .settled
            .filter(|settled| *settled != found_under)
        else {
            return;
        };
        let cache = &self.request.pipeline.cache;
        // How long it lives in seconds is of no account for what is true for good.
        cache.put(settled, &Arc::new(entry.settled()), Duration::ZERO);
        cache.memory.remove(&found_under);
    }

    /// What an entry says of the head of the chain.
    pub(super) fn heads(&self, entry: &Entry) -> Heads {
        let Some(result) = entry.result() else {
            return Heads::default();
        };
        match self.class.method {
            // They say more than their slot.
            Method::GetEpochInfo | Method::GetLatestBlockhash => self.session.heads(result),
            // Read when it was kept.
            _ if entry.dated => Heads::at(entry.read_at),
            _ => self.session.heads(result),
        }
    }
}
