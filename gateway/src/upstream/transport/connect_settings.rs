//! Opening connections to one upstream: which of its addresses, how long each may take, and what
//! a failure is called.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use pingora::ErrorType;
use pingora::connectors::TransportConnector;
use pingora::protocols::Stream;
use tokio::time::{Instant, Sleep};

use crate::config;
use crate::solana::FaultKind;
use crate::upstream::http1::connection::Http1Connection;
use crate::upstream::transport::descriptors;
use crate::upstream::transport::endpoint::Endpoint;
use crate::upstream::transport::resolve::ResolvedAddresses;
use crate::upstream::transport::timer::within;
use crate::upstream::transport::tls_fault;

/// What is needed to connect to an upstream. Changes with its settings; existing connections
/// survive that.
pub(in crate::upstream) struct ConnectSettings {
    pub(in crate::upstream) endpoint: Endpoint,
    pub(in crate::upstream) addresses: Arc<ResolvedAddresses>,
    pub(in crate::upstream) timeouts: config::Timeouts,
    pub(in crate::upstream) connector: Arc<TransportConnector>,
}

/// A new connection, by its HTTP version.
pub(in crate::upstream) enum NewConnection {
    Http1(Box<Http1Connection>),
    Http2(Stream, SocketAddr),
}

impl ConnectSettings {
    /// Opens a connection, beginning with the address `first`. If that one does not answer the
    /// others are tried: `localhost` alone has two, of which often only one listens.
    pub(in crate::upstream) async fn open(
        &self,
        first: Option<SocketAddr>,
        until: Instant,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Result<NewConnection, FaultKind> {
        if self.addresses.known().is_empty() {
            // The background task has not found any yet; a call should not fail for that.
            match within(timer, until, self.addresses.refresh()).await {
                Some(Ok(())) => {}
                Some(Err(error)) if descriptors::are_spent(&error) => {
                    return Err(FaultKind::NoDescriptors);
                }
                Some(Err(_)) | None => return Err(FaultKind::Dns),
            }
        }
        let known = self.addresses.known();
        let others = known.iter().copied().filter(|other| Some(*other) != first);
        let order: Vec<SocketAddr> = first.into_iter().chain(others).collect();
        let mut fault = FaultKind::Dns;
        for (tried, address) in order.iter().enumerate() {
            let now = Instant::now();
            let left = u32::try_from(order.len() - tried).unwrap_or(u32::MAX);
            let share = until.saturating_duration_since(now) / left;
            fault = match self.connect(*address, now + share, timer).await {
                Ok(connection) => return Ok(connection),
                Err(fault) => fault,
            };
        }
        Err(fault)
    }

    /// Opens a connection to this address.
    pub(in crate::upstream) async fn connect(
        &self,
        address: SocketAddr,
        until: Instant,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Result<NewConnection, FaultKind> {
        let peer = self.endpoint.peer(address);
        // Boxed: with TLS this future is larger than the rest of an attempt.
        let connect = Box::pin(self.connector.new_stream(&peer));
        match within(timer, until, connect).await {
            None => Err(FaultKind::ConnectTimeout),
            Some(Ok(stream)) => match self.endpoint.speaks_http2(&stream) {
                Some(true) => Ok(NewConnection::Http2(stream, address)),
                Some(false) => {
                    let addresses = &self.addresses;
                    let connection =
                        Http1Connection::new(stream, address, addresses, Instant::now());
                    Ok(NewConnection::Http1(connection))
                }
                None => {
                    tracing::debug!(%address, "upstream connection failed: HTTP/2 not accepted");
                    Err(FaultKind::Tls)
                }
            },
            Some(Err(error)) => {
                tracing::debug!(%address, %error, "upstream connection failed");
                Err(connect_fault(&error))
            }
        }
    }
}

/// Why no connection could be made.
pub(super) fn connect_fault(error: &pingora::Error) -> FaultKind {
    if descriptors::are_spent(error.root_cause()) {
        return FaultKind::NoDescriptors;
    }
    match error.etype() {
        ErrorType::ConnectRefused => FaultKind::ConnectRefused,
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => FaultKind::ConnectTimeout,
        ErrorType::TLSHandshakeFailure
        | ErrorType::TLSWantX509Lookup
        | ErrorType::HandshakeError
        | ErrorType::InvalidCert => tls_fault::of(&error.to_string()),
        _ => FaultKind::ConnectFailed,
    }
}
