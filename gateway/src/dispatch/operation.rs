//! What a request is to its attempts, whatever its protocol: how it is written, what an answer means,
//! what it demands of an upstream, and how fresh an answer is. Attempts, hedges, retries and budgets
//! know nothing else of it.
//!
//! An operation is a type, not an object: each has its attempts compiled for it, and the path of a
//! call costs no indirection.

use std::sync::Arc;
use std::time::Duration;

use perijove_core::Slot;
use tokio::time::Instant;
use tracing::Span;

use crate::error::{RefusedPage, Rejection};
use crate::limit::{PermitRequest, Urgency};
use crate::solana::{Blame, FaultKind, Idempotency, Penalty, Retry, Verdict};
use crate::trace::span;
use crate::upstream::{Choices, ChosenPeer};
use crate::upstream::{ReplyTo, TransportFault, WireRequest};

/// What an operation's requests go to.
pub(super) type PeerOf<J> = <<J as Judge>::Chosen as ChosenPeer>::Peer;

/// What sees one of its attempts.
type WitnessOf<J> = <<J as Judge>::Chosen as ChosenPeer>::Witness;

/// What holds for all attempts at one request.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each may be true beside any other"
)]
pub(super) struct Demands {
    /// What happens when it is carried out twice.
    pub(super) idempotency: Idempotency,
    /// It takes an upstream seconds, or the answer is megabytes.
    pub(super) heavy: bool,
    /// A second upstream may be asked before the first has answered.
    pub(super) may_hedge: bool,
    /// It belongs to a request that has been counted already: it earns nothing for the retry budget,
    /// and is sent no more often than the settings say.
    pub(super) counted: bool,
    /// A hedge is paid for by the retry budget also where the request is stuck: each costs money.
    pub(super) hedges_cost: bool,
    /// Class and consumer, which decide who gets a free connection first.
    pub(super) ask: PermitRequest,
}

impl Demands {
    /// Whether it may be sent a second time while the first is unanswered.
    pub(super) const fn is_repeatable(&self) -> bool {
        self.idempotency.is_repeatable()
    }

    /// Whether its signature keeps it from happening twice.
    pub(super) const fn is_signed_write(&self) -> bool {
        matches!(self.idempotency, Idempotency::WriteBySignature)
    }
}

/// The judgement of one attempt.
pub(super) enum JudgedAttempt<Answer, Freshness> {
    Good {
        answer: Answer,
        latency: Duration,
        freshness: Freshness,
    },
    Bad {
        verdict: Verdict,
        answer: Option<Answer>,
        /// What came in HTTP alone, where that may be meant for the client.
        page: Option<RefusedPage>,
    },
}

impl<Answer, Freshness> JudgedAttempt<Answer, Freshness> {
    /// Tells the span of the attempt how it ended.
    pub(super) fn note(&self, span: &Span, status: Option<u16>) {
        let fault = match self {
            Self::Good { .. } => None,
            Self::Bad { verdict, .. } => Some(verdict.kind.label()),
        };
        span::ended(span, status, fault);
    }
}

/// What the reply to a request means, and what its upstream is told of it. It is asked of requests
/// under way and of those that nobody waits for any more.
pub(super) trait Judge: Sync {
    /// An upstream that is asked.
    type Chosen: ChosenPeer;
    /// How the request is written, and what its answer is read as.
    type Request: WireRequest + Clone + 'static;
    /// What goes on to whoever asked.
    type Answer: Send;
    /// What an answer says of the age of what it was made from.
    type Freshness: Copy + Send;

    /// Judges the reply, and tells its upstream what it was worth.
    fn judge(
        &self,
        candidate: &mut Self::Chosen,
        reply: Result<ReplyTo<Self::Request>, TransportFault>,
    ) -> JudgedAttempt<Self::Answer, Self::Freshness>;

    /// Notes how long a good answer took; `quantile` is the share of them that a usual one is among.
    fn observe_latency(&self, upstream: &PeerOf<Self>, latency: Duration, quantile: f64);

