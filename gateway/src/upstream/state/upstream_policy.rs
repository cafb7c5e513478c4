//! How upstreams are judged and chosen, as configured for all of them.

use crate::config;

/// The settings shared by all upstreams.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::upstream) struct UpstreamPolicy {
    pub(in crate::upstream) health: config::HealthSettings,
    pub(in crate::upstream) breaker: config::BreakerSettings,
    pub(in crate::upstream) hold_off: config::HoldOffSettings,
    pub(in crate::upstream) selection: config::Selection,
    pub(in crate::upstream) cluster: config::Cluster,
}

impl UpstreamPolicy {
    pub(in crate::upstream) fn of(config: &config::Config) -> Self {
        Self {
            health: config.health.clone(),
            breaker: config.breaker.clone(),
            hold_off: config.hold_off.clone(),
            selection: config.selection.clone(),
            cluster: config.cluster.clone(),
        }
    }
}
