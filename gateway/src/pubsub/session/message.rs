//! What a client says: calls for the pipeline, subscriptions for the hub, and batches of both.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Client;
use crate::jsonrpc::{self, Id, Payload};
use crate::pipeline::Request;
use crate::pubsub::answer::gather;
use crate::pubsub::hub::Hub;
use crate::pubsub::outbox::Outbox;

/// What is said to a message.
pub(super) struct Answer {
    /// Empty: nothing.
    pub(super) text: Bytes,
    /// Subscriptions whose ids stand in it.
    pub(super) makes_known: Vec<u64>,
}

/// Clients keep a socket alive with this text, some without quotes and braces. It wants no answer.
pub(super) fn is_ping(text: &[u8]) -> bool {
    text.trim_ascii() == b"ping"
}

/// Answers for one client.
pub(super) struct Speaker(Arc<Inner>);

struct Inner {
    hub: Arc<Hub>,
    outbox: Arc<Outbox>,
    client: Client,
    /// Large answers are read one at a time, and only while there is room for them.
    large: Mutex<()>,
}

impl Speaker {
    pub(super) fn new(hub: Arc<Hub>, outbox: Arc<Outbox>, client: Client) -> Self {
        Self(Arc::new(Inner {
            hub,
            outbox,
            client,
            large: Mutex::new(()),
        }))
    }

    pub(super) fn answer(&self, text: Bytes) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            Answer {
                text: inner.call(text).await,
                makes_known: Vec::new(),
            }
        })
    }
}

impl Inner {
    /// A message that holds nothing but ordinary calls.
    async fn call(&self, text: Bytes) -> Bytes {
        let started = Instant::now();
        let snapshot = self.hub.published.load();
        let limits = &snapshot.config.limits;
        let most = limits.unsent_per_connection;
        let id = match jsonrpc::parse(&text, limits.max_batch.unwrap_or(usize::MAX)) {
            Ok(Payload::Single(jsonrpc::Entry::Call(call))) => call.id,
            _ => None,
        };
        let request = Request {
            pipeline: Arc::clone(&self.hub.pipeline),
            client: self.client.key,
            consumer: self.client.consumer.clone(),
            address: self.client.address,
            priority: self.client.priority,
            started,
            deadline: started + limits.request_timeout,
            cache_use: self.client.cache_use,
            ledger_only: self.client.ledger_only,
            snapshot,
        };
        let response = request.answer(text).await;
        let _turn = match &response.body {
            crate::pipeline::Body::Stream { .. } => {
                let turn = self.large.lock().await;
                self.outbox.has_room().await;
                Some(turn)
            }
            _ => None,
        };
        let gathered = gather(response, &id.unwrap_or(Id::null()), most).await;
        let bytes = gathered.text.len();
        let account = &self.client.account;
        account.answered(gathered.summary, gathered.status, started, bytes);
        gathered.text
    }
}
