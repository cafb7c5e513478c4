//! State of the shared cache, for the status page. Of addresses it has only host and port.

use serde::Serialize;

use crate::config::RedisMode;

/// State of the shared cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemoteStatus {
    pub mode: &'static str,
    /// Open connections for lookups.
    pub connections: usize,
    pub of_connections: usize,
    pub breaker: &'static str,
    pub waiting_writes: usize,
    /// Why there is no connection, or why nothing can be written.
    pub trouble: Option<String>,
}

pub(super) const fn mode(mode: RedisMode) -> &'static str {
    match mode {
        RedisMode::Single => "single",
        RedisMode::Sentinel => "sentinel",
        RedisMode::Cluster => "cluster",
    }
}
