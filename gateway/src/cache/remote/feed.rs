//! The subscription to the trades that ingest publishes in the same Redis, kept up: renewed after a
//! growing pause when it breaks or falls silent.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use perijove_core::redis::announced;
use redis::aio::PubSub;
use tokio::time::{Instant, sleep, timeout};

use super::connect::RedisConnector;
use super::supervised::ReconnectBackoff;
use crate::cache::PoolTrades;

/// Interval between two pings.
const LOOK: Duration = Duration::from_secs(2);

/// A subscription, and where its messages go.
pub(super) struct TradeFeed {
    origin: RedisConnector,
    trades: Arc<PoolTrades>,
    longest_pause: Duration,
}

impl TradeFeed {
    pub(super) fn new(
        origin: RedisConnector,
        trades: &Arc<PoolTrades>,
        longest_pause: Duration,
    ) -> Self {
        Self {
            origin,
            trades: Arc::clone(trades),
            longest_pause,
        }
    }

    /// Listens until it is aborted.
    pub(super) async fn listen(mut self) {
        let mut pauses = ReconnectBackoff::new(self.longest_pause);
        let mut failed = false;
        loop {
            sleep(pauses.next()).await;
            let error = match self.origin.subscribe().await {
                Ok(subscription) => {
                    pauses.reset();
                    failed = false;
                    let standing = ActiveSubscription::begin(&self.trades);
                    let error = self.hear(subscription).await;
                    drop(standing);
                    error
                }
                Err(error) => error.to_string(),
            };
            if !std::mem::replace(&mut failed, true) {
                tracing::warn!(%error, "subscription to pool trades failed");
            }
        }
    }

    /// Receives messages until something goes wrong.
    async fn hear(&self, subscription: PubSub) -> String {
        let (mut sink, mut messages) = subscription.split();
        loop {
            match timeout(LOOK, messages.next()).await {
                Ok(Some(message)) => {
                    let trades = announced(message.get_payload_bytes());
                    self.trades.traded(trades, Instant::now());
                }
                Ok(None) => return "the connection has ended".to_owned(),
                Err(_silence) => match timeout(LOOK, sink.ping::<redis::Value>()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return error.to_string(),
                    Err(_elapsed) => return "no answer to pings".to_owned(),
                },
            }
        }
    }
}

/// An active subscription; however it ends, trades then count as no longer arriving.
struct ActiveSubscription {
    trades: Arc<PoolTrades>,
    number: u64,
}

impl ActiveSubscription {
    fn begin(trades: &Arc<PoolTrades>) -> Self {
        Self {
            number: trades.subscribed(),
            trades: Arc::clone(trades),
        }
    }
}

impl Drop for ActiveSubscription {
    fn drop(&mut self) {
        self.trades.lost(self.number);
    }
}
