//! What `/status` shows of the configuration and of the certificates. Written by their owners, read
//! by the admin port.

use std::net::SocketAddr;
use std::path::PathBuf;

use arc_swap::ArcSwap;
use serde::Serialize;

/// The current state of both.
#[derive(Debug, Default)]
pub struct GatewayStatus {
    pub config: ArcSwap<ConfigStatus>,
    pub certificates: ArcSwap<Vec<CertificateStatus>>,
}

/// How the file and the active configuration relate.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConfigStatus {
    /// `None`: the embedded demo.
    pub file: Option<PathBuf>,
    /// Why the file is not active; empty if it is.
    pub errors: Vec<String>,
    /// Keys whose new value takes effect only after a restart.
    pub restart_required: Vec<&'static str>,
}

/// The certificate of one TLS listener.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateStatus {
    pub listener: SocketAddr,
    pub certificate: PathBuf,
    /// RFC 3339, in UTC.
    pub expires: String,
    /// The file with the authorities whose clients are let in, and how many it has.
    pub client_ca: Option<PathBuf>,
    pub client_authorities: Option<usize>,
    /// The file with their revocation lists, and how many certificates are revoked.
    pub client_crl: Option<PathBuf>,
    pub revoked: Option<usize>,
    /// What clients would refuse about it, or why a newer one is not served.
    pub problems: Vec<String>,
}
