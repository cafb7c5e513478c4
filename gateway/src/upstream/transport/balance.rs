//! One Pingora load balancer per upstream, whose backends are the upstream's addresses. It resolves
//! the name, runs the probes at their intervals, and chooses an address for each new connection. It
//! never decides which upstream is used, or whether one is healthy.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::{Error, ErrorType};
use pingora_load_balancing::health_check::HealthCheck;
use pingora_load_balancing::selection::RoundRobin;
use pingora_load_balancing::{Backend, Backends, LoadBalancer};
use tokio::sync::watch;

use crate::upstream::health::probe::Probe;
use crate::upstream::state::member::Member;
use crate::upstream::transport::resolve::Discovery;

/// Addresses tried to find one that works.
const MOST_TRIED: usize = 64;

pub(in crate::upstream) struct Balancer(LoadBalancer<RoundRobin>);

impl Balancer {
    pub(in crate::upstream) fn new(member: &Arc<Member>) -> Self {
        let discovery = Discovery::of(member);
        let mut balancer = LoadBalancer::from_backends(Backends::new(Box::new(discovery)));
        balancer.update_frequency = Some(member.settings.dns_refresh);
        balancer.health_check_frequency = Some(member.settings.probe.interval);
        balancer.set_health_check(Box::new(AddressCheck {
            probe: Probe::new(Arc::clone(member)),
            failures: usize::try_from(member.policy.health.failures).unwrap_or(1),
            successes: usize::try_from(member.policy.health.successes).unwrap_or(1),
        }));
        Self(balancer)
    }

    /// The address for a new connection: one whose probes are good, else any. None before the
    /// first resolution.
    pub(in crate::upstream) fn pick(&self) -> Option<SocketAddr> {
        let any = |_: &Backend, _healthy: bool| true;
        self.0
            .select(b"", MOST_TRIED)
            .or_else(|| self.0.select_with(b"", MOST_TRIED, any))
            .and_then(|backend| backend.addr.as_inet().copied())
    }

    /// Resolves and probes until it is aborted.
    pub(in crate::upstream) async fn run(&self) {
        // The task is aborted when the upstream is dropped; this never fires.
        let (_stop, stopped) = watch::channel(false);
        self.0.run(stopped, None).await;
    }
}

/// The probe in the form that the load balancer expects.
struct AddressCheck {
    probe: Probe,
    failures: usize,
    successes: usize,
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
