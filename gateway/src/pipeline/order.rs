//! The order within a batch: a client reads its answers one after the other, and the head of the
//! chain must not run backwards between them either. They are fetched side by side, maybe from
//! several upstreams, so one that turns out to be older than one before it is asked for again.

use std::pin::Pin;

use futures::StreamExt;
use futures::stream::{self, Stream};

use super::Request;
use super::call;
use super::part::Reply;
use crate::dispatch::ToldHeads;
use crate::jsonrpc::Entry;
use crate::solana::Heads;

type Answered = Pin<Box<dyn Stream<Item = (Reply, Entry)> + Send>>;

/// The greatest numbers that the answers so far told of, at each commitment.
#[derive(Debug, Default)]
struct Order([Heads; 3]);

impl Order {
    /// Whether an answer is older than one before it, by more than `slots` slots.
    fn is_broken_by(&self, told: ToldHeads, slots: u64) -> bool {
        told.heads().is_some_and(|(commitment, heads)| {
            let before = self.0.get(commitment.index());
            before.is_some_and(|before| heads.is_below(before, slots))
        })
    }

    fn note(&mut self, told: ToldHeads) {
        if let Some((commitment, heads)) = told.heads()
            && let Some(before) = self.0.get_mut(commitment.index())
        {
            before.raise(&heads);
        }
    }
}

/// The answers in the order of their calls, each as new as those before it where that can be had:
/// by now the client's floor is where the newest of them is.
pub(super) fn in_order(request: Request, answered: Answered) -> impl Stream<Item = Reply> {
    let state = (request, answered, Order::default());
    stream::unfold(state, |(request, mut answered, mut order)| async move {
        let (mut reply, entry) = answered.next().await?;
        let slots = request.snapshot.config.selection.step_back;
        if order.is_broken_by(reply.trace.told, slots) {
            reply = call::again(&request, entry).await;
        }
        order.note(reply.trace.told);
        Some((reply, (request, answered, order)))
    })
}
