//! Handles a client's messages: calls for the pipeline, subscriptions for the hub, and batches of
//! both.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Mutex as Turns;
use tokio::time::{Instant, sleep};

use super::client::{SocketClient, SocketObserver};
use super::entry_terms::EntryTerms;
use super::message_reply::MessageReply;
use crate::config::Plan;
use crate::context::RequestContext;
use crate::error::Rejection;
use crate::jsonrpc::{self, Id, ParseError, RequestEntry, RequestPayload};
use crate::limit::AdmittedRequest;
use crate::pipeline::{CacheStatus, Request, RequestSummary, Response, ResponseBody};
use crate::pubsub::answer::gather;
use crate::pubsub::collected::CollectedAnswer;
use crate::pubsub::hub::Hub;
use crate::pubsub::outbox::Outbox;
use crate::pubsub::socket_end::SocketEnd;
use crate::pubsub::subscription_kind::{SubscriptionAction, SubscriptionKind};
use crate::pubsub::topic::Topic;

/// How long the refusal of a subscription is held back.
const HELD_BACK: Duration = Duration::from_secs(1);

/// Clients keep a socket alive with this text, some without quotes and braces. It needs no answer.
pub(super) fn is_ping(text: &[u8]) -> bool {
    text.trim_ascii() == b"ping"
}

/// Answers for one client.
pub(super) struct MessageHandler(Arc<HandlerState>);

/// What the handling of all messages shares.
pub(super) struct HandlerState {
    pub(super) hub: Arc<Hub>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) client: SocketClient,
    /// Maximum number of subscriptions.
    pub(super) most: usize,
    /// The topics of the client's subscriptions by id; `None` once it has left.
    pub(super) subscribed: Mutex<Option<HashMap<u64, Arc<Topic>>>>,
    /// Large answers are read one at a time, and only while there is room for them.
    large: Turns<()>,
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
    pub(super) fn may_stay(&self) -> Result<(), SocketEnd> {
        self.0.client.account.may_stay()
    }

    /// Whether the client has subscriptions.
    pub(super) fn is_subscribed(&self) -> bool {
        let own = self.0.subscribed.lock();
        own.as_ref().is_some_and(|own| !own.is_empty())
    }

    /// Tells whether something is done for the client.
    pub(super) fn is_used(&self, used: bool) {
        self.0.client.account.is_used(used);
    }

    /// The client disconnected, or is to be disconnected.
    pub(super) fn leave(&self) {
        let subscribed = self.0.subscribed.lock().take();
        let mut all: Vec<_> = subscribed.into_iter().flatten().collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        for (id, topic) in all {
            self.0.hub.leave(&topic, id);
        }
    }

    /// Whether the client waits for a transaction to be confirmed.
    pub(super) fn awaits_signature(&self) -> bool {
        let own = self.0.subscribed.lock();
        let mut topics = own.iter().flat_map(HashMap::values);
        topics.any(|topic| topic.kind() == SubscriptionKind::Signature && !topic.has_ended())
    }

    /// Removes subscriptions that have ended by themselves.
    pub(super) fn tidy(&self) {
        if let Some(own) = self.0.subscribed.lock().as_mut() {
            own.retain(|_, topic| !topic.has_ended());
        }
    }
}

impl Drop for MessageHandler {
    /// A connection may be cut without a close frame.
    fn drop(&mut self) {
        self.leave();
    }
}

/// A message whose calls are in progress. If the socket ends before, that is told when it is dropped.
struct OpenMessage<'a> {
    account: Option<&'a dyn SocketObserver>,
    text: Bytes,
    context: &'a RequestContext,
}

impl OpenMessage<'_> {
    fn answered(mut self) {
        self.account = None;
    }
}

impl Drop for OpenMessage<'_> {
    fn drop(&mut self) {
        if let Some(account) = self.account {
            account.left(&self.text, self.context);
        }
    }
}

impl HandlerState {
    async fn answer(self: &Arc<Self>, text: Bytes) -> MessageReply {
        let snapshot = self.hub.published.load();
        let plan = snapshot.plan(self.client.context.consumer.as_ref());
        match jsonrpc::parse(&text, snapshot.max_batch(plan)) {
            Ok(RequestPayload::Single(RequestEntry::Call(call))) => {
                match SubscriptionAction::of(call.method()) {
                    Some(act) => self.act(act, &call, &EntryTerms::default()).await,
                    None => self.call(text, call.id).await,
                }
            }
            Ok(RequestPayload::Batch(batch)) => {
                let acts = |entry: &RequestEntry| matches!(entry, RequestEntry::Call(call) if SubscriptionAction::of(call.method()).is_some());
                if batch.clone().any(|entry| acts(&entry)) {
                    self.mixed(batch).await
                } else {
                    self.call(text, None).await
                }
            }
            // As a node does, which reads bytes like a text.
            Err(ParseError::Utf8 { .. }) => {
                let refused = Response::rejected(&Rejection::Parse, &Id::null(), "other");
                let context = self.message_context(None);
                self.collect(refused, &Id::null(), usize::MAX, &context)
                    .await
            }
            _ => self.call(text, None).await,
        }
    }