    /// Holds against an upstream that it did not serve what another served.
    fn hold_against(&self, upstream: &PeerOf<Self>, kind: FaultKind);

    /// Holds against an upstream that another was quicker while it was stuck.
    fn defeated(&self, upstream: &PeerOf<Self>) {
        self.hold_against(upstream, FaultKind::FirstByteTimeout);
    }

    /// An attempt that nobody waits for any more has failed, after another upstream had served the
    /// request.
    fn failed_late(&self, _upstream: &PeerOf<Self>, _verdict: &Verdict) {}

    /// Holds against an upstream that it never answered. `served`: another has served the request.
    fn never_answered(&self, witness: &WitnessOf<Self>, served: bool);
}

/// One request to upstreams, answered by the first good answer. What has a default is for operations
/// whose answers have an age, or that may find out that they were carried out before.
pub(super) trait Operation: Judge {
    /// Judges answers that come when the request itself is over.
    type Detached: Judge<Chosen = Self::Chosen, Request = Self::Request> + Send + 'static;
    /// Those that may be asked.
    type Choices: Choices<Chosen = Self::Chosen>;
    /// What is noted of the delivered answer.
    type Notes: Default + Send;

    fn detach(&self) -> Self::Detached;

    fn demands(&self) -> Demands;

    /// Whether what has been sent is carried to its end even if whoever asked has gone: to break the
    /// connection might cut it short.
    fn outlives_its_caller(&self) -> bool {
        false
    }

