//! What `/status` tells of the configuration and of the certificates. Written by those who look after
//! them, read by the admin port.

use std::net::SocketAddr;
use std::path::PathBuf;

use arc_swap::ArcSwap;
use serde::Serialize;

/// Both, as they stand now.
#[derive(Debug, Default)]
pub struct GatewayStatus {
    pub config: ArcSwap<ConfigStatus>,
    pub certificates: ArcSwap<Vec<CertificateStatus>>,
}

/// How the file and the configuration in force relate.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConfigStatus {
    /// `None`: the embedded demo.
    pub file: Option<PathBuf>,
    /// Why what the file says now is not in force; empty when it is.
    pub errors: Vec<String>,
    /// Keys whose new value only a restart applies.
    pub restart_required: Vec<&'static str>,
}

/// The certificate of one TLS listener.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateStatus {
    pub listener: SocketAddr,
    pub certificate: PathBuf,
    /// RFC 3339, in UTC.
    pub expires: String,
    /// What clients do not like about it, or why a newer one is not served.
    pub problems: Vec<String>,
}
