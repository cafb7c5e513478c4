//! The services that listen: they get the sockets bound for them, report the runtime they run on,
//! and end the process when they fail, since a gateway that listens only in part would look healthy
//! from outside.
//!
//! Sockets taken over from a running process are not listened on before the upstreams are known:
//! until then the old process answers, and would answer better.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use super::sockets::Sockets;
use crate::snapshot::Published;

/// How long a new process waits for its upstreams to become known.
const KNOWN: Duration = Duration::from_secs(30);
/// How often the upstreams are checked.
const LOOK: Duration = Duration::from_millis(10);

/// Counts the services that should listen and those that do.
#[derive(Default)]
pub(super) struct Listening {
    expected: usize,
    started: watch::Sender<usize>,
    /// For a process that replaces another: the state it will serve from.
    succeeds: Option<Arc<Published>>,
}

/// A watched service.
pub(super) struct WatchedService<S> {
    service: S,
    sockets: Arc<Sockets>,
    tell: Option<oneshot::Sender<Handle>>,
    started: watch::Sender<usize>,
    succeeds: Option<Arc<Published>>,
}

impl Listening {
    /// For a process that may replace another.
    pub(super) fn new(succeeds: bool, published: &Arc<Published>) -> Self {
        Self {
            succeeds: succeeds.then(|| Arc::clone(published)),
            ..Self::default()
        }
    }

    /// Wraps a service, and returns where it will report its runtime: connections that its calls
    /// wait for are best driven by that runtime, where no other thread has to be woken.
    pub(super) fn watch<S>(
        &mut self,
        service: S,
        sockets: &Arc<Sockets>,
    ) -> (WatchedService<S>, oneshot::Receiver<Handle>) {
        self.expected += 1;
        let (tell, told) = oneshot::channel();
        let watched = WatchedService {
            service,
            sockets: Arc::clone(sockets),
            tell: Some(tell),
            started: self.started.clone(),
            succeeds: self.succeeds.clone(),
        };
        (watched, told)
    }

    /// Waits until all listen. Their sockets are bound already, so nothing can prevent it.
    pub(super) async fn all(&self) {
        let mut started = self.started.subscribe();
        let all = |started: &usize| *started >= self.expected;
        // An error means that there is no sender, and this is one.
        drop(started.wait_for(all).await);
    }
}

#[async_trait]
impl<S: Service> Service for WatchedService<S> {
    async fn start_service(
        &mut self,
        descriptors: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
    ) {
        if let Some(descriptors) = &descriptors {
            self.sockets.hand_to(descriptors);
        }
        if let Some(tell) = self.tell.take() {
            // The receiver may be gone already.
            drop(tell.send(Handle::current()));
        }
        if let Some(published) = self.succeeds.take() {
            serves_soon(&published).await;
        }
        self.started.send_modify(|started| *started += 1);
        let stopping = shutdown.clone();
        let service = &mut self.service;
        let serving = service.start_service(descriptors, shutdown, listeners_per_fd);
        let ended = AssertUnwindSafe(serving).catch_unwind().await;
        if ended.is_err() || !*stopping.borrow() {
            tracing::error!(service = self.service.name(), "listener failed; stopping");
            fail();
        }
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads()
    }

    fn on_startup_delay(&self, time_waited: Duration) {
        self.service.on_startup_delay(time_waited);
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        self.service.listen_addresses()
    }
}

/// Waits until an upstream can serve. A new process that finds none does not take over.
async fn serves_soon(published: &Published) {
    let end = Instant::now() + KNOWN;
    while !published.load().pool.can_serve() {
        if Instant::now() >= end {
            tracing::error!(
                seconds = KNOWN.as_secs(),
                "no upstream available; the old process keeps serving"
            );
            fail();
        }
        sleep(LOOK).await;
    }
}

#[expect(
    clippy::exit,
    reason = "Pingora's main thread waits for signals and cannot be woken otherwise"
)]
fn fail() -> ! {
    std::process::exit(1)
}