    /// What a message, or an entry of a batch, counts for the plan of its client. What ends a
    /// subscription is free.
    pub(super) fn cost(plan: Option<&Arc<Plan>>, entry: &RequestEntry) -> usize {
        let RequestEntry::Call(call) = entry else {
            return 1;
        };
        let act = SubscriptionAction::of(call.method());
        if let Some(SubscriptionAction::Unsubscribe(_)) = act {
            return 0;
        }
        let cost = plan.map_or(1, |plan| plan.cost(call.method()));
        usize::try_from(cost).unwrap_or(usize::MAX)
    }

    /// Admits calls that the pipeline does not admit itself.
    pub(super) async fn admit(&self, cost: usize) -> Result<Option<AdmittedRequest>, Rejection> {
        let snapshot = self.hub.published.load();
        let context = &self.client.context;
        let (consumer, address) = (context.consumer.as_ref(), context.address);
        let pipeline = &self.hub.pipeline;
        pipeline.admit(&snapshot, consumer, address, cost).await
    }

    /// A message with only calls of the pipeline; `id` is that of a single one.
    async fn call(&self, text: Bytes, id: Option<Id>) -> MessageReply {
        let most = self
            .hub
            .published
            .load()
            .config
            .limits
            .unsent_per_connection;
        let context = Arc::new(self.message_context(None));
        let account = &*self.client.account;
        let waited_for = OpenMessage {
            account: Some(account),
            text: text.clone(),
            context: &context,
        };
        let response = self.request(Arc::clone(&context)).answer(text).await;
        let collected = self
            .collect(response, &id.unwrap_or(Id::null()), most, &context)
            .await;
        // Whoever leaves before has left while it was being collected.
        waited_for.answered();
        collected
    }

    /// The context of a message, or of an entry of a batch, that begins now; the deadline is its
    /// batch's, if it has one.
    pub(super) fn message_context(&self, deadline: Option<Instant>) -> RequestContext {
        let started = Instant::now();
        let snapshot = self.hub.published.load();
        let usual = started + snapshot.config.limits.request_timeout;
        let times = (started, deadline.unwrap_or(usual));
        let client = &self.client;
        let trace = client.trace.as_deref();
        client.context.of_message(trace, snapshot.sampling, times)
    }

    /// The request of one message, or of an entry of a batch.
    pub(super) fn request(&self, context: Arc<RequestContext>) -> Request {
        Request {
            pipeline: Arc::clone(&self.hub.pipeline),
            context,
            cache_use: self.client.cache_use,
            ledger_only: self.client.ledger_only,
            shown_before: None,
            snapshot: self.hub.published.load(),
        }
    }

    /// The whole answer of the pipeline, if it has at most `most` bytes.
    pub(super) async fn collect(
        &self,
        response: Response,
        id: &Id,
        most: usize,
        context: &RequestContext,
    ) -> MessageReply {
        let _turn = match &response.body {
            ResponseBody::Stream { .. } => {
                let turn = self.large.lock().await;
                self.outbox.has_room().await;
                Some(turn)
            }
            _ => None,
        };
        let mut held = self.held();
        let gathered = gather(response, id, most, &mut held).await;
        self.report(gathered.summary, gathered.status, context, &gathered.text);
        MessageReply {
            text: gathered.text,
            held: Some(held),
            ..MessageReply::default()
        }
    }

    /// Counts what is collected for the client.
    pub(super) fn held(&self) -> CollectedAnswer {
        self.hub.collected.begin(&self.client.share)
    }

    /// Every message, and every entry of a batch with subscriptions, is reported here.
    pub(super) fn report(
        &self,
        summary: RequestSummary,
        status: u16,
        context: &RequestContext,
        answer: &Bytes,
    ) {
        let cache = summary.cache.map(CacheStatus::label);
        context.called(summary.method, summary.calls, cache);
        context.answered(status, summary.outcome);
        let account = &self.client.account;
        account.answered(summary, status, context, answer.len());
    }
}
