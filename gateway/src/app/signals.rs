//! Signals: TERM and INT stop gracefully, QUIT hands the sockets to a new binary.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use perijove_core::telemetry::seconds;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{SignalKind, signal};

use crate::edge::Drain;

/// Waits for the signal that ends this process and makes the gateway leave politely: first
/// `/ready` says no, for `delay`, so that load balancers turn away; then the listeners close.
pub(super) struct Signals {
    pub drain: Arc<Drain>,
    pub delay: Duration,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut term), Ok(mut int), Ok(mut quit)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
            signal(SignalKind::quit()),
        ) else {
            tracing::error!("signals cannot be watched; stopping");
            return ShutdownSignal::FastShutdown;
        };
        tokio::select! {
            _ = term.recv() => self.terminate("SIGTERM").await,
            _ = int.recv() => self.terminate("SIGINT").await,
            _ = quit.recv() => {
                tracing::info!("SIGQUIT: handing the sockets over and leaving");
                ShutdownSignal::GracefulUpgrade
            }
        }
    }
}

impl Signals {
    async fn terminate(&self, name: &'static str) -> ShutdownSignal {
        tracing::info!(
            signal = name,
            delay_seconds = seconds(self.delay),
            "stopping"
        );
        self.drain.leave();
        tokio::time::sleep(self.delay).await;
        ShutdownSignal::GracefulTerminate
    }
}
