//! What ends the process: TERM, INT and the panic of an essential task stop it gracefully, QUIT hands
//! the sockets to a new binary.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use perijove_core::essential::first_panic;
use perijove_core::telemetry::seconds;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{SignalKind, signal};

use super::sockets::Sockets;
use super::upgrade;
use crate::edge::Drain;

/// Waits for what ends this process, then stops gracefully: first `/ready` fails for
/// `delay`, so that load balancers send traffic elsewhere; then the listeners close.
pub(super) struct Signals {
    pub drain: Arc<Drain>,
    pub delay: Duration,
    pub sockets: Arc<Sockets>,
    /// Where they are handed over.
    pub upgrade_socket: PathBuf,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut term), Ok(mut int), Ok(mut quit)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
            signal(SignalKind::quit()),
        ) else {
            tracing::error!("cannot install signal handlers; stopping");
            return ShutdownSignal::FastShutdown;
        };
        let replaced = async {
            loop {
                // The stream of signals does not end.
                _ = quit.recv().await;
                if self.is_replaced().await {
                    return;
                }
            }
        };
        tokio::select! {
            _ = term.recv() => self.terminate("SIGTERM").await,
            _ = int.recv() => self.terminate("SIGINT").await,
            task = first_panic() => self.terminate(task).await,
            // New connections go to the new process, so no time for load balancers is needed.
            () = replaced => ShutdownSignal::GracefulTerminate,
        }
    }
}

impl Signals {
    /// Hands the sockets over; returns whether the new process listens now. If not, this one
    /// continues.
    async fn is_replaced(&self) -> bool {
        let socket = self.upgrade_socket.as_path();
        tracing::info!(socket = %socket.display(), "SIGQUIT received; handing over the listening sockets");
        match upgrade::hand_over(socket, &self.sockets.list()).await {
            Ok(()) => {
                tracing::info!("new process is listening; draining");
                true
            }
            Err(error) => {
                tracing::error!(%error, "socket handover failed; still serving");
                false
            }
        }
    }

    /// `cause` is a signal, or the task that panicked.
    async fn terminate(&self, cause: &'static str) -> ShutdownSignal {
        tracing::info!(cause, delay_seconds = seconds(self.delay), "stopping");
        self.drain.leave();
        tokio::time::sleep(self.delay).await;
        ShutdownSignal::GracefulTerminate
    }
}
