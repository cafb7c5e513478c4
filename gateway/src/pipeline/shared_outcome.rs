//! What followers of a call get.

use std::sync::Arc;

use crate::cache::CacheEntry;
use crate::dispatch::{AnswerPayload, CallSummary, Delivered};
use crate::error::Rejection;
use crate::jsonrpc::Answer;
use crate::solana::is_the_calls_own;
use crate::upstream::Upstream;

/// The end of a shared call.
#[derive(Clone, Debug)]
pub(super) enum SharedOutcome {
    /// It was in the cache after all.
    Known(Arc<CacheEntry>),
    /// An answer that is the same for every caller: a result, or an error that concerns the call.
    Answer(Answer, Option<Arc<Upstream>>),
    /// It failed, and might not the next time. With the upstream's error, if there was one.
    Failed(SharedFailure),
    /// The answer is too large to be kept for others.
    Unshared,
}

/// A failure as the caller sees it.
#[derive(Clone, Debug)]
pub(super) enum SharedFailure {
    Said(Answer, Option<Arc<Upstream>>),
    Rejected(Rejection),
}

impl SharedOutcome {
    pub(super) fn of(delivered: &Delivered<AnswerPayload>, attempt_summary: &CallSummary) -> Self {
        let upstream = attempt_summary.upstream.clone();
        match delivered {
            Delivered::Payload(AnswerPayload::Stream { .. }) => Self::Unshared,
            Delivered::Rejected(rejection) => {
                Self::Failed(SharedFailure::Rejected(rejection.clone()))
            }
            // Made for one client.
            Delivered::Payload(AnswerPayload::Whole(_)) if upstream.is_none() => Self::Unshared,
            Delivered::Payload(AnswerPayload::Whole(answer)) => Self::said(answer, upstream),
        }
    }

    /// The answer of an upstream.
    fn said(answer: &Answer, upstream: Option<Arc<Upstream>>) -> Self {
        // Results are valid for every caller.
        let own = |error| !answer.is_anonymous() && is_the_calls_own(error);
        if answer.error().is_none_or(own) {
            Self::Answer(answer.clone(), upstream)
        } else {
            Self::Failed(SharedFailure::Said(answer.clone(), upstream))
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn told(answer: &str) -> SharedOutcome {
        let answer = Answer::scan(Bytes::from(answer.to_owned())).unwrap();
        SharedOutcome::said(&answer, None)
    }

    #[test]
    fn results_and_the_calls_own_errors_are_for_everybody() {
        for answer in [
            r#"{"jsonrpc":"2.0","result":5,"id":1}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid param"},"id":1}"#,
        ] {
            assert!(
                matches!(told(answer), SharedOutcome::Answer(..)),
                "{answer}"
            );
        }
    }

    #[test]
    fn what_was_made_for_one_client_is_not_shared() {
        let own = Answer::scan(Bytes::from_static(b"{\"result\":5,\"id\":1}")).unwrap();
        let delivered = Delivered::Payload(AnswerPayload::Whole(own));
        let told = SharedOutcome::of(&delivered, &CallSummary::default());
        assert!(matches!(told, SharedOutcome::Unshared));
    }

    #[test]
    fn what_one_node_could_not_do_may_be_tried_again() {
        for code in [-32005, -32016, -32603, -32004, -32000] {
            let answer = format!(
                r#"{{"jsonrpc":"2.0","error":{{"code":{code},"message":"Node is unhealthy"}},"id":1}}"#
            );
            assert!(
                matches!(told(&answer), SharedOutcome::Failed(_)),
                "{answer}"
            );
        }
        let anonymous = r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"x"},"id":null}"#;
        assert!(matches!(told(anonymous), SharedOutcome::Failed(_)));
        let rejected = Delivered::Rejected(Rejection::NoUpstream { reason: "none" });
        let told = SharedOutcome::of(&rejected, &CallSummary::default());
        assert!(matches!(
            told,
            SharedOutcome::Failed(SharedFailure::Rejected(_))
        ));
    }
}
