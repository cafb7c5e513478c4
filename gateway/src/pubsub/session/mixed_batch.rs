//! A batch with subscriptions in it. It is admitted as a whole, as over HTTP, and then carried out
//! entry by entry.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use tokio::time::Instant;

use super::entry_terms::EntryTerms;
use super::message_handler::HandlerState;
use super::message_reply::MessageReply;
use crate::jsonrpc::{Batch, Id, RequestEntry, RpcError, error_reply};
use crate::pipeline::Response;
use crate::pubsub::answer::SHARE_USED_UP;
use crate::pubsub::collected::CollectedAnswer;
use crate::pubsub::subscription_kind::SubscriptionAction;

/// The answers so far.
struct CollectedBatch {
    text: BytesMut,
    held: CollectedAnswer,
    reply: MessageReply,
}

impl HandlerState {
    pub(super) async fn mixed(self: &Arc<Self>, batch: Batch) -> MessageReply {
        let started = Instant::now();
        let snapshot = self.hub.published.load();
        let limits = &snapshot.config.limits;
        let plan = snapshot.plan(self.client.context.consumer.as_ref());
        let costs = batch.clone().map(|entry| Self::cost(plan, &entry));
        let cost = costs.fold(0, usize::saturating_add);
        let admitted = match self.admit(cost).await {
            Ok(admitted) => admitted,
            Err(rejection) => {
                let metrics = &self.hub.pipeline.metrics;
                metrics.no_call(rejection.label());
                let null = Id::null();
                let refused = Response::rejected(&rejection, &null, "batch");
                let refused = self
                    .collect(refused, &null, usize::MAX, &self.message_context(None))
                    .await;
                return MessageReply {
                    is_refusal: true,
                    ..refused
                };
            }
        };
        let terms = EntryTerms {
            deadline: Some(started + limits.request_timeout),
            is_admitted: true,
        };
        let mut answers = CollectedBatch {
            text: BytesMut::new(),
            held: self.held(),
            reply: MessageReply::default(),
        };
        for entry in batch {
            let answer = self
                .entry(entry, &terms, limits.unsent_per_connection, &answers)
                .await;
            answers.add(answer);
        }
        let meter = admitted
            .as_ref()
            .and_then(|admitted| admitted.meter.as_ref());
        let reply = answers.close();
        if let Some(meter) = meter {
            meter.count(reply.text.len());
        }
        reply
    }

    /// Carries out one entry, if its answer may still find room.
    async fn entry(
        self: &Arc<Self>,
        entry: RequestEntry,
        terms: &EntryTerms,
        most: usize,
        answers: &CollectedBatch,
    ) -> EntryReply {
        let id = match &entry {
            // A node runs no method for a notification.
            RequestEntry::Call(call) if call.id.is_none() => {
                let (id, reply) = (Id::null(), MessageReply::default());
                return EntryReply { id, reply };
            }
            RequestEntry::Call(call) => call.id.clone().unwrap_or(Id::null()),
            RequestEntry::Invalid(invalid) => invalid.id.clone(),
        };
        let room = most.saturating_sub(answers.text.len());
        let action = match &entry {
            RequestEntry::Call(_) if room == 0 => {
                let reply = error_reply(&id, &too_large(), false).into();
                return EntryReply { id, reply };
            }
            RequestEntry::Call(call) => SubscriptionAction::of(call.method()).zip(Some(call)),
            RequestEntry::Invalid(_) => None,
        };
        let reply = if let Some((act, call)) = action {
            self.act(act, call, terms).await
        } else {
            let context = Arc::new(self.message_context(terms.deadline));
            let request = self.request(Arc::clone(&context));
            let response = request.answer_entry(entry).await;
            self.collect(response, &id, room, &context).await
        };
        EntryReply { id, reply }
    }
}

/// The answer to one entry.
struct EntryReply {
    id: Id,
    reply: MessageReply,
}

impl CollectedBatch {
    fn add(&mut self, EntryReply { id, reply }: EntryReply) {
        if reply.text.is_empty() {
            return;
        }
        let bytes = self.text.len() + reply.text.len() + 2;
        let has_room = self.held.reaches(bytes).is_ok();
        self.text
            .put_u8(if self.text.is_empty() { b'[' } else { b',' });
        // The number of a subscription that was made is always told, and short.
        if has_room || !reply.makes_known.is_empty() {
            self.text.put_slice(&reply.text);
        } else {
            let error = RpcError::new(-32603, SHARE_USED_UP);
            self.text.put_slice(&error_reply(&id, &error, false));
        }
        self.reply.makes_known.extend(reply.makes_known);
        self.reply.is_refusal |= reply.is_refusal;
    }

    fn close(mut self) -> MessageReply {
        if !self.text.is_empty() {
            self.text.put_u8(b']');
        }
        MessageReply {
            text: self.text.freeze(),
            held: Some(self.held),
            ..self.reply
        }
    }
}

/// The answer to the rest of a batch whose answers are too large for one message.
fn too_large() -> RpcError {
    RpcError::new(
        -32603,
        "the answers of this batch are too large for a WebSocket; ask for them over HTTP",
    )
}
