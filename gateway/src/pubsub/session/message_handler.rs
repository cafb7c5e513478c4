//! Handles a client's messages: calls for the pipeline, subscriptions for the hub, and batches of
//! both.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::Mutex as Turns;
use tokio::time::{Instant, sleep};

use super::client::SocketClient;
use crate::context::RequestContext;
use crate::error::Rejection;
use crate::jsonrpc::{
    self, Call, Id, ParseError, RequestEntry, RequestPayload, RpcError, encode, error_reply,
};
use crate::pipeline::{CacheStatus, Request, ResponseBody};
use crate::pubsub::answer::gather;
use crate::pubsub::caller_share::ShareGuard;
use crate::pubsub::hub::Hub;
use crate::pubsub::outbox::Outbox;
use crate::pubsub::params::{SubscriptionSpec, subscription_id};
use crate::pubsub::subscription_kind::{SubscriptionAction, SubscriptionKind};
use crate::pubsub::topic::Topic;
use crate::snapshot::Snapshot;

/// JSON-RPC's codes for parameters that are wrong, and for what went wrong inside.
const INVALID_PARAMS: i64 = -32602;
const INTERNAL: i64 = -32603;

/// How long the refusal of a subscription is held back.
const HELD_BACK: Duration = Duration::from_secs(1);

/// The answer to a message.
#[derive(Debug, Default)]
pub(super) struct MessageReply {
    /// Empty: no answer.
    pub(super) text: Bytes,
    /// Subscriptions whose ids it contains.
    pub(super) makes_known: Vec<u64>,
    /// A subscription was refused, though its parameters are right.
    is_refusal: bool,
}

impl From<Bytes> for MessageReply {
    fn from(text: Bytes) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }
}

/// Clients keep a socket alive with this text, some without quotes and braces. It needs no answer.
pub(super) fn is_ping(text: &[u8]) -> bool {
    text.trim_ascii() == b"ping"
}

/// Answers for one client.
pub(super) struct MessageHandler(Arc<HandlerState>);

struct HandlerState {
    hub: Arc<Hub>,
    outbox: Arc<Outbox>,
    client: SocketClient,
    /// Maximum number of subscriptions.
    most: usize,
    /// The client's subscriptions by id; `None` once it has left.
    subscribed: Mutex<Option<HashMap<u64, ClientSubscription>>>,
    /// Large answers are read one at a time, and only while there is room for them.
    large: Turns<()>,
}

/// A subscription of the client.
struct ClientSubscription {
    topic: Arc<Topic>,
    _counted: ShareGuard,
}

type PendingReply = Pin<Box<dyn Future<Output = MessageReply> + Send>>;

impl MessageHandler {
    pub(super) fn new(
        hub: Arc<Hub>,
        outbox: Arc<Outbox>,
        client: SocketClient,
        most: usize,
    ) -> Self {
        Self(Arc::new(HandlerState {
            hub,
            outbox,
            client,
            most,
            subscribed: Mutex::new(Some(HashMap::new())),
            large: Turns::new(()),
        }))
    }

    pub(super) fn answer(&self, text: Bytes) -> PendingReply {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let reply = inner.answer(text).await;
            if reply.is_refusal {
                // Clients such as web3.js subscribe again at once, and without end.
                sleep(HELD_BACK).await;
            }
            reply
        })
    }

    /// Whether the client may continue.
    pub(super) fn is_welcome(&self) -> bool {
        self.0.client.account.is_welcome()
    }

    /// The client disconnected, or is to be disconnected.
    pub(super) fn leave(&self) {
        let subscribed = self.0.subscribed.lock().take();
        let mut all: Vec<_> = subscribed.into_iter().flatten().collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        for (id, own) in all {
            self.0.hub.leave(&own.topic, id);
        }
    }

    /// Removes subscriptions that have ended by themselves.
    pub(super) fn tidy(&self) {
        if let Some(own) = self.0.subscribed.lock().as_mut() {
            own.retain(|_, own| !own.topic.has_ended());
        }
    }
}

impl Drop for MessageHandler {
    /// A connection may be cut without a close frame.
    fn drop(&mut self) {
        self.leave();
    }
}

