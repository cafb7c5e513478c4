//! One attempt at one upstream, from the written request to what came back.
//!
//! Not here: how bytes travel (`upstream::client`), what an answer means (the
//! [operation](super::operation)), and what follows from it (the [attempts](super::attempts)).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use perijove_core::Slot;
use tokio::time::Instant;
use tracing::Span;

use super::budget::RetryBudget;
use super::operation::{Operation, PeerOf};
use super::request::Dispatch;
use crate::trace::span::{self, SpanAttempt, SpanPeer};
use crate::upstream::{AttemptLimits, ReplyTo, TransportFault, WireRequest};
use crate::upstream::{AttemptWitness, ChosenPeer, Peer};

#[cfg(test)]
pub(super) mod script;

/// An attempt in flight. Boxed, so that the loser of a hedge can be left to finish on its own:
/// dropping it would close a healthy connection.
pub(super) struct RunningAttempt<R: WireRequest, C: ChosenPeer> {
    pub(super) started: Instant,
    /// The retry budget that paid for it.
    paid_by: Option<Arc<RetryBudget>>,
    /// Its place among the attempts of the request.
    pub(super) number: u32,
    pub(super) witness: C::Witness,
    run: Pin<Box<dyn Future<Output = FinishedAttempt<R, C>> + Send>>,
}

impl<R: WireRequest, C: ChosenPeer> Future for RunningAttempt<R, C> {
    type Output = FinishedAttempt<R, C>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<FinishedAttempt<R, C>> {
        self.run.as_mut().poll(cx)
    }
}

impl<R: WireRequest, C: ChosenPeer> RunningAttempt<R, C> {
    /// The same, paid for by this budget.
    pub(super) fn paid_by(mut self, budget: &Arc<RetryBudget>) -> Self {
        self.paid_by = Some(Arc::clone(budget));
        self
    }
}

/// What was never sent costs nothing, however it ends: there was no connection, or the client
/// disconnected.
impl<R: WireRequest, C: ChosenPeer> Drop for RunningAttempt<R, C> {
    fn drop(&mut self) {
        if let Some(budget) = self.paid_by.take()
            && !self.witness.is_written()
        {
            budget.refund();
        }
    }
}

/// Why an attempt is made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AttemptReason {
    /// Another attempt is unanswered.
    pub(super) hedge: bool,
    /// It was paid for by the retry budget.
    pub(super) paid: bool,
    /// And is returned if this attempt serves the call.
    pub(super) lent: bool,
    /// Its place among the attempts of the request.
    pub(super) number: u32,
}

/// The result of an attempt, before it is judged.
pub(super) struct FinishedAttempt<R: WireRequest, C> {
    pub(super) candidate: C,
    pub(super) reason: AttemptReason,
    pub(super) started: Instant,
    /// The slot its upstream was known to have reached before it was asked.
    pub(super) reached: Option<Slot>,
    pub(super) reply: Result<ReplyTo<R>, TransportFault>,
    /// Ends with it.
    pub(super) span: Span,
}

/// Sends `request` to the candidate, which is known to have `reached` a slot. It is `now`.
pub(super) fn start<R: WireRequest + 'static, C: ChosenPeer>(
    candidate: C,
    request: R,
    limits: AttemptLimits,
    reached: Option<Slot>,
    reason: AttemptReason,
    (span, now): (Span, Instant),
) -> RunningAttempt<R, C> {
    let witness = candidate.witness();
    // Built where it stays: `Box::pin` would copy the kilobytes that it has room for.
    let run = Box::write(Box::new_uninit(), async move {
        #[cfg(test)]
        let reply = script::play::<R, C>(&candidate, &limits).await;
        #[cfg(not(test))]
        let reply = candidate.attempt(&request, &limits).await;
        #[cfg(test)]
        drop(request);
        FinishedAttempt {
            candidate,
            reason,
            started: now,
            reached,
            reply,
            span,
        }
    });
    RunningAttempt {
        started: now,
        paid_by: None,
        number: reason.number,
        witness,
        run: Box::into_pin(run),
    }
}

/// The span of an attempt; a disabled one unless the request is recorded.
pub(super) fn span_of<O: Operation>(
    dispatch: &Dispatch<'_, O>,
    peer: &PeerOf<O>,
    reason: AttemptReason,
) -> Span {
    if dispatch.span.is_disabled() {
        return Span::none();
    }
    let (host, port) = peer.address();
    let attempt = SpanAttempt {
        peer: SpanPeer {
            upstream: peer.name(),
            host,
            port,
        },
        verb: dispatch.operation.verb(),
        number: reason.number,
        hedge: reason.hedge,
    };
    span::attempt(dispatch.span, attempt, dispatch.operation.procedure())
}

impl<R: WireRequest, C> FinishedAttempt<R, C> {
    /// Whether the upstream may have seen the request.
    pub(super) fn bytes_sent(&self) -> bool {
        self.reply
            .as_ref()
            .map_or_else(|fault| fault.bytes_sent, |_| true)
    }
}