    /// What is called, by its label, where requests say that in their body.
    fn procedure(&self) -> Option<&'static str> {
        None
    }

    /// The urgency of callers who wait for the same request.
    fn urgency(&self) -> Option<&Arc<Urgency>> {
        None
    }

    /// The verb of HTTP.
    fn verb(&self) -> &str;

    /// What an attempt at this upstream sends.
    fn request(&self, to: &PeerOf<Self>) -> Self::Request;

    /// Who may be asked, best first.
    fn candidates(&self) -> Self::Choices;

    /// How long the quickest upstream usually takes, and whether several are known well enough to
    /// compare.
    fn usual_latency(&self) -> Option<(Duration, bool)>;

    /// The slot an upstream is known to have reached, as far as this request is concerned.
    fn reached(&self, _upstream: &PeerOf<Self>) -> Option<Slot> {
        None
    }

    /// Why a good answer is delivered only if there is no better one.
    fn doubt(&self, _freshness: &Self::Freshness, _upstream: &PeerOf<Self>) -> Option<FaultKind> {
        None
    }

    /// Learns from an answer in doubt where its upstream stands. Returns the slot by which it is
    /// compared with others, if there is one.
    fn stands_at(
        &self,
        _freshness: &Self::Freshness,
        _doubt: FaultKind,
        _upstream: &PeerOf<Self>,
    ) -> Option<Slot> {
        None
    }

    /// The lowest slot from which an answer may be.
    fn slot_floor(&self) -> Option<Slot> {
        None
    }

    /// The slot that an upstream must have reached to settle this doubt.
    fn floor_in_doubt(&self, _doubt: FaultKind) -> Option<Slot> {
        self.slot_floor()
    }

    /// What is delivered where the best answer is one in doubt.
    fn last_resort(&self, answer: Self::Answer) -> LastResort<Self::Answer> {
        LastResort::AsItCame(answer)
    }

    /// What the caller is told where there was nobody to ask.
    fn nobody(&self) -> Rejection;

    /// What the caller is told where no answer can be delivered.
    fn rejection(&self, cause: NoAnswer) -> Rejection {
        match cause {
            NoAnswer::OutcomeUnknown(Idempotency::Unknown) => Rejection::AnswerLost,
            NoAnswer::OutcomeUnknown(_) => Rejection::OutcomeUnknown,
            NoAnswer::RateLimited(retry_after) => Rejection::RateLimited { retry_after },
            NoAnswer::Unpaid(retry_after) => Rejection::BudgetSpent { retry_after },
            NoAnswer::Saturated => Rejection::Saturated,
            NoAnswer::Failed(_) => Rejection::NoUpstream {
                reason: "no upstream could answer",
            },
            NoAnswer::KeyRefused => Rejection::KeyRefused,
            NoAnswer::Nobody => self.nobody(),
        }
    }

    /// The caller is told that all upstreams limit the rate of its requests.
    fn is_limited(&self) {}

    /// How useful a bad answer is to the client; `None` for one that does not concern it, such as a
    /// provider's complaint about the gateway's key.
    fn rank(&self, verdict: &Verdict) -> Option<AnswerRank> {
        if verdict.kind.leaves_in_doubt()
            || matches!(
                verdict.kind,
                FaultKind::RateLimited
                    | FaultKind::CreditsExhausted
                    | FaultKind::Unauthorized
                    | FaultKind::Forbidden
                    | FaultKind::Challenge
            )
        {
            return None;
        }
        Some(match verdict.blame {
            Blame::Client => AnswerRank::OfClient,
            Blame::Cluster => AnswerRank::OfCluster,
            Blame::Upstream => AnswerRank::OfUpstream,
        })
    }

    /// Where to ask next, given who has spoken.
    fn where_next(&self, verdict: &Verdict, _upstream: &PeerOf<Self>) -> Retry {
        verdict.retry
    }

    /// Whether others may be asked at all after this fault: not where it is likely that nobody serves
    /// such a request, and too many were asked of others in vain. `any_left` says whether there are
    /// others; `searched`, whether this request was granted a search before, and is set by one.
    fn may_go_on(
        &self,
        _kind: FaultKind,
        _searched: &mut bool,
        _any_left: impl FnOnce() -> bool,
        _now: Instant,
    ) -> bool {
        true
    }

    /// A good answer is delivered, after a search or without one.
    fn is_served(&self, _searched: bool) {}

    /// Whether a bad answer counts against its upstream if another serves the request. `reached` is
    /// the slot that it was known to have before.
    fn accuses(&self, verdict: &Verdict, _reached: Option<Slot>) -> bool {
        matches!(verdict.penalty, Penalty::Failure | Penalty::Refusal)
    }

    /// Whether every upstream would say the same.
    fn is_certain(&self, _verdict: &Verdict) -> bool {
        false
    }

    /// Whether a final verdict on a write may yet be contradicted by an attempt under way.
    fn may_be_contradicted(&self, _kind: FaultKind) -> bool {
        false
    }

    /// The answer, if a refusal only says that the request was carried out before.
    fn done_already(&self, _verdict: &Verdict) -> Option<Self::Answer> {
        None
    }
}

/// What is delivered for want of a better answer.
pub(super) enum LastResort<Answer> {
    /// An answer of the gateway's own: it is no upstream's, and nobody else's business.
    Own(Answer),
    /// The answer as it came.
    AsItCame(Answer),
}

/// How useful an answer is to the client where there is no good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AnswerRank {
    /// Less than being told when to come again.
    BelowRateLimit,
    OfUpstream,
    OfCluster,
    OfClient,
    /// Good, but old: better than any error. Of several the one with the higher number.
    Old(u64),
}

/// Why no answer can be delivered.
#[derive(Clone, Copy, Debug)]
pub(super) enum NoAnswer {
    /// What was sent may have been carried out, and must not be twice.
    OutcomeUnknown(Idempotency),
    /// Upstreams limit the gateway's rate for so long.
    RateLimited(Duration),
    /// The budgets of the upstreams that could answer are spent for so long.
    Unpaid(Duration),
    /// All connections to some upstream stayed in use.
    Saturated,
    /// An upstream failed like this, the first that did.
    Failed(FaultKind),
    /// Upstreams refuse the gateway's key.
    KeyRefused,
    /// There was nobody to ask.
    Nobody,
}
