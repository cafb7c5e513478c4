//! A JSON-RPC call as an operation of dispatch: how it is written, what an answer to it means, and what
//! it demands of a node. Before its answer is delivered, history that it lacks is looked for
//! ([`history`]).

mod answer_age;
mod answer_notes;
mod answer_payload;
mod archive_budget;
mod behind;
mod counter_bounds;
mod detached;
mod floor;
mod fresh;
mod history;
mod judge;
mod memory;
mod missing_history;
mod own_answer;
mod read_session;
mod session_floor;
mod unknown_methods;
mod withheld;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use perijove_core::Slot;
use tokio::time::Instant;

pub use answer_notes::{AnswerNotes, CallSummary};
pub use answer_payload::AnswerPayload;
pub use floor::Floors;
pub use memory::RpcMemory;
pub use read_session::{ReadSession, ShownHeads, ToldHeads};

use answer_age::AnswerAge;
use behind::is_behind;
use detached::{AsRpcJudge, DetachedCall};
use judge::RpcJudge;

use super::attempts::{Attempts, AttemptsOutcome};
use super::operation::{Demands, LastResort, Operation};
use super::{Delivered, Dispatch};
use crate::error::Rejection;
use crate::jsonrpc::{self, Call};
use crate::limit::{PermitRequest, Urgency};
use crate::solana::{Class, Extension, FaultKind, Idempotency, Method, Penalty, Retry, Verdict};
use crate::upstream::{
    CallRequirements, Candidates, DeeperUpstreams, Health, Pool, RpcRequest, Upstream,
};

/// One call to be answered.
#[derive(Clone, Copy, Debug)]
pub struct RpcCall<'a> {
    pub pool: &'a Pool,
    pub memory: &'a RpcMemory,
    pub call: &'a Call,
    pub class: &'a Class,
    pub session: &'a ReadSession,
    /// Who goes first where upstreams' connections are short.
    pub ask: PermitRequest,
    /// That of callers who wait for the same call.
    pub urgency: Option<&'a Arc<Urgency>>,
    /// Upstreams are told not to look into long-term storage.
    pub ledger_only: bool,
    /// Only upstreams that may have what another has not; see `history`.
    pub deeper: Option<DeeperUpstreams<'a>>,
}

impl Dispatch<'_, RpcCall<'_>> {
    /// Runs the call to its end. Dropping the future cancels the attempts in flight.
    pub async fn run(&self) -> (Delivered<AnswerPayload>, CallSummary) {
        let (delivered, summary) = self.attempt().await;
        self.note_sent(&delivered);
        match self.doubt(&delivered, &summary) {
            None => (delivered, summary),
            Some(doubt) => Box::pin(self.look_deeper(doubt, delivered, summary)).await,
        }
    }

    /// The attempts alone.
    async fn attempt(&self) -> (Delivered<AnswerPayload>, CallSummary) {
        let mut attempts = Attempts::new(self);
        let AttemptsOutcome {
            delivered,
            freshness,
            mut summary,
        } = attempts.run().await;
        let operation = &self.operation;
        if let Some(age) = freshness {
            summary.doubt = None;
            summary.notes.told_heads = operation.session.tell(&age.heads);
        } else if let Delivered::Payload(payload) = &delivered {
            // An older answer for want of a newer one, say: the batch it belongs to must see that.
            let heads = operation.heads(payload);
            summary.notes.told_heads = match summary.doubt {
                // However old it is, the client has seen it.
                Some(FaultKind::BehindTip | FaultKind::BlockhashNotFound) => {
                    operation.session.tell(&heads)
                }
                _ => operation.session.shows(&heads),
            };
        }
        (delivered, summary)
    }
}

impl AsRpcJudge for RpcCall<'_> {
    fn as_judge(&self) -> RpcJudge<'_> {
        RpcJudge {
            call: self.call,
            class: self.class,
            clock: self.memory.clock,
        }
    }
}

impl RpcCall<'_> {
    /// Whether the method is unknown to Agave, to providers' documentation, to the configuration
    /// and from experience.
    fn is_strange(&self) -> bool {
        if !matches!(self.class.method, Method::Other | Method::NamedAsRead) {
            return false;
        }
        let method = self.call.method();
        Extension::of(method) != Some(Extension::Write)
            && !self.pool.names(method)
            && !self.memory.unknown_methods.is_served(method)
    }
}

impl<'a> Operation for RpcCall<'a> {
    type Detached = DetachedCall;
    type Choices = Candidates<'a>;
    type Notes = AnswerNotes;

    fn detach(&self) -> DetachedCall {
        DetachedCall {
            call: self.call.clone(),
            class: *self.class,
            clock: self.memory.clock,
        }
    }

