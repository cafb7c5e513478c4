//! One Pingora load balancer per upstream, whose backends are the upstream's addresses. It resolves
//! the name, runs the probes at their intervals, and chooses an address for each new connection. It
//! never decides which upstream is used, or whether one is healthy.

use std::net::SocketAddr;
use std::time::Duration;

use pingora_load_balancing::discovery::ServiceDiscovery;
use pingora_load_balancing::health_check::HealthCheck;
use pingora_load_balancing::selection::RoundRobin;
use pingora_load_balancing::{Backend, Backends, LoadBalancer};
use tokio::sync::watch;

/// Addresses tried to find one that works.
const MOST_TRIED: usize = 64;

pub(in crate::upstream) struct Balancer(LoadBalancer<RoundRobin>);

impl Balancer {
    /// `discovery` is asked for the addresses, and `check` looks at each of them, at these intervals.
    pub(in crate::upstream) fn new(
        discovery: Box<dyn ServiceDiscovery + Send + Sync>,
        refresh: Duration,
        check: Box<dyn HealthCheck + Send + Sync>,
        interval: Duration,
    ) -> Self {
        let mut balancer = LoadBalancer::from_backends(Backends::new(discovery));
        balancer.update_frequency = Some(refresh);
        balancer.health_check_frequency = Some(interval);
        balancer.set_health_check(check);
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
