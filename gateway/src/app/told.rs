//! A service that tells on which runtime it runs: what its calls wait for is best kept there too,
//! where nobody has to wake another thread for it.

use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub(super) struct Told<S> {
    service: S,
    tell: Option<oneshot::Sender<Handle>>,
}

impl<S> Told<S> {
    /// The service, and where it will be told.
    pub(super) fn new(service: S) -> (Self, oneshot::Receiver<Handle>) {
        let (tell, told) = oneshot::channel();
        let tell = Some(tell);
        (Self { service, tell }, told)
    }
}

#[async_trait]
impl<S: Service> Service for Told<S> {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
    ) {
        if let Some(tell) = self.tell.take() {
            // Whoever wanted to know may have been stopped already.
            drop(tell.send(Handle::current()));
        }
        let service = &mut self.service;
        service.start_service(fds, shutdown, listeners_per_fd).await;
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
