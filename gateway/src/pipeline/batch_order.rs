//! The order within a batch: a client reads its answers one after the other, and the head of the
//! chain must not run backwards between them. They are fetched concurrently, maybe from several
//! upstreams, so an answer older than one before it is requested again.
//!
//! Calls under way at the same time are answered from different slots even by one node: what the
//! time since the batch began explains is no disagreement, and its calls are bound only by what the
//! client had been shown before. A batch may request as many again as it requests at once: if it
//! took more, no upstream has reached the floor, and asking again would be useless.

use std::pin::Pin;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, Stream};

use super::Request;
use super::call;
use super::call_reply::CallReply;
use crate::dispatch::ToldHeads;
use crate::jsonrpc::RequestEntry;
use crate::solana::Heads;

type AnsweredEntries = Pin<Box<dyn Stream<Item = (CallReply, RequestEntry)> + Send>>;

/// The greatest numbers in the answers so far, at each commitment.
#[derive(Debug, Default)]
struct BatchOrder {
    heads: [Heads; 3],
    /// Answers that were requested again.
    again: usize,
}

impl BatchOrder {
    /// Whether an answer is older than one before it, by more than `slots` slots.
    fn is_broken_by(&self, told: ToldHeads, slots: u64) -> bool {
        told.heads().is_some_and(|(commitment, heads)| {
            let before = self.heads.get(commitment.index());
            before.is_some_and(|before| heads.is_below(before, slots))
        })
    }

    /// Whether another answer may be requested again, of `most` in this batch.
    fn may_repair(&mut self, most: usize) -> bool {
        let may = self.again < most;
        self.again += usize::from(may);
        may
    }

    fn note(&mut self, told: ToldHeads) {
        if let Some((commitment, heads)) = told.heads()
            && let Some(before) = self.heads.get_mut(commitment.index())
        {
            before.raise(&heads);
        }
    }
}

/// The answers in the order of their calls, each as new as those before it where possible: by now
/// the client's floor is that of the newest.
pub(super) fn in_order(
    request: Request,
    answered: AnsweredEntries,
) -> impl Stream<Item = CallReply> {
    let state = (request, answered, BatchOrder::default());
    stream::unfold(state, |(request, mut answered, mut order)| async move {
        let (mut reply, entry) = answered.next().await?;
        let config = &request.snapshot.config;
        let took = request.context.started.elapsed();
        let slots =
            passed(took, config.cluster.slot_time).saturating_add(config.selection.step_back);
        if order.is_broken_by(reply.attempt_summary.notes.told_heads, slots) {
            let may = order.may_repair(config.limits.batch_concurrency.max(1));
            request.pipeline.metrics.out_of_order(may);
            if may {
                let again = Request {
                    shown_before: None,
                    ..request.clone()
                };
                reply = call::answer_again(&again, entry).await;
            }
        }
        order.note(reply.attempt_summary.notes.told_heads);
        Some((reply, (request, answered, order)))
    })
}

/// By how many slots answers to calls under way at the same time may differ.
fn passed(took: Duration, slot_time: Duration) -> u64 {
    let slots = took.as_millis() / slot_time.as_millis().max(1);
    u64::try_from(slots).unwrap_or(u64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_time_of_a_batch_explains_is_not_asked_again() {
        let slot_time = Duration::from_millis(400);
        for (millis, slots) in [(0, 1), (399, 1), (900, 3), (4_000, 11)] {
            assert_eq!(passed(Duration::from_millis(millis), slot_time), slots);
        }
    }

    #[test]
    fn a_batch_asks_again_for_so_many_and_no_more() {
        let mut order = BatchOrder::default();
        let again = (0..1000).filter(|_| order.may_repair(16)).count();
        assert_eq!(again, 16);
    }
}
