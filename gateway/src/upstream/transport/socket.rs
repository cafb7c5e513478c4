//! Bare connections to where an upstream serves subscriptions. The `pubsub` layer speaks on them.

use http::{HeaderName, HeaderValue};
use pingora::connectors::TransportConnector;
use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::lookup_host;

use super::connect_settings::connect_fault;
use crate::config::WsUrl;
use crate::solana::FaultKind;
use crate::upstream::Upstream;

/// A connection of any kind.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

impl Upstream {
    /// Where it serves subscriptions, the likeliest first.
    pub fn ws_urls(&self) -> Vec<WsUrl> {
        match &self.settings().ws_url {
            Some(url) => vec![url.clone()],
            None => WsUrl::of(&self.settings().url),
        }
    }

    /// The headers that its requests need, such as a provider's key.
    pub fn ws_headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.settings().headers.iter().filter_map(|(name, value)| {
            // Secrets from files end with a newline.
            let value = HeaderValue::from_str(value.expose().trim()).ok()?;
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
        })
    }

    /// Opens a connection, including TLS. The caller sets the time limit.
    ///
    /// # Errors
    /// The name is unknown, or none of its addresses accepts the connection: the fault of the last.
    pub async fn open_socket(&self, url: &WsUrl) -> Result<Box<dyn Duplex>, FaultKind> {
        let mut failed = FaultKind::Dns;
        let addresses = lookup_host((url.host(), url.port())).await;
        for address in addresses.map_err(|_unknown| FaultKind::Dns)? {
            let tls = &self.settings().tls;
            let sni = match &tls.sni {
                Some(sni) if url.host() == self.settings().url.host() => sni.clone(),
                _ => url.host().to_owned(),
            };
            let sni = if url.is_tls() { sni } else { String::new() };
            let mut peer = HttpPeer::new(address, url.is_tls(), sni);
            peer.options.alpn = ALPN::H1;
            peer.options.verify_cert = tls.verify;
            peer.options.verify_hostname = tls.verify;
            match connect(&self.member.wire.connector, &peer).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

async fn connect(
    connector: &TransportConnector,
    peer: &HttpPeer,
) -> Result<Box<dyn Duplex>, FaultKind> {
    // Boxed: with TLS this future is large.
    match Box::pin(connector.new_stream(peer)).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(connect_fault(&error)),
    }
}
