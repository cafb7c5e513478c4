//! The state of an upstream for the status page.

use serde::Serialize;
use tokio::time::Instant;

use super::ApiUpstream;

/// State of an upstream, for the status page.
#[derive(Clone, Debug, Serialize)]
pub struct ApiStatus {
    pub id: String,
    pub tier: &'static str,
    pub platform_fee_bps: u32,
    pub fitness: &'static str,
    pub market_cache_age_slots: Option<u64>,
    pub breaker: &'static str,
    pub held_for_seconds: Option<u64>,
    pub held_because: Option<&'static str>,
    /// Why the last canary brought no quote, and what is likely to help.
    pub cause: Option<String>,
    pub cure: Option<&'static str>,
    pub organisation: Option<String>,
    /// Requests that its budget allows at once, now; none without a budget.
    pub budget_left: Option<u64>,
    pub connections: usize,
}

impl ApiUpstream {
    /// For people.
    pub fn status(&self, now: Instant) -> ApiStatus {
        let state = &self.state;
        let held = state.holds.lock().longest(now);
        let held = held.max(self.organisation.held(now));
        let health = state.health.lock();
        let fault = state.canary_fault.lock().clone();
        let (cause, cure) = fault.map(|fault| (fault.cause, fault.cure)).unzip();
        ApiStatus {
            cause,
            cure,
            id: self.id().to_owned(),
            tier: self.settings.tier.label(),
            platform_fee_bps: self.settings.platform_fee_bps,
            fitness: health.fitness().label(),
            market_cache_age_slots: health.lag(),
            breaker: state.breaker.lock().shown().label(),
            held_for_seconds: held.map(|(left, _)| left.as_secs()),
            held_because: held.map(|(_, reason)| reason),
            organisation: self.settings.organisation.clone(),
            budget_left: self.organisation.left(now),
            connections: state.open_connections(),
        }
    }
}
