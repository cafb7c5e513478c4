//! Settings that make an upstream another endpoint when they change.

use std::time::Duration;

use crate::config;

/// Settings that make it another endpoint when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::upstream) struct EndpointIdentity {
    url: config::UpstreamUrl,
    tls: config::UpstreamTls,
    http: config::HttpVersion,
    connections: usize,
    connections_ceiling: usize,
    idle_timeout: Duration,
}

impl EndpointIdentity {
    pub(in crate::upstream) fn of(settings: &config::UpstreamSettings) -> Self {
        Self {
            url: settings.url.clone(),
            tls: settings.tls.clone(),
            http: settings.http,
            connections: settings.connections,
            connections_ceiling: settings.connections_ceiling,
            idle_timeout: settings.idle_timeout,
        }
    }
}