    fn procedure(&self) -> Option<&'static str> {
        Some(self.class.method.label())
    }

    fn demands(&self) -> Demands {
        Demands {
            idempotency: self.class.profile().idempotency,
            heavy: self.class.heavy,
            may_hedge: self.class.may_hedge(),
            // A question for deeper history belongs to a call that has been counted.
            counted: self.deeper.is_some(),
            hedges_cost: false,
            ask: self.ask,
        }
    }

    fn urgency(&self) -> Option<&Arc<Urgency>> {
        self.urgency
    }

    fn verb(&self) -> &'static str {
        "POST"
    }

    fn request(&self, _to: &Upstream) -> RpcRequest {
        let params = self.call.params().map_or(0, <[u8]>::len);
        let mut request = BytesMut::with_capacity(128 + params);
        jsonrpc::encode(self.call, &mut request);
        RpcRequest::new(request.freeze(), self.ledger_only)
    }

    fn candidates(&self) -> Candidates<'a> {
        let requirements = CallRequirements {
            params: self.call.params(),
            floor: self.session.slot_floor(),
            history: self.deeper,
            strange: self.is_strange(),
            priority: self.ask.priority,
            urgency: self.urgency.map(|urgency| &**urgency),
            ..CallRequirements::of(self.class, self.call.method())
        };
        self.pool.candidates(requirements)
    }

    fn usual_latency(&self) -> Option<(Duration, bool)> {
        self.pool.usual_latency(self.class.method)
    }

    fn reached(&self, upstream: &Upstream) -> Option<Slot> {
        upstream.state().slot(self.class.context.commitment)
    }

    fn doubt(&self, age: &AnswerAge, upstream: &Upstream) -> Option<FaultKind> {
        if self.session.goes_backwards(&age.heads) {
            return Some(FaultKind::BehindSession);
        }
        let slot = age.heads.slot();
        let suspect = || upstream.state().health() == Health::Suspect;
        if (slot.is_some() && suspect()) || !self.is_possible(&age.heads, upstream) {
            return Some(FaultKind::SlotInDoubt);
        }
        let commitment = self.class.context.commitment;
        if slot.is_some_and(|slot| upstream.is_outdated(slot, commitment)) {
            return Some(FaultKind::BehindTip);
        }
        let denied = age.denies_blockhash && self.trails(upstream, slot);
        denied.then_some(FaultKind::BlockhashNotFound)
    }

    fn stands_at(&self, age: &AnswerAge, doubt: FaultKind, upstream: &Upstream) -> Option<Slot> {
        let slot = age.heads.slot();
        let slot = slot.filter(|_| doubt != FaultKind::SlotInDoubt);
        if let Some(slot) = slot {
            upstream.stands_at(slot, self.class.context.commitment);
        }
        slot
    }

    fn floor_in_doubt(&self, doubt: FaultKind) -> Option<Slot> {
        match doubt {
            FaultKind::BlockhashNotFound => self.slot_floor().max(self.fresh_floor()),
            _ => self.slot_floor(),
        }
    }

    fn slot_floor(&self) -> Option<Slot> {
        self.session.slot_floor()
    }

    fn last_resort(&self, answer: AnswerPayload) -> LastResort<AnswerPayload> {
        self.hold_floor(answer)
    }

    fn nobody(&self) -> Rejection {
        if self.pool.allows(self.call.method()) {
            Rejection::NoUpstream {
                reason: "no upstream is available",
            }
        } else {
            Rejection::MethodRefused
        }
    }

    /// What a node that trails the others finds wrong with a transaction may be right on theirs.
    fn where_next(&self, verdict: &Verdict, upstream: &Upstream) -> Retry {
        let trails = is_behind(upstream);
        let signed = self.class.profile().idempotency == Idempotency::WriteBySignature;
        if verdict.kind == FaultKind::SimulationFailed && signed && trails {
            return Retry::Elsewhere;
        }
        verdict.retry
    }

    /// Always, unless the first upstream does not know a strange method and enough of such were looked
    /// for in vain.
    fn may_go_on(
        &self,
        kind: FaultKind,
        searched: &mut bool,
        any_left: impl FnOnce() -> bool,
        now: Instant,
    ) -> bool {
        let refused = matches!(kind, FaultKind::MethodNotFound | FaultKind::MethodDisabled);
        if !refused || *searched || !self.is_strange() {
            return true;
        }
        let searches = any_left() && self.memory.unknown_methods.may_search(now);
        self.memory.metrics.unknown_method(searches);
        *searched = searches;
        searches
    }

    fn is_limited(&self) {
        self.memory.limited_calls.note();
    }

    /// If the method was strange, it is no more.
    fn is_served(&self, searched: bool) {
        if self.is_strange() {
            let method = self.call.method();
            self.memory.unknown_methods.serves(method, searched);
        }
    }

    fn accuses(&self, verdict: &Verdict, reached: Option<Slot>) -> bool {
        match verdict.penalty {
            Penalty::Failure | Penalty::Refusal => true,
            // It refers to a slot that was not requested, or that the upstream has.
            Penalty::None if verdict.kind == FaultKind::MinContextSlot => {
                let asked = self.class.context.min_context_slot;
                asked.is_none_or(|slot| reached >= Some(slot))
            }
            _ => false,
        }
    }

    /// What a provider says in its own name, such as that its plan does not include the call, says
    /// nothing about the others.
    fn is_certain(&self, verdict: &Verdict) -> bool {
        verdict.retry == Retry::Final
            && matches!(
                verdict.kind,
                FaultKind::InvalidParams
                    | FaultKind::SignatureVerification
                    | FaultKind::SignatureLength
                    | FaultKind::PrecompileVerification
            )
    }

    fn may_be_contradicted(&self, kind: FaultKind) -> bool {
        kind == FaultKind::SimulationFailed
    }

    /// Whoever sent it: an attempt of this call, another call with the same bytes, or the client by
    /// another way. The client wants it processed, and knows it by its signature.
    fn done_already(&self, verdict: &Verdict) -> Option<AnswerPayload> {
        let is_sent = self.class.method == Method::SendTransaction;
        (is_sent && verdict.kind == FaultKind::AlreadyProcessed)
            .then(|| own_answer::signature(self.call))
            .flatten()
    }
}
