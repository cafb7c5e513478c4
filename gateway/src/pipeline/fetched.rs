//! Step 12: turns the result of a call into the caller's reply: inserts its id, records what the
//! client was shown, and serves an expired entry in place of a failure where that is allowed.

use std::sync::Arc;

use super::cache_use::CacheStatus;
use super::cacheable::CacheableCall;
use super::call_reply::{CallBody, CallReply};
use super::shared_outcome::{SharedFailure, SharedOutcome};
use crate::cache::{CacheEntry, EntryFreshness};
use crate::dispatch::{AnswerPayload, CallSummary, Delivered, ToldHeads};
use crate::error::Rejection;
use crate::jsonrpc::{Answer, Id};

/// From this size on an answer is not copied for each caller. Below, a copy is cheaper than sending
/// pieces.
const LARGE: usize = 8 * 1024;

/// The source of an answer that was not in memory.
pub(super) enum Fetched {
    /// Upstreams that this call was sent to.
    Upstream(Delivered<AnswerPayload>, CallSummary),
    /// An identical call of another caller, or Redis.
    Shared(SharedOutcome),
    /// None: the deadline passed.
    TimedOut,
}

fn out_of_time() -> Rejection {
    Rejection::NoUpstream {
        reason: "no upstream could answer",
    }
}

impl CacheableCall<'_> {
    /// The reply to a call that memory did not answer; `expired` is what memory had.
    pub(super) fn reply(
        &self,
        fetched: Fetched,
        status: CacheStatus,
        expired: Option<Arc<CacheEntry>>,
        id: &Id,
    ) -> CallReply {
        if fetched.is_failure()
            && let Some(entry) = expired
            && self.may_stand_in(&entry)
        {
            return self.reply_from_entry(&entry, id, CacheStatus::Stale);
        }
        let label = self.class.method.label();
        match fetched {
            Fetched::Upstream(delivered, attempt_summary) => {
                let tee = self.tee(&delivered, &attempt_summary);
                CallReply::of_delivered(delivered, id, attempt_summary, label, tee).cached(status)
            }
            Fetched::Shared(SharedOutcome::Failed(SharedFailure::Rejected(rejection))) => {
                CallReply::rejected(&rejection, id, label).cached(status)
            }
            Fetched::Shared(SharedOutcome::Known(entry)) => {
                self.reply_from_entry(&entry, id, status)
            }
            Fetched::Shared(
                SharedOutcome::Answer(answer, upstream)
                | SharedOutcome::Failed(SharedFailure::Said(answer, upstream)),
            ) => {
                if answer.result().is_some() {
                    self.count(status);
                }
                let attempt_summary = CallSummary {
                    upstream,
                    ..CallSummary::unasked(self.tell(&answer))
                };
                self.whole(answer, id, status, attempt_summary)
            }
            Fetched::TimedOut | Fetched::Shared(SharedOutcome::Unshared) => {
                CallReply::rejected(&out_of_time(), id, label).cached(status)
            }
        }
    }

    /// Whether an expired answer is better than the failure.
    fn may_stand_in(&self, entry: &CacheEntry) -> bool {
        let bound = self.request.snapshot.cache.stale_if_error();
        let Some(view) = self.view() else {
            return false;
        };
        match self.freshness_for_caller(entry, &view) {
            Some(EntryFreshness::Fresh | EntryFreshness::Permanent) => true,
            Some(EntryFreshness::Stale(past)) => past <= bound,
            None => false,
        }
    }

    /// The reply out of a cached entry.
    pub(super) fn reply_from_entry(
        &self,
        entry: &CacheEntry,
        id: &Id,
        status: CacheStatus,
    ) -> CallReply {
        let outcome = match entry.result() {
            Some(_) => "ok",
            None => "error",
        };
        let attempt_summary = CallSummary::unasked(self.session.tell(&self.heads(entry)));
        self.count(status);
        let part = if entry.answer.body().len() < LARGE {
            CallBody::Whole(entry.spliced(id))
        } else {
            CallBody::Shared(Box::new(entry.answer.pieces(id)))
        };
        let label = self.class.method.label();
        CallReply::upstream(part, label, outcome, attempt_summary).cached(status)
    }

    /// Records what the client is shown.
    fn tell(&self, answer: &Answer) -> ToldHeads {
        let result = answer.result();
        let heads = result.map(|result| self.session.heads(result));
        heads.map_or_else(ToldHeads::default, |heads| self.session.tell(&heads))
    }

    /// Counts a call that was answered without an upstream.
    fn count(&self, status: CacheStatus) {
        let metrics = &self.request.pipeline.cache.metrics;
        match status {
            CacheStatus::Hit => metrics.hit(self.class),
            CacheStatus::Coalesced => metrics.coalesced(self.class),
            // An upstream is or was asked because of it.
            CacheStatus::Stale | CacheStatus::Miss | CacheStatus::Bypass => {}
        }
    }

    /// The reply out of an answer composed of accounts in memory.
    pub(super) fn reply_composed(&self, answer: Answer, id: &Id) -> CallReply {
        let attempt_summary = CallSummary::unasked(self.tell(&answer));
        self.count(CacheStatus::Hit);
        self.whole(answer, id, CacheStatus::Hit, attempt_summary)
    }

    /// The reply from a whole answer that this call did not fetch.
    fn whole(
        &self,
        answer: Answer,
        id: &Id,
        status: CacheStatus,
        attempt_summary: CallSummary,
    ) -> CallReply {
        let delivered = Delivered::Payload(AnswerPayload::Whole(answer));
        CallReply::of_delivered(
            delivered,
            id,
            attempt_summary,
            self.class.method.label(),
            None,
        )
        .cached(status)
    }
}

impl Fetched {
    /// Whether no upstream could answer at all.
    fn is_failure(&self) -> bool {
        match self {
            Self::TimedOut | Self::Shared(SharedOutcome::Failed(_)) => true,
            Self::Upstream(delivered, attempt_summary) => {
                matches!(
                    SharedOutcome::of(delivered, attempt_summary),
                    SharedOutcome::Failed(_)
                )
            }
            Self::Shared(_) => false,
        }
    }
}
