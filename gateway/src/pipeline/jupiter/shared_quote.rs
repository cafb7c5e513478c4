//! What callers get that wait for an identical request of another caller.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

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

impl Followed {
    /// Waits for another caller's answer.
    ///
    /// # Errors
    /// The other got none, or there is no time left.
    pub(super) async fn wait_for(
        other: Follower<SharedQuote>,
        deadline: Instant,
    ) -> Result<Self, Rejection> {
        match timeout_at(deadline, other.wait()).await {
            Ok(FollowerOutcome::Settled(SharedQuote::Kept(kept))) => Ok(Self::Shared(kept)),
            Ok(FollowerOutcome::Settled(SharedQuote::Failed(rejection))) => Err(rejection),
            Ok(FollowerOutcome::Settled(SharedQuote::Unshared)) => Ok(Self::Alone),
            Ok(FollowerOutcome::HandedOver) => Ok(Self::Again),
            Err(_elapsed) => Err(Rejection::ApiUnavailable {
                reason: "no answer in time",
            }),
        }
    }
}
