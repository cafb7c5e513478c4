//! A call as the cache sees it: the keys its answer may be stored under, and what is stored there.

use std::sync::Arc;

use tracing::Span;

use super::Request;
use super::cache_use::CacheUse;
use super::call_plan::{CacheKeys, CallPlan};
use crate::cache::{CacheEntry, CacheKey, EntryFreshness, KeyScope};
use crate::dispatch::ReadSession;
use crate::jsonrpc::Call;
use crate::solana::{Class, Heads, Method, SlotView};

/// A call that another call's answer may answer.
pub(super) struct CacheableCall<'a> {
    pub(super) request: &'a Request,
    pub(super) call: &'a Call,
    pub(super) call_plan: &'a Arc<CallPlan>,
    pub(super) class: &'a Class,
    pub(super) keys: &'a CacheKeys,
    pub(super) session: ReadSession,
}

impl<'a> CacheableCall<'a> {
    /// The span of a step, which ends where it is dropped.
    pub(super) fn step(&self, name: &'static str) -> Span {
        let context = &self.request.context;
        context.step(name, self.class.method.label())
    }

    /// `None` for calls that no other call's answer can answer, and if the cache is bypassed.
    pub(super) fn of(
        request: &'a Request,
        call: &'a Call,
        call_plan: &'a Arc<CallPlan>,
    ) -> Option<Self> {
        let places = call_plan.cache_keys.as_ref()?;
        (request.cache_use != CacheUse::Bypass).then_some(Self {
            request,
            call,
            call_plan,
            class: &call_plan.class,
            keys: places,
            session: request.session(&call_plan.class),
        })
    }

    /// The same in the background: nobody is shown its answer.
    pub(super) fn unseen(self) -> Self {
        Self {
            session: self.session.unseen(),
            ..self
        }
    }

    /// Whether earlier answers will do.
    pub(super) fn reads(&self) -> bool {
        self.request.cache_use == CacheUse::Normal
            && self.request.snapshot.cache.keeps(self.class.method)
    }

    /// The current slots of the cluster.
    pub(super) fn view(&self) -> Option<SlotView> {
        self.request.snapshot.pool.slots()
    }

    /// The key of a scope.
    pub(super) fn key(&self, scope: KeyScope) -> CacheKey {
        match (scope, self.keys.permanent) {
            (KeyScope::Permanent, Some(settled)) => settled,
            _ => self.keys.live,
        }
    }

    /// The keys under which an answer may be, the likelier first.
    pub(super) fn keys(&self) -> impl Iterator<Item = CacheKey> + use<> {
        self.keys.permanent.into_iter().chain([self.keys.live])
    }

    /// The freshness of an entry for this caller; `None` if it must not get it: it requested a
    /// later slot, or was shown a later one already.
    pub(super) fn freshness_for_caller(
        &self,
        entry: &CacheEntry,
        view: &SlotView,
    ) -> Option<EntryFreshness> {
        let mut freshness = entry.freshness(view);
        if freshness == EntryFreshness::Fresh
            && let Some(past) = self.outlived(entry, view)
        {
            freshness = EntryFreshness::Stale(past);
        }
        let context = &self.class.context;
        let late_enough = match context.min_context_slot {
            None => true,
            // A permanent answer is the same at every slot; the slot only has to exist.
            Some(slot) if freshness == EntryFreshness::Permanent => {
                view.seen(context.commitment) >= Some(slot)
            }
            Some(slot) => entry.dated && entry.read_at >= slot,
        };
        let backwards = || self.session.goes_backwards(&self.heads(entry));
        (late_enough && !backwards()).then_some(freshness)
    }

    /// How many slots an entry has outlived what this method and the current policy allow: it may
    /// have been stored for another method, under another policy, or by another replica.
    fn outlived(&self, entry: &CacheEntry, view: &SlotView) -> Option<u64> {
        // Errors have lifetimes of their own.
        entry.result()?;
        let slots = self.request.snapshot.cache.slots(self.class)?;
        let end = entry.read_at.0.saturating_add(slots);
        let expected = view.expected(self.class.context.commitment)?;
        expected.0.checked_sub(end).map(|past| past + 1)
    }

    /// What an entry says about the head of the chain.
    pub(super) fn heads(&self, entry: &CacheEntry) -> Heads {
        let Some(result) = entry.result() else {
            return Heads::default();
        };
        match self.class.method {
            // They say more than their slot.
            Method::GetEpochInfo | Method::GetLatestBlockhash => self.session.heads(result),
            // Read when it was stored.
            _ if entry.dated => Heads::at(entry.read_at),
            _ => self.session.heads(result),
        }
    }
}
