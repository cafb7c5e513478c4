//! The ports as services of Pingora's server.

use std::net::SocketAddr;
use std::sync::Arc;

use pingora::listeners::ListenerConfig;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::services::listening::Service;

use super::addresses::ListenAddresses;
use super::certificates::Certificates;
use crate::config::Config;
use crate::edge::{AdminApp, AdminFront, ClientConnections, Front, KeepUp, RpcApp};

/// One thread of its own, so that a scrape never takes one from the calls.
pub(super) fn admin(
    app: AdminApp,
    connections: Arc<ClientConnections>,
    certificates: &Certificates,
    address: SocketAddr,
) -> Service<AdminFront> {
    let keep_up = KeepUp(Arc::clone(&connections));
    let front = AdminFront::new(app, connections, certificates.admin());
    let mut service = Service::new("admin".to_owned(), front);
    service.set_connection_filter(Arc::new(keep_up));
    service.add_tcp(&address.to_string());
    service.threads = Some(1);
    service
}

/// The ports of clients.
pub(super) fn rpc(
    app: RpcApp,
    config: &Config,
    addresses: &ListenAddresses,
    certificates: &Certificates,
) -> Service<Front> {
    let tls = certificates.listeners();
    let keep_up = KeepUp(Arc::clone(&app.connections));
    let (h2c, keepalive) = (config.listen.h2c, config.listen.keepalive);
    let front = Front::new(app, tls, addresses.websocket.clone(), h2c, keepalive);
    let mut service = Service::new("rpc".to_owned(), front);
    service.set_connection_filter(Arc::new(keep_up));
    for address in addresses
        .rpc
        .iter()
        .chain(&addresses.tls)
        .chain(&addresses.websocket)
    {
        // TLS handshakes are done by `edge::front`.
        let listener = ListenerConfig::tcp(address.to_string());
        // Requests are read into buffers of their own; a second one would only take memory.
        service.add_listener(if addresses.tls.contains(address) {
            listener
        } else {
            listener.l4_buffer(L4BufferSettings::default().read(0))
        });
    }
    service
}
