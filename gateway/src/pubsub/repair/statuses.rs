//! Looks up signatures, many with one call.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tokio::time::Instant;

use super::ask::{AskFault, RepairAnswer, ask};
use super::fresh_read::PATIENCE;
use super::outcome::RepairOutcome;
use super::values;
use crate::pubsub::hub::Hub;
use crate::pubsub::topic::Topic;

/// Signatures in one call: what a node allows.
pub(in crate::pubsub) const MOST: usize = 256;

/// Tells those that have landed, at the commitment of their subscription. Only the recent ones: a
/// search through history costs too much to be repeated. Returns whether it may be tried again soon.
pub(in crate::pubsub) async fn look_up(hub: Arc<Hub>, topics: Vec<Arc<Topic>>) -> bool {
    let signatures: Vec<_> = topics
        .iter()
        .filter_map(|topic| topic.spec.subject.as_deref())
        .collect();
    let end = Instant::now() + PATIENCE;
    let answer = ask(&hub, "getSignatureStatuses", &json!([signatures]), end).await;
    let result = match answer {
        Ok(RepairAnswer { result, .. }) => result,
        Err(fault) => return fault == AskFault::NotNow,
    };
    for (place, topic) in topics.iter().enumerate() {
        if let Some(last) = values::signature(&result, place, topic.spec.commitment)
            && tell(&hub, topic, &last)
        {
            hub.metrics.feed.repaired(topic.kind(), RepairOutcome::Told);
        }
    }
    true
}

/// Delivers the last notification of a signature; returns whether the topic has ended with it.
pub(super) fn tell(hub: &Hub, topic: &Arc<Topic>, last: &Bytes) -> bool {
    topic.is_answered();
    let heard = topic.found(last);
    let (metrics, kind) = (&hub.metrics, topic.kind());
    metrics.told(kind, heard.told);
    metrics.unsubscribed(kind, heard.left);
    if heard.ended {
        hub.end(topic);
    }
    heard.ended
}
