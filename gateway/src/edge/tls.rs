//! TLS towards clients. The handshake is done here, not in Pingora's listener, so that a connection
//! counts before it and its time is limited.

use std::net::SocketAddr;
use std::sync::Arc;

use pingora::listeners::tls::{Acceptor, TlsSettings};
use pingora::protocols::Stream;
use pingora::protocols::l4::stream::Stream as Tcp;

/// The addresses that speak TLS.
#[derive(Default)]
pub struct TlsListeners(Vec<(SocketAddr, Arc<Acceptor>)>);

impl TlsListeners {
    /// Adds an address.
    pub fn add(&mut self, address: SocketAddr, settings: TlsSettings) {
        self.0.push((address, Arc::new(settings.build())));
    }

    /// The acceptor of a connection; `None` for a cleartext one.
    pub(super) fn acceptor(&self, stream: &Stream) -> Option<&Arc<Acceptor>> {
        if self.0.is_empty() {
            return None;
        }
        let own = own_address(stream)?;
        self.0
            .iter()
            .find(|(address, _)| listens(*address, own))
            .map(|(_, acceptor)| acceptor)
    }
}

/// Whether a connection came to one of these addresses.
pub(super) fn is_among(stream: &Stream, addresses: &[SocketAddr]) -> bool {
    !addresses.is_empty()
        && own_address(stream)
            .is_some_and(|own| addresses.iter().any(|address| listens(*address, own)))
}

/// The same for the ports above them.
pub(super) fn is_next_to(stream: &Stream, addresses: &[SocketAddr]) -> bool {
    let before = |own: SocketAddr| Some(SocketAddr::new(own.ip(), own.port().checked_sub(1)?));
    let before = own_address(stream).and_then(before);
    before.is_some_and(|own| addresses.iter().any(|address| listens(*address, own)))
}

fn own_address(stream: &Stream) -> Option<SocketAddr> {
    let digest = stream.get_socket_digest()?;
    digest.local_addr()?.as_inet().copied()
}

fn listens(address: SocketAddr, own: SocketAddr) -> bool {
    let ip = address.ip();
    address.port() == own.port()
        && (ip.is_unspecified() || ip.to_canonical() == own.ip().to_canonical())
}

/// Does the handshake with a client. `None` if it fails, which scanners cause every day.
pub(super) async fn handshake(acceptor: &Acceptor, stream: Stream) -> Option<Stream> {
    let tcp = stream.into_any().downcast::<Tcp>().ok()?;
    match acceptor.tls_handshake(*tcp).await {
        Ok(stream) => Some(Box::new(stream)),
        Err(error) => {
            tracing::debug!(%error, "TLS handshake failed");
            None
        }
    }
}
