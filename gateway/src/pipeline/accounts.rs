//! Answers `getMultipleAccounts` from single accounts, and keeps single accounts from its answers.
//!
//! A node reads all accounts of one call from one bank. An answer composed of accounts read at
//! different slots is one that no node has given, and traders rely on consistency: so only accounts
//! read at the same slot are combined, unless configured otherwise. Before a slot is confirmed its
//! number may belong to two banks, if its leader made two blocks: then only accounts from the same
//! node are combined.

use std::sync::Arc;

use perijove_core::{Commitment, Slot};

use super::cacheable::CacheableCall;
use super::call::dispatch;
use crate::cache::{AnswerOrigin, CacheEntry, CacheKey, EntryFreshness, KeyScope, ScopedKeys};
use crate::dispatch::{AnswerPayload, CallSummary, Delivered};
use crate::jsonrpc::Answer;
use crate::limit::Urgency;
use crate::solana::{self, AccountReads, Method, SlotView};

/// The kept accounts of one call.
struct KnownAccounts {
    reads: AccountReads,
    /// In the order of the call.
    entries: Vec<Option<Arc<CacheEntry>>>,
    /// The slot all of them were read at; the oldest if they may differ.
    slot: Slot,
}

impl CacheableCall<'_> {
    fn account_reads(&self) -> Option<AccountReads> {
        (self.class.method == Method::GetMultipleAccounts)
            .then(|| solana::account_reads(self.class, self.call.params()))
            .flatten()
    }

    fn account_key(&self, reads: &AccountReads, index: usize) -> Option<CacheKey> {
        let scope = KeyScope::AtCommitment(self.class.context.commitment);
        let spelled = reads.spelled(index)?;
        Some(ScopedKeys::new(&self.keys.cluster, spelled, self.request.variant()).at(scope))
    }

    /// The accounts of this call that are in memory, if any, and if they may be combined.
    fn pieces(&self, view: &SlotView) -> Option<KnownAccounts> {
        let reads = self.account_reads()?;
        let memory = &self.request.pipeline.cache.memory;
        let entries: Vec<_> = (0..reads.len())
            .map(|index| {
                let entry = memory.get(&self.account_key(&reads, index)?)?;
                let fresh = self.freshness_for_caller(&entry, view) == Some(EntryFreshness::Fresh)
                    && entry.dated;
                fresh.then_some(entry)
            })
            .collect();
        let slots = || entries.iter().flatten().map(|entry| entry.read_at);
        let (oldest, newest) = (slots().min()?, slots().max()?);
        let mut upstreams = entries.iter().flatten().map(|entry| &entry.upstream);
        let first = upstreams.next()?;
        let one_bank = !self.may_be_on_a_fork() || upstreams.all(|upstream| upstream == first);
        let mixes = self.request.snapshot.cache.mixes_account_slots();
        let together = mixes || (oldest == newest && one_bank);
        together.then_some(KnownAccounts {
            reads,
            entries,
            slot: oldest,
        })
    }

    fn may_be_on_a_fork(&self) -> bool {
        self.class.context.commitment == Commitment::Processed
    }

    /// The complete answer from kept accounts.
    pub(super) fn composed(&self, view: &SlotView) -> Option<Answer> {
        let pieces = self.pieces(view)?;
        let entries: Option<Vec<_>> = pieces.entries.iter().map(Option::as_ref).collect();
        let entries = entries?;
        let oldest = entries.iter().find(|entry| entry.read_at == pieces.slot)?;
        let (context, _) = solana::wrapped_parts(oldest.result()?)?;
        let values: Option<Vec<_>> = entries.iter().map(|entry| value(entry)).collect();
        let values = values?;
        self.is_small(&values)
            .then(|| Answer::scan(solana::compose(context, &values)).ok())
            .flatten()
    }

    /// Requests only the missing accounts, if the same slot and the same bank can be expected.
    /// `None` if all have to be requested after all.
    /// `urgency`: of those that wait for the same call.
    pub(super) async fn ask_for_the_rest(
        &self,
        urgency: Option<&Arc<Urgency>>,
    ) -> Option<(Delivered<AnswerPayload>, CallSummary)> {
        if !self.reads() {
            return None;
        }
        let view = self.view()?;
        let pieces = self.pieces(&view)?;
        let mixes = self.request.snapshot.cache.mixes_account_slots();
        let head = view.expected(self.class.context.commitment)?;
        let missing: Vec<_> = (0..pieces.entries.len())
            .filter(|index| pieces.entries.get(*index).is_some_and(Option::is_none))
            .collect();
        let together = mixes || (pieces.slot == head && !self.may_be_on_a_fork());
        if missing.is_empty() || !together {
            return None;
        }
        let known: Vec<_> = pieces
            .entries
            .iter()
            .flatten()
            .filter_map(|one| value(one))
            .collect();
        if !self.is_small(&known) {
            return None;
        }
        let call = self.call.with_params(pieces.reads.rest(&missing));
        let (delivered, attempt_summary) =
            dispatch(self.request, &call, self.class, &self.session, urgency).await;
        let answer = match &delivered {
            // If a part cannot be requested, the whole cannot either.
            Delivered::Rejected(_) => return Some((delivered, attempt_summary)),
            Delivered::Payload(AnswerPayload::Whole(answer)) if answer.error().is_some() => {
                return Some((delivered, attempt_summary));
            }
            Delivered::Payload(AnswerPayload::Whole(answer)) => answer,
            Delivered::Payload(AnswerPayload::Stream { .. }) => return None,
        };
        let composed = pieces.completed(answer, mixes)?;
        Some((
            Delivered::Payload(AnswerPayload::Whole(composed)),
            attempt_summary,
        ))
    }

    /// Whether accounts may be combined in memory: up to the size of a buffered answer. A larger
    /// one is streamed from an upstream.
    fn is_small(&self, values: &[&[u8]]) -> bool {
        let listed: usize = values.iter().map(|value| value.len() + 1).sum();
        listed <= self.request.snapshot.dispatch.answer_buffer
    }

    /// Keeps each account of an answer for calls that read it alone or with others.
    pub(super) fn keep_accounts(
        &self,
        answer: &Answer,
        view: &SlotView,
        source: &AnswerOrigin<'_>,
    ) {
        let Some(reads) = self.account_reads() else {
            return;
        };
        let Some(values) = answer.result().and_then(solana::values) else {
            return;
        };
        let cache = &self.request.pipeline.cache;
        for (index, value) in values.iter().enumerate() {
            let Ok(single) = Answer::scan(solana::single(values.context(), value)) else {
                continue;
            };
            let dated = solana::keep(self.class, None, &single);
            let policy = &self.request.snapshot.cache;
            let admitted = policy.admit(&single, &dated, self.class, view, source);
            if let (Some((_, entry)), Some(key)) = (admitted, self.account_key(&reads, index)) {
                cache.memory.put(key, Arc::new(entry));
            }
        }
    }
}

impl KnownAccounts {
    /// The complete answer, with the requested accounts in the gaps. `None` if they were read at
    /// another slot.
    fn completed(&self, answer: &Answer, mixes: bool) -> Option<Answer> {
        let result = answer.result()?;
        let slot = solana::context_slot(result)?;
        let fetched = solana::values(result)?;
        if slot != self.slot && !mixes {
            return None;
        }
        let mut gaps = fetched.iter();
        let values: Option<Vec<&[u8]>> = self
            .entries
            .iter()
            .map(|known| match known {
                Some(entry) => value(entry),
                None => gaps.next(),
            })
            .collect();
        let context = if slot <= self.slot {
            fetched.context()
        } else {
            let mut known = self.entries.iter().flatten();
            let oldest = known.find(|entry| entry.read_at == self.slot)?;
            solana::wrapped_parts(oldest.result()?)?.0
        };
        let composed = solana::compose(context, &values?);
        let complete = gaps.next().is_none();
        complete.then(|| Answer::scan(composed).ok()).flatten()
    }
}

/// The account of an entry.
fn value(entry: &CacheEntry) -> Option<&[u8]> {
    Some(solana::wrapped_parts(entry.result()?)?.1)
}
