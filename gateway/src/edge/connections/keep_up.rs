//! Accepting waits while too many accepted sockets are not registered yet.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::listeners::ConnectionFilter;

use super::ClientConnections;

/// Makes Pingora's listeners wait where they should.
#[derive(Debug)]
pub struct KeepUp(pub Arc<ClientConnections>);

#[async_trait]
impl ConnectionFilter for KeepUp {
    async fn should_accept(&self, _address: Option<&SocketAddr>) -> bool {
        self.0.backlog.keep_up().await;
        true
    }
}
