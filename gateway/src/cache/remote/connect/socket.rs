//! Opens a connection to one server: TCP, optional TLS, login.
//!
//! The client library could do this, but would read all of the system's certificates for each
//! connection, and its reads could not be limited.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use perijove_core::redis::POOLS;
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

/// The system closes a connection that has been silent for this long.
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

/// How servers are connected to.
#[derive(Clone)]
pub(in crate::cache::remote) struct SocketConnector {
    /// `None` without TLS.
    tls: Option<TlsConnector>,
}

impl SocketConnector {
    pub(super) fn clear() -> Self {
        Self { tls: None }
    }

    /// With TLS, trusting these authorities in PEM form, or without any the system's.
    pub(super) fn secured(authorities: Option<&[u8]>) -> Result<Self, RedisTrustError> {
        Ok(Self {
            tls: Some(connector(authorities)?),
        })
    }

    /// Opens a connection that is subscribed to the trades of pools.
    pub(super) async fn subscribe(
        &self,
        address: &ConnectionAddr,
        login: &RedisConnectionInfo,
    ) -> Result<PubSub, RedisError> {
        match address {
            ConnectionAddr::Tcp(host, port) => subscribe(tcp(host, *port).await?, login).await,
            ConnectionAddr::TcpTls { host, port, .. } => {
                let tls = self.tls.as_ref().ok_or_else(unsupported)?;
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                let stream = tls.connect(name, tcp(host, *port).await?).await?;
                subscribe(stream, login).await
            }
            _ => Err(unsupported().into()),
        }
    }

    /// Opens a connection for commands.
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

/// Subscribes over a connection of its own.
async fn subscribe(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    login: &RedisConnectionInfo,
) -> Result<PubSub, RedisError> {
    let mut subscription = PubSub::new(login, stream).await?;
    subscription.subscribe(POOLS).await?;
    Ok(subscription)
}

fn unsupported() -> io::Error {
    io::Error::from(io::ErrorKind::Unsupported)
}

/// Requests are small and awaited, so they must not be delayed to be sent together. A peer that
/// vanished must be noticed even when nothing is sent.
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
    // Named explicitly, because a process may hold more than one cryptography provider.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
