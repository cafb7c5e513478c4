//! A client's calls that begin and end its subscriptions.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::timeout_at;

use super::entry_terms::EntryTerms;
use super::message_handler::HandlerState;
use super::message_reply::MessageReply;
use crate::dispatch::CallSummary;
use crate::error::Rejection;
use crate::jsonrpc::{Call, Id, RequestEntry, RpcError, error_reply};
use crate::pipeline::RequestSummary;
use crate::pubsub::params::{SubscriptionSpec, subscription_id};
use crate::pubsub::subscribe::no_upstream;
use crate::pubsub::subscription_kind::{SubscriptionAction, SubscriptionKind};
use crate::pubsub::topic::Subscriber;

/// JSON-RPC's codes for parameters that are wrong, and for what went wrong inside.
const INVALID_PARAMS: i64 = -32602;
const INTERNAL: i64 = -32603;

/// Why a call is refused: the error, and the HTTP status and the word for it in log and metrics.
struct SubscriptionFault {
    error: RpcError,
    status: u16,
    outcome: &'static str,
}

impl From<RpcError> for SubscriptionFault {
    /// An upstream's error, or the one that it would have given.
    fn from(error: RpcError) -> Self {
        let outcome = match error.code {
            INVALID_PARAMS => "refused_unasked",
            -32005 => "no_upstream",
            _ => "error",
        };
        Self {
            error,
            status: 200,
            outcome,
        }
    }
}

impl From<Rejection> for SubscriptionFault {
    fn from(rejection: Rejection) -> Self {
        Self {
            error: rejection.rpc_error().unwrap_or_else(|| Self::full().error),
            status: rejection.status(),
            outcome: rejection.label(),
        }
    }
}

impl SubscriptionFault {
    /// That of a node that accepts no more subscriptions.
    fn full() -> Self {
        let text = "Internal Error: Subscription refused. Node subscription limit reached";
        Self {
            error: RpcError::new(INTERNAL, text),
            status: 429,
            outcome: "over_limit",
        }
    }
}

impl HandlerState {
    /// Carries out one of these calls.
    pub(super) async fn act(
        self: &Arc<Self>,
        act: SubscriptionAction,
        call: &Call,
        terms: &EntryTerms,
    ) -> MessageReply {
        let context = self.message_context(terms.deadline);
        let (reply, status, outcome) = self.acted(act, call, terms).await;
        let summary = RequestSummary {
            method: act.method(),
            calls: 1,
            outcome,
            attempt_summary: CallSummary::default(),
            cache: None,
        };
        self.report(summary, status, &context, &reply.text);
        reply
    }

    /// The reply with the HTTP status and the word for it.
    async fn acted(
        self: &Arc<Self>,
        act: SubscriptionAction,
        call: &Call,
        terms: &EntryTerms,
    ) -> (MessageReply, u16, &'static str) {
        let Some(id) = &call.id else {
            // A node runs no method for a notification.
            return (MessageReply::default(), 200, "notification");
        };
        let done = match act {
            SubscriptionAction::Subscribe(kind) => self.subscribe(kind, call, terms).await,
            SubscriptionAction::Unsubscribe(_) => self.unsubscribe(call).map(|()| None),
        };
        match done {
            Ok(Some(subscription)) => {
                let reply = MessageReply {
                    makes_known: vec![subscription],
                    ..reply(id, &subscription.to_string()).into()
                };
                (reply, 200, "ok")
            }
            Ok(None) => (reply(id, "true").into(), 200, "ok"),
            Err(fault) => {
                let reply = MessageReply {
                    is_refusal: fault.error.code != INVALID_PARAMS,
                    ..error_reply(id, &known_to_clients(fault.error), false).into()
                };
                (reply, fault.status, fault.outcome)
            }
        }
    }

    /// Whether the configuration or the client's plan excludes a method.
    fn refuses(&self, method: &str) -> Option<Rejection> {
        let snapshot = self.hub.published.load();
        let plan = snapshot.plan(self.client.context.consumer.as_ref());
        if snapshot.denies(method) {
            Some(Rejection::MethodRefused)
        } else {
            let is_in_plan = plan.is_none_or(|plan| plan.allows(method));
            (!is_in_plan).then_some(Rejection::NotInPlan)
        }
    }

    async fn subscribe(
        &self,
        kind: SubscriptionKind,
        call: &Call,
        terms: &EntryTerms,
    ) -> Result<Option<u64>, SubscriptionFault> {
        if let Some(refused) = self.refuses(call.method()) {
            return Err(refused.into());
        }
        let spec = SubscriptionSpec::read(kind, call.params())?;
        if !terms.is_admitted {
            let snapshot = self.hub.published.load();
            let plan = snapshot.plan(self.client.context.consumer.as_ref());
            let cost = Self::cost(plan, &RequestEntry::Call(call.clone()));
            self.admit(cost).await?;
        }
        let id = self.hub.next_id();
        let (topic, joined) = {
            let mut subscribed = self.subscribed.lock();
            // A client that has left gets no answer.
            let own = subscribed.as_mut().ok_or_else(SubscriptionFault::full)?;
            if own.len() >= self.most {
                own.retain(|_, topic| !topic.has_ended());
            }
            let counted = self.client.share.subscribe(self.of_plan());
            let counted = counted.filter(|_| own.len() < self.most);
            let counted = counted.ok_or_else(SubscriptionFault::full)?;
            self.outbox.hold(id);
            let subscriber = Subscriber::counted(&self.outbox, counted);
            let (topic, joined) = self.hub.join(&spec, id, subscriber);
            own.insert(id, Arc::clone(&topic));
            (topic, joined)
        };
        let accepting = self.hub.subscribe(&topic, joined, id);
        let accepted = match terms.deadline {
            Some(deadline) => match timeout_at(deadline, accepting).await {
                Ok(accepted) => accepted,
                Err(_elapsed) => Err(no_upstream()),
            },
            None => accepting.await,
        };
        if let Err(error) = accepted {
            self.outbox.release(id);
            if let Some(own) = self.subscribed.lock().as_mut() {
                own.remove(&id);
            }
            self.hub.leave(&topic, id);
            return Err(error.into());
        }
        Ok(Some(id))
    }

    /// Most subscriptions that the caller's plan allows on all its sockets.
    fn of_plan(&self) -> Option<usize> {
        let snapshot = self.hub.published.load();
        snapshot
            .plan(self.client.context.consumer.as_ref())?
            .subscriptions
    }

    fn unsubscribe(&self, call: &Call) -> Result<(), SubscriptionFault> {
        let id = subscription_id(call.params())?;
        let topic = self
            .subscribed
            .lock()
            .as_mut()
            .and_then(|own| own.remove(&id));
        // A subscription that has ended by itself does not exist any more, as on a node.
        let topic = topic.filter(|topic| !topic.has_ended());
        let topic =
            topic.ok_or_else(|| RpcError::new(INVALID_PARAMS, "Invalid subscription id."))?;
        self.hub.leave(&topic, id);
        Ok(())
    }
}

fn reply(id: &Id, result: &str) -> Bytes {
    let parts = [
        &br#"{"jsonrpc":"2.0","result":"#[..],
        result.as_bytes(),
        br#","id":"#,
        id.as_bytes(),
        b"}",
    ];
    Bytes::from(parts.concat())
}

/// The same error under a code that clients of subscriptions know: @solana/kit ends the whole process at
/// an HTTP status in its place.
fn known_to_clients(error: RpcError) -> RpcError {
    let code = if error.code > 0 { INTERNAL } else { error.code };
    RpcError { code, ..error }
}