impl HandlerState {
    async fn answer(self: &Arc<Self>, text: Bytes) -> MessageReply {
        let snapshot = self.hub.published.load();
        let plan = snapshot.plan(self.client.context.consumer.as_ref());
        match jsonrpc::parse(&text, snapshot.max_batch(plan)) {
            Ok(RequestPayload::Single(RequestEntry::Call(call))) => {
                match SubscriptionAction::of(call.method()) {
                    Some(act) => self.act(act, &call).await,
                    None => self.call(text, call.id).await.into(),
                }
            }
            Ok(RequestPayload::Batch(batch)) => {
                let acts = |entry: &RequestEntry| matches!(entry, RequestEntry::Call(call) if SubscriptionAction::of(call.method()).is_some());
                if batch.clone().any(|entry| acts(&entry)) {
                    self.mixed(batch).await
                } else {
                    self.call(text, None).await.into()
                }
            }
            // As a node does, which reads bytes like a text.
            Err(ParseError::Utf8 { .. }) => {
                let error = RpcError::new(-32700, "Parse error");
                error_reply(&Id::null(), &error, false).into()
            }
            _ => self.call(text, None).await.into(),
        }
    }

    /// A batch with subscriptions in it, entry by entry.
    async fn mixed(self: &Arc<Self>, batch: jsonrpc::Batch) -> MessageReply {
        let most = self
            .hub
            .published
            .load()
            .config
            .limits
            .unsent_per_connection;
        let mut all = BytesMut::new();
        let mut makes_known = Vec::new();
        let mut is_refusal = false;
        for entry in batch {
            let answer = match entry {
                // A node runs no method for a notification.
                RequestEntry::Call(call) if call.id.is_none() => continue,
                RequestEntry::Call(call) if all.len() >= most => {
                    let id = call.id.unwrap_or(Id::null());
                    error_reply(&id, &too_large(), false).into()
                }
                RequestEntry::Invalid(invalid) => {
                    error_reply(&invalid.id, &invalid.error, invalid.versionless).into()
                }
                RequestEntry::Call(call) => {
                    if let Some(act) = SubscriptionAction::of(call.method()) {
                        self.act(act, &call).await
                    } else {
                        let room = most.saturating_sub(all.len());
                        let text = written(&call);
                        self.call_within(text, call.id, room).await.into()
                    }
                }
            };
            makes_known.extend(answer.makes_known);
            is_refusal |= answer.is_refusal;
            if !answer.text.is_empty() {
                all.put_u8(if all.is_empty() { b'[' } else { b',' });
                all.put_slice(&answer.text);
            }
        }
        if !all.is_empty() {
            all.put_u8(b']');
        }
        MessageReply {
            text: all.freeze(),
            makes_known,
            is_refusal,
        }
    }

    async fn act(self: &Arc<Self>, act: SubscriptionAction, call: &Call) -> MessageReply {
        let Some(id) = &call.id else {
            // A node runs no method for a notification.
            return MessageReply::default();
        };
        let context = self.message_context(&self.hub.published.load());
        context.called(act.label(call.method()), 1, None);
        let done = match act {
            SubscriptionAction::Subscribe(kind) => match self.refuses(call.method()) {
                Some(refused) => Err(refused),
                None => self.subscribe(kind, call).await,
            },
            SubscriptionAction::Unsubscribe => self.unsubscribe(call).map(|()| None),
        };
        context.concluded(outcome(&done));
        match done {
            Ok(Some(subscription)) => MessageReply {
                text: reply(id, &subscription.to_string()),
                makes_known: vec![subscription],
                is_refusal: false,
            },
            Ok(None) => reply(id, "true").into(),
            Err(error) => MessageReply {
                is_refusal: error.code != INVALID_PARAMS,
                ..error_reply(id, &known_to_clients(error), false).into()
            },
        }
    }

    /// Whether the configuration or the client's plan excludes a method.
    fn refuses(&self, method: &str) -> Option<RpcError> {
        let snapshot = self.hub.published.load();
        let plan = snapshot.plan(self.client.context.consumer.as_ref());
        if snapshot.denies(method) {
            Rejection::MethodRefused.rpc_error()
        } else if plan.is_some_and(|plan| !plan.allows(method)) {
            Rejection::NotInPlan.rpc_error()
        } else {
            None
        }
    }

