//! A call of the gateway's own through the pipeline.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use crate::context::RequestContext;
use crate::jsonrpc::Id;
use crate::pipeline::{CacheUse, Request};
use crate::pubsub::answer::gather;
use crate::pubsub::feed_message::{self, FeedMessage, request};
use crate::pubsub::hub::Hub;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer that is read: all accounts of a program.
const LARGEST: usize = 256 * 1024 * 1024;

/// A result.
pub(super) struct RepairAnswer {
    pub(super) result: Bytes,
    /// The upstream that gave it.
    pub(super) by: Option<String>,
}

/// Calls a method; `None` if there is no result.
pub(super) async fn ask(hub: &Arc<Hub>, method: &str, params: &Value) -> Option<RepairAnswer> {
    let snapshot = hub.published.load();
    let started = Instant::now();
    let deadline = started + PATIENCE.min(snapshot.config.limits.request_timeout);
    let request_of_ours = Request {
        pipeline: Arc::clone(&hub.pipeline),
        // Of no client.
        context: Arc::new(RequestContext::internal(
            fastrand::u64(..),
            started,
            deadline,
        )),
        cache_use: CacheUse::Bypass,
        ledger_only: false,
        shown_before: None,
        snapshot,
    };
    let body = request(1, method, &params.to_string());
    let response = request_of_ours.answer(Bytes::from(body)).await;
    let gathered = gather(response, &Id::null(), LARGEST).await;
    match feed_message::read(&gathered.text)? {
        FeedMessage::Answer {
            result: Ok(result), ..
        } => Some(RepairAnswer {
            result,
            by: gathered
                .summary
                .attempt_summary
                .upstream
                .map(|upstream| upstream.id().to_owned()),
        }),
        FeedMessage::Answer {
            result: Err(error), ..
        } => {
            tracing::debug!(
                method,
                code = error.code,
                "missed notifications not fetched yet"
            );
            None
        }
        FeedMessage::Notification { .. } => None,
    }
}
