//! The beginning of a connection to the admin port: its TLS handshake, where the port speaks TLS.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use tokio::time::timeout;

use super::exchange::AdminConnection;
use super::{AdminApp, connection};
use crate::edge::connections::ClientConnections;
use crate::edge::tls::{self, HandshakeFault, TlsListeners};

/// Time limit for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Accepts connections for an [`AdminApp`].
pub struct AdminFront {
    app: Arc<AdminApp>,
    connections: Arc<ClientConnections>,
    /// The port itself, if it speaks TLS.
    tls: TlsListeners,
}

impl AdminFront {
    pub fn new(app: AdminApp, connections: Arc<ClientConnections>, tls: TlsListeners) -> Self {
        Self {
            app: Arc::new(app),
            connections,
            tls,
        }
    }

    async fn begin(&self, stream: Stream) -> Option<Stream> {
        let Some(acceptor) = self.tls.acceptor(&stream) else {
            return Some(stream);
        };
        let shaken = timeout(HANDSHAKE, tls::handshake(&acceptor, stream)).await;
        match shaken.unwrap_or(Err(HandshakeFault::Other)) {
            Ok(stream) => Some(stream),
            Err(fault) => {
                self.app.metrics.handshake_failed(fault);
                None
            }
        }
    }
}

#[async_trait]
impl ServerApp for AdminFront {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let admitted = connection::admit(&self.connections, &stream)?;
        let requests = async {
            if let Some(stream) = self.begin(stream).await {
                let connection = AdminConnection::new(&self.app, stream, &admitted);
                connection.serve(shutdown).await;
            }
        };
        Box::pin(admitted.until_cut(requests)).await;
        None
    }
}
