//! The background service beside the listeners: it keeps the upstreams' tasks running and reloads
//! the configuration.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use perijove_core::essential::essential;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::certificates::Certificates;
use super::once::Once;
use super::reload::{Reloader, Runtimes};
use crate::config::{self, Watch};
use crate::edge::ReloadRequest;
use crate::pubsub::Hub;

/// How often the files are checked where change events are missing: for a link further up in the
/// path, or on a file system without such events.
const LOOK: Duration = Duration::from_secs(5);

pub(super) struct BackgroundTasks(Once<BackgroundParts>);

struct BackgroundParts {
    reloader: Reloader,
    certificates: Certificates,
    requests: mpsc::Receiver<ReloadRequest>,
    /// The runtime that runs the calls.
    calls_on: oneshot::Receiver<Handle>,
    pubsub: Arc<Hub>,
}

impl BackgroundTasks {
    pub(super) fn new(
        reloader: Reloader,
        certificates: Certificates,
        requests: mpsc::Receiver<ReloadRequest>,
        calls_on: oneshot::Receiver<Handle>,
        pubsub: Arc<Hub>,
    ) -> Self {
        Self(Once::new(Some(BackgroundParts {
            reloader,
            certificates,
            requests,
            calls_on,
            pubsub,
        })))
    }
}

#[async_trait]
impl BackgroundService for BackgroundTasks {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Some(BackgroundParts {
            mut reloader,
            certificates,
            mut requests,
            calls_on,
            pubsub,
        }) = self.0.lock().take()
        else {
            return;
        };
        let background = Handle::current();
        let runtimes = Runtimes {
            // Only the end of the server drops the other end.
            calls: calls_on.await.unwrap_or_else(|_ending| background.clone()),
            background,
        };
        reloader.start(&runtimes);
        pubsub.start(&runtimes.calls);
        tokio::spawn(essential("certificates", certificates.follow()));
        let mut hangup = signal(SignalKind::hangup()).ok();
        let mut watch = watched(&reloader);
        loop {
            tokio::select! {
                Some(reply) = requests.recv() => {
                    // The requester may have stopped waiting.
                    drop(reply.send(reloader.reload(&runtimes)));
                }
                () = received(hangup.as_mut()) => drop(reloader.reload(&runtimes)),
                () = changed(watch.as_mut()) => reloader.look(&runtimes),
                () = sleep(LOOK) => reloader.look(&runtimes),
                // Upstreams are probed until the process leaves: requests still run.
                _ = shutdown.wait_for(|stopping| *stopping) => break,
            }
            if let Some(watch) = &mut watch
                && let Err(error) = watch.follow(reloader.files.paths())
            {
                // Its directory may not exist yet, for example; polling continues.
                tracing::debug!(%error, "cannot watch the configuration files; polling continues");
            }
        }
        std::future::pending::<()>().await;
    }
}

fn watched(reloader: &Reloader) -> Option<Watch> {
    reloader.path.as_ref()?;
    config::watch(reloader.files.paths())
        .inspect_err(|error| {
            tracing::info!(%error, "cannot watch the configuration files; polling them every five seconds");
        })
        .ok()
}

async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

async fn changed(watch: Option<&mut Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}
