//! A call of the gateway's own through the pipeline.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::context::RequestContext;
use crate::jsonrpc::{Id, RpcError};
use crate::pipeline::{CacheUse, Request};
use crate::pubsub::answer::gather;
use crate::pubsub::collected::CollectedAnswer;
use crate::pubsub::feed_message::{self, FeedMessage, request};
use crate::pubsub::hub::Hub;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer that is read: all accounts of a program. Half of `websocket.memory` bounds it
/// as well, for all repairs together.
const LARGEST: usize = 256 * 1024 * 1024;

/// A result.
pub(super) struct RepairAnswer {
    pub(super) result: Bytes,
    /// The upstream that gave it.
    pub(super) by: Option<String>,
    /// Counts its bytes; to be kept as long as they are.
    pub(super) held: CollectedAnswer,
}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AskFault {
    /// The same call may succeed later.
    NotNow,
    /// It will not: whoever could answer refuses it.
    Final,
}

/// Calls a method; the answer is of no use after `end`.
///
/// # Errors
/// There is no result.
pub(super) async fn ask(
    hub: &Arc<Hub>,
    method: &str,
    params: &Value,
    end: Instant,
) -> Result<RepairAnswer, AskFault> {
    let snapshot = hub.published.load();
    let started = Instant::now();
    let patience = PATIENCE.min(snapshot.config.limits.request_timeout);
    let deadline = end.min(started + patience);
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
    let mut held = hub.collected.begin(&hub.own_share);
    let answering = async {
        let response = request_of_ours.answer(Bytes::from(body)).await;
        gather(response, &Id::null(), LARGEST, &mut held).await
    };
    // Not only the first byte must be in time.
    let answered = timeout_at(deadline, answering).await;
    let gathered = answered.map_err(|_elapsed| AskFault::NotNow)?;
    match feed_message::read(&gathered.text).ok_or(AskFault::NotNow)? {
        FeedMessage::Answer {
            result: Ok(result), ..
        } => Ok(RepairAnswer {
            result,
            by: gathered
                .summary
                .attempt_summary
                .upstream
                .map(|upstream| upstream.id().to_owned()),
            held,
        }),
        FeedMessage::Answer {
            result: Err(error), ..
        } => {
            tracing::debug!(
                method,
                code = error.code,
                "missed notifications not fetched"
            );
            Err(fault(&error, gathered.status, gathered.summary.outcome))
        }
        FeedMessage::Notification(_) => Err(AskFault::NotNow),
    }
}

fn fault(error: &RpcError, status: u16, outcome: &str) -> AskFault {
    match (error.code, outcome) {
        // The call is wrong, the method missing or not allowed, the program excluded from the
        // node's index, or its scan too large.
        (-32600 | -32601 | -32602 | -32010 | -32012 | 401 | 403, _) | (_, "key_refused") => {
            AskFault::Final
        }
        // In plain HTTP, and for another reason than that it was too much at the moment.
        (_, "refused_in_http") if matches!(status, 400..=407 | 409..=428) => AskFault::Final,
        _ => AskFault::NotNow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{RefusedPage, Rejection};

    fn refused_with(status: u16) -> Rejection {
        Rejection::Refused(RefusedPage {
            status,
            content_type: "text/plain",
            body: Bytes::from_static(b"no"),
        })
    }

    #[test]
    fn a_refusal_that_cannot_change_is_not_asked_for_again() {
        let rejected = |rejection: &Rejection| {
            let error = rejection.rpc_error().unwrap();
            fault(&error, rejection.status(), rejection.label())
        };
        for rejection in [
            Rejection::MethodRefused,
            Rejection::KeyRefused,
            Rejection::NotInPlan,
            refused_with(405),
        ] {
            assert_eq!(rejected(&rejection), AskFault::Final, "{rejection}");
        }
        for rejection in [
            Rejection::NoUpstream { reason: "none" },
            Rejection::Saturated,
            refused_with(503),
            Rejection::RateLimited {
                retry_after: Duration::ZERO,
            },
        ] {
            assert_eq!(rejected(&rejection), AskFault::NotNow, "{rejection}");
        }
        for (code, expected) in [
            (-32010, AskFault::Final),
            (-32016, AskFault::NotNow),
            (-32603, AskFault::NotNow),
        ] {
            let error = RpcError::new(code, "");
            assert_eq!(fault(&error, 200, "error"), expected, "{code}");
        }
    }
}
