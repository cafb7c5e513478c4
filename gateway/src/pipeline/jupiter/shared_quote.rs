//! What callers get that wait for an identical request of another caller.

use std::sync::Arc;

use tokio::time::timeout_at;

use super::ApiCall;
use crate::cache::{Follower, FollowerOutcome, KeptQuote};
use crate::error::Rejection;

/// Outcome for callers that waited for another caller's quote.
#[derive(Clone, Debug)]
pub(in crate::pipeline) enum SharedQuote {
    Kept(Arc<KeptQuote>),
    Failed(Rejection),
    /// The answer is not for others: each asks for itself, all at the same time.
    Unshared,
}

impl From<Option<Arc<KeptQuote>>> for SharedQuote {
    /// From what may be kept of an answer, and so be shared.
    fn from(kept: Option<Arc<KeptQuote>>) -> Self {
        kept.map_or(Self::Unshared, Self::Kept)
    }
}

/// What a caller does that has waited.
pub(super) enum Followed {
    /// Takes the answer of the other.
    Shared(Arc<KeptQuote>),
    /// Asks for itself.
    Alone,
    /// Joins again: the other has given up.
    Again,
}

impl ApiCall {
    /// Waits for another caller's answer.
    ///
    /// # Errors
    /// The other got none, or there is no time left.
    pub(super) async fn follow(&self, other: Follower<SharedQuote>) -> Result<Followed, Rejection> {
        match timeout_at(self.deadline(), other.wait()).await {
            Ok(FollowerOutcome::Settled(SharedQuote::Kept(kept))) => Ok(Followed::Shared(kept)),
            Ok(FollowerOutcome::Settled(SharedQuote::Failed(rejection))) => Err(rejection),
            Ok(FollowerOutcome::Settled(SharedQuote::Unshared)) => Ok(Followed::Alone),
            Ok(FollowerOutcome::HandedOver) => Ok(Followed::Again),
            Err(_elapsed) => Err(Rejection::ApiUnavailable {
                reason: "no answer in time",
            }),
        }
    }
}
