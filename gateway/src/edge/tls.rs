//! TLS towards clients. The handshake is done here, not in Pingora's listener, so that a connection
//! counts before it, its time is limited, and what the port shows and asks for can be replaced while
//! it serves.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::Stream;
use pingora::protocols::l4::stream::Stream as Tcp;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};

use crate::auth::ClientCertificate;

/// What a port shows its clients, and what it asks of them.
#[derive(Debug)]
pub struct TlsSetup {
    pub certified: Arc<CertifiedKey>,
    /// Who checks clients' certificates; without it none is asked for.
    pub clients: Option<Arc<dyn ClientCertVerifier>>,
    /// Whether HTTP/2 is offered (ALPN).
    pub http2: bool,
}

/// The TLS of one port: replaced while it serves, without a lock for handshakes.
pub struct ServedTls(ArcSwap<Acceptor>);

impl ServedTls {
    /// Serves this until it is replaced.
    ///
    /// # Errors
    /// The TLS library's; none occurs for certificates that were checked.
    pub fn new(setup: TlsSetup) -> Result<Self, rustls::Error> {
        Ok(Self(ArcSwap::from_pointee(acceptor(setup)?)))
    }

    /// Serves something else from now on. Existing connections keep what they have.
    ///
    /// # Errors
    /// As with [`Self::new`].
    pub fn replace(&self, setup: TlsSetup) -> Result<(), rustls::Error> {
        self.0.store(Arc::new(acceptor(setup)?));
        Ok(())
    }
}

fn acceptor(setup: TlsSetup) -> Result<Acceptor, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS12, &TLS13])?;
    let asks = setup.clients.is_some();
    let builder = match setup.clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let shown = SingleCertAndKey::from(setup.certified);
    let mut config = builder.with_cert_resolver(Arc::new(shown));
    if setup.http2 {
        let offered = [b"h2".as_slice(), b"http/1.1", b"http/1.0"];
        config.alpn_protocols = offered.map(<[u8]>::to_vec).into();
    }
    if asks {
        // A session that is resumed is not checked again: neither that its certificate is still
        // valid, nor that its authority is still trusted.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Acceptor::from_server_config(Arc::new(config)))
}

/// The addresses that speak TLS.
#[derive(Default)]
pub struct TlsListeners(Vec<(SocketAddr, Arc<ServedTls>)>);

impl TlsListeners {
    /// Adds an address.
    pub fn add(&mut self, address: SocketAddr, served: Arc<ServedTls>) {
        self.0.push((address, served));
    }

    /// The acceptor of a connection; `None` for a cleartext one.
    pub(super) fn acceptor(&self, stream: &Stream) -> Option<Arc<Acceptor>> {
        if self.0.is_empty() {
            return None;
        }
        let own = own_address(stream)?;
        self.0
            .iter()
            .find(|(address, _)| listens(*address, own))
            .map(|(_, served)| served.0.load_full())
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

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandshakeFault {
    /// The client showed no certificate where one is required.
    NoCertificate,
    /// It showed one that is not valid here.
    BadCertificate,
    /// Anything else, which scanners cause every day.
    Other,
}

impl HandshakeFault {
    /// By the text of the TLS library's error, of which Pingora keeps nothing else.
    fn of(text: &str) -> Self {
        if text.contains(&rustls::Error::NoCertificatesPresented.to_string()) {
            Self::NoCertificate
        } else if text.contains("invalid peer certificate") {
            Self::BadCertificate
        } else {
            Self::Other
        }
    }
}

/// Does the handshake with a client.
///
/// # Errors
/// Why it failed.
pub(super) async fn handshake(
    acceptor: &Acceptor,
    stream: Stream,
) -> Result<Stream, HandshakeFault> {
    let tcp = stream.into_any().downcast::<Tcp>();
    let tcp = tcp.map_err(|_other| HandshakeFault::Other)?;
    match acceptor.tls_handshake(*tcp).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => {
            tracing::debug!(%error, "TLS handshake failed");
            Err(HandshakeFault::of(&error.to_string()))
        }
    }
}

/// The certificate that a client has shown, and that was found valid.
pub(super) fn shown_certificate(stream: &Stream) -> Option<ClientCertificate> {
    ClientCertificate::read(stream.get_ssl()?.peer_certificate_der()?)
}

#[cfg(test)]
mod tests {
    use rustls::{CertificateError, Error, InvalidMessage};

    use super::*;

    #[test]
    fn faults_of_handshakes_are_told_apart_by_the_texts_of_the_library() {
        let expired = Error::InvalidCertificate(CertificateError::Expired);
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let garbage = Error::InvalidMessage(InvalidMessage::InvalidContentType);
        for (error, fault) in [
            (
                Error::NoCertificatesPresented,
                HandshakeFault::NoCertificate,
            ),
            (expired, HandshakeFault::BadCertificate),
            (unknown, HandshakeFault::BadCertificate),
            (garbage, HandshakeFault::Other),
        ] {
            let text = format!("TLS accept() failed: {error}");
            assert_eq!(HandshakeFault::of(&text), fault, "{text}");
        }
    }
}
