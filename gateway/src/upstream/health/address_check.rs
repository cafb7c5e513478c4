//! The probe of an upstream as the health check of its load balancer.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::{Error, ErrorType};
use pingora_load_balancing::Backend;
use pingora_load_balancing::health_check::HealthCheck;

use crate::upstream::health::probe::Probe;
use crate::upstream::state::member::Member;

/// The probe in the form that the load balancer expects.
pub(in crate::upstream) struct AddressCheck {
    probe: Probe,
    failures: usize,
    successes: usize,
}

impl AddressCheck {
    pub(in crate::upstream) fn of(member: &Arc<Member>) -> Self {
        let health = &member.policy.health;
        Self {
            probe: Probe::new(Arc::clone(member)),
            failures: usize::try_from(health.failures).unwrap_or(1),
            successes: usize::try_from(health.successes).unwrap_or(1),
        }
    }
}

#[async_trait]
impl HealthCheck for AddressCheck {
    async fn check(&self, target: &Backend) -> pingora::Result<()> {
        let Some(address) = target.addr.as_inet() else {
            return Ok(());
        };
        if self.probe.check(*address).await {
            Ok(())
        } else {
            Err(Error::new(ErrorType::new("probe failed")))
        }
    }

    fn health_threshold(&self, success: bool) -> usize {
        if success {
            self.successes
        } else {
            self.failures
        }
    }

    fn backend_summary(&self, target: &Backend) -> String {
        format!("address {} of {}", target.addr, self.probe.upstream())
    }
}
