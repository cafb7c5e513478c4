//! What is known of the shared cache, in a form for people. Holds no address: it could hold a
//! password.

use serde::Serialize;

use crate::config::RedisMode;

/// How the shared cache is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemoteStatus {
    pub mode: &'static str,
    /// Connections for lookups that are there.
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
