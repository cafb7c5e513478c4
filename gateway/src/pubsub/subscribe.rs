//! Subscribing a client to a topic that it has joined.

use std::sync::Arc;

use tokio::time::timeout;

use super::hub::Hub;
use super::repair;
use super::topic::{JoinOutcome, Topic};
use crate::error::Rejection;
use crate::jsonrpc::RpcError;

impl Hub {
    /// Subscribes a client under this id; returns when an upstream has accepted the subscription.
    ///
    /// # Errors
    /// The upstreams' refusal, or a timeout. The client must still leave.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        topic: &Arc<Topic>,
        joined: JoinOutcome,
        id: u64,
    ) -> Result<(), RpcError> {
        let snapshot = self.published.load();
        let settings = &snapshot.config.websocket;
        match joined {
            JoinOutcome::Live => {
                if settings.replay {
                    // At once: what is notified from now on need not be told again.
                    topic.begins_replay(id);
                    tokio::spawn(repair::replay(Arc::clone(self), Arc::clone(topic), id));
                }
                Ok(())
            }
            JoinOutcome::Soon(taken) => match timeout(settings.feed.subscribe_timeout, taken).await
            {
                Ok(Ok(taken)) => taken,
                Ok(Err(_)) | Err(_) => Err(no_upstream()),
            },
            JoinOutcome::Ended => Err(no_upstream()),
        }
    }
}

/// The answer to a subscription that no upstream has accepted in time.
pub(super) fn no_upstream() -> RpcError {
    let none = Rejection::NoUpstream {
        reason: "no upstream accepts the subscription",
    };
    none.rpc_error()
        .unwrap_or_else(|| RpcError::new(-32603, "Internal error"))
}
