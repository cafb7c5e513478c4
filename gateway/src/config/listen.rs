//! Where the gateway listens: the RPC port in clear and over TLS, and the admin port.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The listeners of the RPC endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Addresses served in clear: HTTP/1.1 and, with `h2c`, HTTP/2 with prior knowledge.
    pub rpc: Vec<SocketAddr>,
    /// Addresses served over TLS; HTTP/2 is offered by ALPN.
    pub tls: Vec<TlsListener>,
    /// How long an idle connection of a client is kept.
    pub keepalive: Duration,
    /// Whether HTTP/2 is spoken on the clear addresses to clients that begin with it.
    pub h2c: bool,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            rpc: vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8899))],
            tls: Vec::new(),
            keepalive: Duration::from_secs(75),
            h2c: true,
        }
    }
}

/// One TLS address with the files of its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsListener {
    pub address: SocketAddr,
    /// PEM file: the certificate, then its chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// The port for operators: metrics, health, status, reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// None switches the admin port off.
    pub listen: Option<SocketAddr>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9090))),
        }
    }
}
