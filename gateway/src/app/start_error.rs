//! Why the gateway did not start.

use std::net::SocketAddr;

use perijove_core::telemetry::TelemetryError;

use super::addresses::ListenError;
use super::descriptors::TooFewDescriptors;
use super::otlp::OtlpError;
use super::upgrade::UpgradeError;
use crate::cli::Exit;
use crate::config;

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    #[error("log: {0}")]
    Telemetry(#[from] TelemetryError),
    #[error(transparent)]
    Otlp(#[from] OtlpError),
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("upstreams: {0}")]
    Pool(#[from] crate::upstream::PoolError),
    #[error("cache.redis: {0}")]
    Redis(#[from] crate::cache::RedisConfigError),
    #[error("{0}")]
    Address(#[from] ListenError),
    #[error("{0}")]
    Upgrade(#[from] UpgradeError),
    #[error("runtime.upgrade_socket: {0}")]
    User(#[source] std::io::Error),
    #[error(transparent)]
    Descriptors(#[from] TooFewDescriptors),
    #[error("{key}: {address}: {faults}")]
    Tls {
        key: &'static str,
        address: SocketAddr,
        faults: String,
    },
}

impl StartError {
    /// A listener's missing file is not a configuration error: the configuration itself may be
    /// valid.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Config(error) if error.violations.iter().any(|one| !one.is_apart) => {
                Exit::BadConfig
            }
            _ => Exit::Failed,
        }
    }
}
