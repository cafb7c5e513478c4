//! The beginning of a connection: whether there is room for it, its TLS handshake, its HTTP
//! version, and the time limits for all that.
//!
//! Pingora detects the HTTP/2 preface by waiting for its 24 bytes without a limit: a shorter
//! request would get no answer, and a silent connection would never end.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::{ALPN, Stream};
use pingora::server::ShutdownWatch;
use tokio::time::{Instant, timeout, timeout_at};

use super::connections::{AdmittedConnection, TrackedConnection};
use super::http2::{self, Http2Timeouts};
use super::rpc_app::RpcApp;
use super::tls::{self, HandshakeFault, TlsListeners};
use super::websocket::{self, UpgradedConnection};
use super::{fast_path, forwarded, head, proxy_protocol};
use crate::config::{Config, Listen};
use crate::snapshot::Snapshot;

/// How every HTTP/2 connection begins (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Accepts connections for an [`RpcApp`].
pub struct Front {
    app: Arc<RpcApp>,
    tls: TlsListeners,
    /// Whether cleartext HTTP/2 is accepted too; over TLS the handshake negotiates it.
    h2c: bool,
    keepalive: Duration,
    /// The WebSocket-only addresses.
    websocket_only: Vec<SocketAddr>,
}

/// The HTTP version of a connection.
enum Version {
    One,
    Two,
}

impl Front {
    /// `keepalive` limits the time before the first bytes of a request, and later the idle time.
    pub fn new(
        app: RpcApp,
        tls: TlsListeners,
        websocket_only: Vec<SocketAddr>,
        h2c: bool,
        keepalive: Duration,
    ) -> Self {
        Self {
            websocket_only,
            app: Arc::new(app),
            tls,
            h2c,
            keepalive,
        }
    }

    /// Serves requests until the connection ends or becomes a WebSocket.
    async fn serve(
        &self,
        stream: Stream,
        tracked: &Arc<TrackedConnection>,
        shutdown: &ShutdownWatch,
    ) -> Option<UpgradedConnection> {
        let only_websocket = tls::is_among(&stream, &self.websocket_only);
        let (beginning, body) = {
            let limits = &self.app.published.load().config.limits;
            (limits.head_timeout, limits.body_timeout)
        };
        let begun = self.begin(stream, tracked, beginning, only_websocket);
        let (stream, version) = begun.await?;
        let patience = Http2Timeouts {
            beginning,
            body,
            idle: self.keepalive,
        };
        match version {
            Version::One => {
                let terms = (self.keepalive, only_websocket);
                fast_path::serve(&self.app, stream, tracked, terms).await
            }
            Version::Two => {
                http2::serve(&self.app, stream, tracked, patience, shutdown).await;
                None
            }
        }
    }

    /// Whether every connection to its address begins with a PROXY protocol header.
    fn is_behind_a_balancer(&self, stream: &Stream, listen: &Listen) -> bool {
        let addresses = &listen.proxy_protocol;
        tls::is_among(stream, addresses)
            || (tls::is_among(stream, &self.websocket_only) && tls::is_next_to(stream, addresses))
    }

    /// Admits a connection from a load balancer under the address that it names. Until then it
    /// counts for no address; the balancer's own stands for far too many clients.
    async fn introduced(
        &self,
        mut stream: Stream,
        peer: Option<IpAddr>,
        snapshot: &Snapshot,
    ) -> Option<(Stream, AdmittedConnection)> {
        let Config { limits, listen, .. } = &snapshot.config;
        let peer = peer.filter(|peer| forwarded::is_among(&listen.trusted_proxies, *peer));
        if peer.is_none() {
            self.app.metrics.refused("proxy_protocol");
            return None;
        }
        let nobody = self.app.connections.admit(None, limits)?;
        let mut header = None;
        let reading = async {
            let read = timeout(limits.head_timeout, proxy_protocol::read(&mut stream)).await;
            header = read.ok().and_then(Result::ok);
        };
        Box::pin(nobody.until_cut(reading)).await;
        let Some(named) = header else {
            self.app.metrics.refused("proxy_protocol");
            return None;
        };
        drop(nobody);
        let admitted = self.app.connections.admit(named.or(peer), limits)?;
        Some((stream, admitted))
    }

    /// `None` if the connection ends before it has begun, or takes too long for that.
    async fn begin(
        &self,
        stream: Stream,
        tracked: &TrackedConnection,
        patience: Duration,
        only_websocket: bool,
    ) -> Option<(Stream, Version)> {
        let _waiting = self.app.drain.waiting();
        let Some(acceptor) = self.tls.acceptor(&stream) else {
            if only_websocket {
                // WebSocket over HTTP/2 is not supported.
                return Some((stream, Version::One));
            }
            return self.begin_in_clear(stream, patience).await;
        };
        let shaken = timeout(patience, tls::handshake(&acceptor, stream)).await;
        let stream = match shaken.unwrap_or(Err(HandshakeFault::Other)) {
            Ok(stream) => stream,
            Err(fault) => {
                self.app.metrics.handshake_failed(fault);
                return None;
            }
        };
        if let Some(certificate) = tls::shown_certificate(&stream) {
            tracked.showed(certificate);
        }
        let version = match stream.selected_alpn_proto() {
            Some(ALPN::H2) => Version::Two,
            _ => Version::One,
        };
        Some((stream, version))
    }

    async fn begin_in_clear(
        &self,
        mut stream: Stream,
        patience: Duration,
    ) -> Option<(Stream, Version)> {
        if !self.h2c {
            return Some((stream, Version::One));
        }
        let mut first = [0; 1];
        let peeked = timeout(self.keepalive, stream.try_peek(&mut first));
        let peeked = peeked.await.ok()?.ok()?;
        if !peeked || !PREFACE.starts_with(&first) {
            return Some((stream, Version::One));
        }
        let end = Instant::now() + patience;
        // No HTTP/1 method begins with the first three; an incomplete preface is refused as HTTP/1.
        let (mut three, mut whole) = ([0; 3], [0; PREFACE.len()]);
        let peeking = async {
            let peeked = stream.try_peek(&mut three).await?;
            if peeked && PREFACE.starts_with(&three) {
                stream.try_peek(&mut whole).await?;
            }
            std::io::Result::Ok(())
        };
        let Ok(peeked) = timeout_at(end, peeking).await else {
            self.app.metrics.refused("head_timeout");
            return None;
        };
        peeked.ok()?;
        let version = if whole == *PREFACE {
            Version::Two
        } else {
            Version::One
        };
        Some((stream, version))
    }
}

#[async_trait]
impl ServerApp for Front {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let address = head::peer_ip(&stream);
        let snapshot = self.app.published.load();
        let Config { limits, listen, .. } = &snapshot.config;
        let (stream, admitted) = if self.is_behind_a_balancer(&stream, listen) {
            self.introduced(stream, address, &snapshot).await?
        } else {
            (stream, self.app.connections.admit(address, limits)?)
        };
        drop(snapshot);
        // Once on the heap it is not copied any more.
        let serving = Box::pin(self.serve(stream, &admitted, shutdown));
        let upgraded = admitted.until_cut(serving).await.flatten()?;
        // What served requests is much larger than what a socket needs, and gone by now.
        let serving = Box::pin(websocket::serve(&self.app, upgraded, &admitted));
        admitted.until_cut(serving).await;
        None
    }
}
