//! Exits the process when the last request has ended. Pingora alone would sleep for its whole grace
//! period.

use std::sync::Arc;

use async_trait::async_trait;
use perijove_core::essential::{essential, has_panicked};
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::time::Instant;

use super::otlp::SpanExport;
use crate::config::Shutdown;
use crate::edge::{ClientConnections, Drain, watch};
use crate::pubsub::Hub;
use crate::snapshot::Published;

/// Watches the client connections, and exits when they are no longer needed.
pub(super) struct DrainAndExit {
    pub drain: Arc<Drain>,
    pub shutdown: Shutdown,
    pub connections: Arc<ClientConnections>,
    /// Those to the admin port.
    pub admin: Arc<ClientConnections>,
    pub published: Arc<Published>,
    pub pubsub: Arc<Hub>,
    /// Spans that still wait are sent before the end.
    pub export: Option<SpanExport>,
}

#[async_trait]
impl BackgroundService for DrainAndExit {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let watch = watch(
            Arc::clone(&self.connections),
            Arc::clone(&self.admin),
            Arc::clone(&self.published),
            Arc::clone(&self.drain),
        );
        tokio::spawn(essential("client connections", watch));
        // The sender lives as long as the server; an error means that it has gone already.
        if shutdown.wait_for(|stopping| *stopping).await.is_err() {
            return;
        }
        self.drain.leave();
        self.pubsub.leave_all();
        let (begun, grace) = (Instant::now(), self.shutdown.grace);
        let mut left = self.drain.drained(self.shutdown.linger, grace).await;
        if left == 0 {
            // Requests may have arrived that have not been read yet.
            self.connections.dismiss_idle();
            left = self
                .drain
                .emptied(grace.saturating_sub(begun.elapsed()))
                .await;
        }
        if left == 0 {
            tracing::info!("drained; exiting");
        } else {
            tracing::warn!(
                requests = left,
                "grace period expired; exiting with requests in flight"
            );
        }
        if let Some(export) = &self.export {
            export.flush().await;
        }
        leave();
    }
}

#[expect(
    clippy::exit,
    reason = "Pingora's main thread sleeps and cannot be woken otherwise"
)]
fn leave() -> ! {
    std::process::exit(i32::from(has_panicked()))
}