    async fn subscribe(
        &self,
        kind: SubscriptionKind,
        call: &Call,
    ) -> Result<Option<u64>, RpcError> {
        let spec = SubscriptionSpec::read(kind, call.params())?;
        self.admit().await?;
        let id = self.hub.next_id();
        let (topic, joined) = {
            let mut subscribed = self.subscribed.lock();
            // A client that has left gets no answer.
            let own = subscribed.as_mut().ok_or_else(full)?;
            let of_plan = self.of_plan();
            let mut counted = self.client.share.subscribe(of_plan);
            if own.len() >= self.most || counted.is_none() {
                own.retain(|_, own| !own.topic.has_ended());
                counted = counted.or_else(|| self.client.share.subscribe(of_plan));
            }
            let counted = counted.filter(|_| own.len() < self.most);
            let counted = counted.ok_or_else(full)?;
            self.outbox.hold(id);
            let (topic, joined) = self.hub.join(&spec, id, &self.outbox);
            let subscribed = ClientSubscription {
                topic: Arc::clone(&topic),
                _counted: counted,
            };
            own.insert(id, subscribed);
            (topic, joined)
        };
        let taken = self.hub.subscribe(&topic, joined, id).await;
        if let Err(error) = taken {
            self.outbox.release(id);
            if let Some(own) = self.subscribed.lock().as_mut() {
                own.remove(&id);
            }
            self.hub.leave(&topic, id);
            return Err(error);
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

    /// A subscription counts as a call of the client's plan.
    async fn admit(&self) -> Result<(), RpcError> {
        let snapshot = self.hub.published.load();
        let (consumer, address) = (
            self.client.context.consumer.as_ref(),
            self.client.context.address,
        );
        let pipeline = &self.hub.pipeline;
        let admitted = pipeline.admit(&snapshot, consumer, address, 1).await;
        admitted
            .map(drop)
            .map_err(|rejection| rejection.rpc_error().unwrap_or_else(full))
    }

    fn unsubscribe(&self, call: &Call) -> Result<(), RpcError> {
        let id = subscription_id(call.params())?;
        let own = self
            .subscribed
            .lock()
            .as_mut()
            .and_then(|own| own.remove(&id));
        let topic = own.map(|own| own.topic);
        // A subscription that has ended by itself does not exist any more, as on a node.
        let topic = topic.filter(|topic| !topic.has_ended());
        let topic = topic.ok_or_else(|| RpcError::new(-32602, "Invalid subscription id."))?;
        self.hub.leave(&topic, id);
        Ok(())
    }

    /// A message with only calls of the pipeline; `id` is that of a single one.
    async fn call(&self, text: Bytes, id: Option<Id>) -> Bytes {
        let limits = &self.hub.published.load().config.limits;
        self.call_within(text, id, limits.unsent_per_connection)
            .await
    }

    /// The same, with this size limit for an answer that is not buffered anyway.
    async fn call_within(&self, text: Bytes, id: Option<Id>, most: usize) -> Bytes {
        let snapshot = self.hub.published.load();
        let context = Arc::new(self.message_context(&snapshot));
        let request = Request {
            pipeline: Arc::clone(&self.hub.pipeline),
            context: Arc::clone(&context),
            cache_use: self.client.cache_use,
            ledger_only: self.client.ledger_only,
            shown_before: None,
            snapshot,
        };
        let response = request.answer(text).await;
        let _turn = match &response.body {
            ResponseBody::Stream { .. } => {
                let turn = self.large.lock().await;
                self.outbox.has_room().await;
                Some(turn)
            }
            _ => None,
        };
        let gathered = gather(response, &id.unwrap_or(Id::null()), most).await;
        let (summary, status) = (gathered.summary, gathered.status);
        let cache = summary.cache.map(CacheStatus::label);
        context.called(summary.method, summary.calls, cache);
        context.answered(status, summary.outcome);
        let bytes = gathered.text.len();
        let account = &self.client.account;
        account.answered(summary, status, &context, bytes);
        gathered.text
    }

    /// The context of a message that has come now.
    fn message_context(&self, snapshot: &Snapshot) -> RequestContext {
        let started = Instant::now();
        let deadline = started + snapshot.config.limits.request_timeout;
        let client = &self.client;
        let trace = client.trace.as_deref();
        let sampling = snapshot.sampling;
        client
            .context
            .of_message(trace, sampling, (started, deadline))
    }
}

/// A word for what became of a subscription.
fn outcome<T>(done: &Result<T, RpcError>) -> &'static str {
    match done {
        Ok(_) => "ok",
        Err(error) if error.code == INVALID_PARAMS => "invalid",
        Err(_) => "refused",
    }
}

/// One entry of a batch as a message of its own.
fn written(call: &Call) -> Bytes {
    let mut text = BytesMut::new();
    encode(call, &mut text);
    text.put_slice(call.id.as_ref().unwrap_or(&Id::null()).as_bytes());
    text.put_u8(b'}');
    text.freeze()
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

/// The answer to the rest of a batch whose answers are too large for one message.
fn too_large() -> RpcError {
    RpcError::new(
        -32603,
        "the answers of this batch are too large for a WebSocket; ask for them over HTTP",
    )
}

/// The error of a node that accepts no more subscriptions.
fn full() -> RpcError {
    RpcError::new(
        -32603,
        "Internal Error: Subscription refused. Node subscription limit reached",
    )
}
