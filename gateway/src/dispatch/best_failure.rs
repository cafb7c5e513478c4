//! Which of several bad answers the client gets if there is no good one.

use std::sync::Arc;
use std::time::Duration;

use perijove_core::Slot;

use super::delivered::Delivered;
use super::operation::{AnswerRank, LastResort, NoAnswer, Operation};
use crate::error::{RefusedPage, Rejection};
use crate::solana::{FaultKind, Idempotency, Penalty, Verdict};
use crate::upstream::ChosenPeer;
use crate::upstream::Paused;

/// Sent as `Retry-After` when providers limit the gateway without saying for how long.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(1);

/// Rank of an answer that is good but stale: better than any error.
const STALE: AnswerRank = AnswerRank::Old(0);

/// The bad answers of one call so far.
#[derive(Debug)]
pub(super) struct BestFailure<Answer, Peer> {
    best: Option<BestAnswer<Answer, Peer>>,
    /// The first refusal in HTTP alone.
    refused: Option<(RefusedPage, AnsweredBy<Peer>)>,
    /// The slot of the newest good but stale answer.
    stale_at: Option<Slot>,
    /// The shortest pause requested, if any upstream limited the gateway's rate.
    rate_limited: Option<Duration>,
    /// The same if none has, and their budgets are spent.
    unpaid: Option<Duration>,
    /// Some upstream refuses the gateway's key.
    key_refused: bool,
    /// How an upstream failed in another way, the first that did.
    failed: Option<FaultKind>,
    /// All connections to some upstream stayed in use.
    saturated: bool,
    /// A write was sent and its outcome is unknown.
    outcome_unknown: bool,
}

#[derive(Debug)]
struct BestAnswer<Answer, Peer> {
    rank: AnswerRank,
    /// No upstream would have taken the call: it did not happen anywhere.
    certain: bool,
    answer: Answer,
    speaker: AnsweredBy<Peer>,
}

/// A bad answer, as far as it may be meant for the client.
#[derive(Debug)]
pub(super) struct FailureAnswer<Answer> {
    pub(super) answer: Option<Answer>,
    pub(super) page: Option<RefusedPage>,
}

/// What an operation makes of a bad answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailureWorth {
    /// How useful it is to the client; `None` if it does not concern the client.
    pub(super) rank: Option<AnswerRank>,
    /// Every upstream would give it.
    pub(super) certain: bool,
    /// The upstream may have carried out what must not happen twice.
    pub(super) in_doubt: bool,
}

/// Which upstream answered.
#[derive(Debug)]
pub(super) struct AnsweredBy<Peer> {
    pub(super) upstream: Arc<Peer>,
    /// The slot it was known to have reached before it was asked.
    pub(super) reached: Option<Slot>,
}

/// By hand, because the derived one would ask for an upstream that can be copied.
impl<Peer> Clone for AnsweredBy<Peer> {
    fn clone(&self) -> Self {
        Self {
            upstream: Arc::clone(&self.upstream),
            reached: self.reached,
        }
    }
}

/// By hand, because the derived one would ask for an answer that has a default.
impl<Answer, Peer> Default for BestFailure<Answer, Peer> {
    fn default() -> Self {
        Self {
            best: None,
            refused: None,
            stale_at: None,
            rate_limited: None,
            unpaid: None,
            key_refused: false,
            failed: None,
            saturated: false,
            outcome_unknown: false,
        }
    }
}

impl<Answer, Peer> BestFailure<Answer, Peer> {
    /// Takes a bad answer in.
    pub(super) fn note(
        &mut self,
        verdict: &Verdict,
        FailureAnswer { answer, page }: FailureAnswer<Answer>,
        speaker: &AnsweredBy<Peer>,
        worth: FailureWorth,
    ) {
        let FailureWorth {
            rank,
            certain,
            in_doubt,
        } = worth;
        if let Penalty::HoldOff { at_least, .. } = verdict.penalty {
            let pause = at_least.unwrap_or(UNKNOWN_PAUSE);
            self.rate_limited = Some(
                self.rate_limited
                    .map_or(pause, |shortest| shortest.min(pause)),
            );
        } else if matches!(verdict.penalty, Penalty::KeyRefused { .. }) {
            self.key_refused = true;
        } else if let (Some(answer), Some(rank)) = (answer, rank) {
            let place = (rank, certain);
            if self
                .best
                .as_ref()
                .is_none_or(|best| place > (best.rank, best.certain))
            {
                self.best = Some(BestAnswer {
                    rank,
                    certain,
                    answer,
                    speaker: speaker.clone(),
                });
            }
        } else if let Some(page) = page.filter(|_| verdict.penalty == Penalty::Refusal) {
            self.refused.get_or_insert_with(|| (page, speaker.clone()));
        } else {
            self.saturated |= verdict.kind == FaultKind::Saturated;
            self.failed.get_or_insert(verdict.kind);
            self.outcome_unknown |= in_doubt && verdict.kind.leaves_in_doubt();
        }
    }

