//! Opens a connection to one server: TCP, TLS if it is wanted, the login.
//!
//! The client library could, but would read all of the system's certificates for each connection,
//! and let nobody see how much it reads.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::io::tcp::socket2::{SockRef, TcpKeepalive};
use redis::{AsyncConnectionConfig, ConnectionAddr, RedisConnectionInfo, RedisError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::read_limit::{ReadLimit, UnansweredBytes};
use crate::cache::remote::connection::ServerConnection;
use crate::cache::remote::feed;

/// A connection on which nothing is heard for so long is given up by the system.
pub(super) const SILENCE: Duration = Duration::from_secs(10);

/// Certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisTrustError {
    #[error("the certificate authorities cannot be used: {0}")]
    Certificate(#[from] rustls::pki_types::pem::Error),
    #[error(
        "the system's certificate authorities cannot be loaded (is ca-certificates installed?)"
    )]
    Platform,
    #[error("the certificate authorities cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// How servers are spoken to.
#[derive(Clone)]
pub(in crate::cache::remote) struct SocketConnector {
    /// `None` where no TLS is spoken.
    tls: Option<TlsConnector>,
}

impl SocketConnector {
    pub(super) fn clear() -> Self {
        Self { tls: None }
    }

    /// Over TLS, trusting these authorities in PEM form, or without any the system's.
    pub(super) fn secured(authorities: Option<&[u8]>) -> Result<Self, RedisTrustError> {
        Ok(Self {
            tls: Some(connector(authorities)?),
        })
    }

    /// A connection on which the trades of pools are told.
    pub(super) async fn subscribe(
        &self,
        address: &ConnectionAddr,
        login: &RedisConnectionInfo,
    ) -> Result<PubSub, RedisError> {
        match address {
            ConnectionAddr::Tcp(host, port) => {
                feed::subscribe(tcp(host, *port).await?, login).await
            }
            ConnectionAddr::TcpTls { host, port, .. } => {
                let tls = self.tls.as_ref().ok_or_else(unsupported)?;
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                let stream = tls.connect(name, tcp(host, *port).await?).await?;
                feed::subscribe(stream, login).await
            }
            _ => Err(unsupported().into()),
        }
    }

    /// A connection on which commands may be sent.
    pub(super) async fn open(
        &self,
        address: &ConnectionAddr,
        login: &RedisConnectionInfo,
    ) -> Result<ServerConnection, RedisError> {
        match address {
            ConnectionAddr::Tcp(host, port) => log_in(tcp(host, *port).await?, login).await,
            ConnectionAddr::TcpTls { host, port, .. } => {
                let tls = self.tls.as_ref().ok_or_else(unsupported)?;
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                let stream = tls.connect(name, tcp(host, *port).await?).await?;
                log_in(stream, login).await
            }
            _ => Err(unsupported().into()),
        }
    }
}

fn unsupported() -> io::Error {
    io::Error::from(io::ErrorKind::Unsupported)
}

/// Requests are small and waited for: they must not wait to be joined by others. And a peer that
/// has vanished without a word must be noticed although nothing is sent.
async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&keepalive())?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(SILENCE))?;
    Ok(stream)
}

pub(super) fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(SILENCE / 2)
        .with_interval(SILENCE / 4)
}

async fn log_in<S>(stream: S, login: &RedisConnectionInfo) -> Result<ServerConnection, RedisError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let unanswered = UnansweredBytes::default();
    let stream = ReadLimit::new(stream, unanswered.clone());
    // Lookups have a deadline of their own, writes as well.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let (connection, driver) =
        MultiplexedConnection::new_with_config(login, stream, config).await?;
    let driver = tokio::spawn(driver).abort_handle();
    Ok(ServerConnection::new(connection, unanswered, driver))
}

fn connector(authorities: Option<&[u8]>) -> Result<TlsConnector, RedisTrustError> {
    let mut roots = RootCertStore::empty();
    if let Some(authorities) = authorities {
        for certificate in CertificateDer::pem_slice_iter(authorities) {
            roots.add(certificate?)?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(RedisTrustError::Platform);
        }
    }
    // Named, because a process may hold more than one provider of cryptography.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
