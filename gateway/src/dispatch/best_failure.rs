//! Which of several bad answers the client gets if there is no good one.

use std::sync::Arc;
use std::time::Duration;

use perijove_core::Slot;

use super::Delivered;
use super::operation::{LastResort, Operation};
use super::peer::ChosenPeer;
use crate::error::{Page, Rejection};
use crate::solana::{Blame, FaultKind, Idempotency, Penalty, Verdict};
use crate::upstream::Paused;

/// Sent as `Retry-After` when providers limit the gateway without saying for how long.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(1);

/// Rank of an answer that is good but stale: better than any error.
const STALE: u8 = 4;

/// The bad answers of one call so far.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each may be true beside any other"
)]
pub(super) struct BestFailure<Answer, Peer> {
    best: Option<BestAnswer<Answer, Peer>>,
    /// The first refusal in HTTP alone.
    refused: Option<(Page, AnsweredBy<Peer>)>,
    /// The slot of the newest good but stale answer.
    stale_at: Option<Slot>,
    /// The shortest pause requested, if any upstream limited the gateway's rate.
    rate_limited: Option<Duration>,
    /// Some upstream refuses the gateway's key.
    key_refused: bool,
    /// Some upstream failed in another way.
    failed: bool,
    /// All connections to some upstream stayed in use.
    saturated: bool,
    /// A write was sent and its outcome is unknown.
    outcome_unknown: bool,
}

#[derive(Debug)]
struct BestAnswer<Answer, Peer> {
    rank: u8,
    /// No upstream would have taken the call: it did not happen anywhere.
    certain: bool,
    answer: Answer,
    speaker: AnsweredBy<Peer>,
}

/// Properties of a bad answer.
#[derive(Debug)]
pub(super) struct FailureAnswer<Answer> {
    pub(super) answer: Option<Answer>,
    pub(super) page: Option<Page>,
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
            key_refused: false,
            failed: false,
            saturated: false,
            outcome_unknown: false,
        }
    }
}

impl<Answer, Peer> BestFailure<Answer, Peer> {
    /// Takes a bad answer in. `certain`: every upstream would give it; `in_doubt`: the upstream may have
    /// carried out what must not happen twice.
    pub(super) fn note(
        &mut self,
        verdict: &Verdict,
        FailureAnswer { answer, page }: FailureAnswer<Answer>,
        speaker: &AnsweredBy<Peer>,
        certain: bool,
        in_doubt: bool,
    ) {
        if let Penalty::HoldOff { at_least, .. } = verdict.penalty {
            let pause = at_least.unwrap_or(UNKNOWN_PAUSE);
            self.rate_limited = Some(
                self.rate_limited
                    .map_or(pause, |shortest| shortest.min(pause)),
            );
        } else if matches!(verdict.penalty, Penalty::KeyRefused { .. }) {
            self.key_refused = true;
        } else if let (Some(answer), Some(rank)) = (answer, rank(verdict)) {
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
            self.failed = true;
            self.outcome_unknown |= in_doubt && leaves_in_doubt(verdict.kind);
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
        if self.outcome_unknown && !self.is_certain() {
            let rejection = match idempotency {
                Idempotency::Unknown => Rejection::AnswerLost,
                _ => Rejection::OutcomeUnknown,
            };
            return (Delivered::Rejected(rejection), None);
        }
        if let Some(best) = self.best {
            return match operation.last_resort(best.answer) {
                LastResort::Own(answer) => (Delivered::Payload(answer), None),
                LastResort::AsItCame(answer) => (Delivered::Payload(answer), Some(best.speaker)),
            };
        }
        if let Some((page, speaker)) = self.refused
            && self.rate_limited.is_none()
            && !self.failed
        {
            let refused = Rejection::Refused(page);
            return (Delivered::Rejected(refused), Some(speaker));
        }
        let rejection = match (self.rate_limited, self.failed) {
            // An upstream with a short failure may be back long before a pause is over.
            (Some(pause), true) => Rejection::RateLimited {
                retry_after: pause.min(UNKNOWN_PAUSE),
            },
            (Some(retry_after), false) => Rejection::RateLimited { retry_after },
            (None, true) if self.saturated => Rejection::Saturated,
            (None, true) => Rejection::NoUpstream {
                reason: "no upstream could answer",
            },
            (None, false) if self.key_refused => Rejection::KeyRefused,
            (None, false) => operation.nobody(),
        };
        (Delivered::Rejected(rejection), None)
    }
}

/// How useful an answer is to the client; `None` for answers that do not concern it, such as a
/// provider's complaint about the gateway's key.
fn rank(verdict: &Verdict) -> Option<u8> {
    if !is_the_clients(verdict.kind) {
        return None;
    }
    Some(match verdict.blame {
        Blame::Client => 3,
        Blame::Cluster => 2,
        Blame::Upstream => 1,
    })
}

/// Whether an answer of this kind is an error for the client, and not between the gateway and a
/// provider.
fn is_the_clients(kind: FaultKind) -> bool {
    !(leaves_in_doubt(kind)
        || matches!(
            kind,
            FaultKind::RateLimited
                | FaultKind::CreditsExhausted
                | FaultKind::Unauthorized
                | FaultKind::Forbidden
                | FaultKind::Challenge
        ))
}

/// Whether a call that was sent and ended like this may have been executed all the same. A call
/// reported as without a connection may have been sent over an earlier one that broke.
fn leaves_in_doubt(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Saturated
            | FaultKind::NoTime
            | FaultKind::NoDescriptors
            | FaultKind::Dns
            | FaultKind::ConnectRefused
            | FaultKind::ConnectTimeout
            | FaultKind::ConnectFailed
            | FaultKind::Tls
            | FaultKind::WriteFailed
            | FaultKind::WriteTimeout
            | FaultKind::FirstByteTimeout
            | FaultKind::TotalTimeout
            | FaultKind::Reset
            | FaultKind::Truncated
            | FaultKind::BadHttp
            | FaultKind::BadJson
            | FaultKind::WrongId
            | FaultKind::BadResult
            | FaultKind::Stalled
            | FaultKind::TooLarge
            | FaultKind::ServerError
    )
}