    /// An attempt at a write is in flight and will not be waited for.
    pub(super) fn left_in_doubt(&mut self) {
        self.outcome_unknown = true;
    }

    /// Whether no node could contradict the best answer.
    pub(super) fn is_certain(&self) -> bool {
        self.best.as_ref().is_some_and(|best| best.certain)
    }

    /// Held-off upstreams, which know best when they may be asked again.
    pub(super) fn note_paused(&mut self, paused: Paused) {
        let unpaid = paused.unpaid && self.rate_limited.is_none();
        self.unpaid = paused.limited.filter(|_| unpaid);
        self.rate_limited = paused.limited.or(self.rate_limited);
        self.key_refused |= paused.key_refused;
    }

    /// A good but stale answer. Of several the newest counts.
    pub(super) fn note_stale(
        &mut self,
        answer: Answer,
        speaker: &AnsweredBy<Peer>,
        slot: Option<Slot>,
    ) {
        let newer = slot >= self.stale_at;
        self.stale_at = self.stale_at.max(slot);
        if !newer && self.best.as_ref().is_some_and(|best| best.rank == STALE) {
            return;
        }
        self.best = Some(BestAnswer {
            rank: STALE,
            certain: false,
            answer,
            speaker: speaker.clone(),
        });
    }

    /// The answer for the client, and the upstream that gave it.
    ///
    /// A write of unknown outcome outweighs everything but a verdict that every node would give:
    /// what another upstream said afterwards does not undo it, and may be its consequence. Then
    /// native errors, because clients act on their codes; then what all upstreams refused by HTTP
    /// status; then a rate limit; then "unhealthy". A refused key is reported only if nothing else
    /// went wrong.
    pub(super) fn into_delivered<O>(
        self,
        operation: &O,
        idempotency: Idempotency,
    ) -> (Delivered<Answer>, Option<AnsweredBy<Peer>>)
    where
        O: Operation<Answer = Answer>,
        O::Chosen: ChosenPeer<Peer = Peer>,
    {
        let rejected = |cause| (Delivered::Rejected(operation.rejection(cause)), None);
        if self.outcome_unknown && !self.is_certain() {
            return rejected(NoAnswer::OutcomeUnknown(idempotency));
        }
        let limited = self.rate_limited.is_some();
        let worth = |rank| !limited || rank > AnswerRank::BelowRateLimit;
        if let Some(best) = self.best.filter(|best| worth(best.rank)) {
            return match operation.last_resort(best.answer) {
                LastResort::Own(answer) => (Delivered::Payload(answer), None),
                LastResort::AsItCame(answer) => (Delivered::Payload(answer), Some(best.speaker)),
            };
        }
        if let Some((page, speaker)) = self.refused
            && !limited
            && self.failed.is_none()
        {
            let refused = Rejection::Refused(page);
            return (Delivered::Rejected(refused), Some(speaker));
        }
        rejected(match (self.rate_limited, self.failed) {
            (Some(pause), None) if self.unpaid.is_some() => NoAnswer::Unpaid(pause),
            // An upstream with a short failure may be back long before a pause is over.
            (Some(pause), Some(_)) => NoAnswer::RateLimited(pause.min(UNKNOWN_PAUSE)),
            (Some(pause), None) => NoAnswer::RateLimited(pause),
            (None, Some(_)) if self.saturated => NoAnswer::Saturated,
            (None, Some(kind)) => NoAnswer::Failed(kind),
            (None, None) if self.key_refused => NoAnswer::KeyRefused,
            (None, None) => NoAnswer::Nobody,
        })
    }
}
