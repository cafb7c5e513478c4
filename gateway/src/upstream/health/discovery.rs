//! Resolves an upstream's host name in the background. Discovery for one `LoadBalancer` per
//! upstream: the identity of an upstream never depends on its addresses, which two providers behind
//! one CDN may share.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora::{Error, ErrorType};
use pingora_load_balancing::Backend;
use pingora_load_balancing::discovery::ServiceDiscovery;
use tokio::time::Instant;

use crate::solana::FaultKind;
use crate::upstream::health::diagnosis::{Diagnosis, cure};
use crate::upstream::state::member::Member;
use crate::upstream::transport::resolve::ResolvedAddresses;

/// The first pause after a failed lookup while no address is known, doubled by each that follows,
const AGAIN: Duration = Duration::from_secs(1);
/// up to this one.
const LONGEST: Duration = Duration::from_secs(30);

/// Passes the addresses to the load balancer, and reports to the upstream and the log when there
/// are none.
pub(in crate::upstream) struct Discovery {
    addresses: Arc<ResolvedAddresses>,
    member: Option<Arc<Member>>,
    /// Lookups failed in a row.
    failed: AtomicU32,
}

impl Discovery {
    pub(in crate::upstream) fn of(member: &Arc<Member>) -> Self {
        Self {
            addresses: Arc::clone(&member.live.addresses),
            member: Some(Arc::clone(member)),
            failed: AtomicU32::new(0),
        }
    }

    /// A lookup failed: a warning for the first in a row. Without an address the upstream fails.
    /// Returns the pause before the next.
    fn failed(&self, error: &io::Error) -> Duration {
        let before = self.failed.fetch_add(1, Ordering::Relaxed);
        let host = self.addresses.host();
        let upstream = self.member.as_ref().map(|member| member.live.id());
        let addresses = self.addresses.known().len();
        if before == 0 {
            tracing::warn!(
                upstream,
                host,
                addresses,
                %error,
                cure = cure(FaultKind::Dns),
                "upstream DNS lookup failed"
            );
        } else {
            tracing::debug!(upstream, host, addresses, %error, "upstream DNS lookup failed");
        }
        if let Some(member) = self.member.as_ref().filter(|_| addresses == 0) {
            let diagnosis = Diagnosis::of(FaultKind::Dns, None).on(host).because(error);
            let limits = &member.policy.health;
            member.live.track(limits, Instant::now(), |tracker| {
                tracker.refuses_all(diagnosis);
            });
        }
        AGAIN.saturating_mul(1 << before.min(5)).min(LONGEST)
    }

    fn resolved(&self) {
        if self.failed.swap(0, Ordering::Relaxed) > 0 {
            tracing::info!(
                upstream = self.member.as_ref().map(|member| member.live.id()),
                host = self.addresses.host(),
                "upstream DNS lookup succeeded again"
            );
        }
    }
}

#[async_trait]
impl ServiceDiscovery for Discovery {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        loop {
            let Err(error) = self.addresses.refresh().await else {
                self.resolved();
                break;
            };
            let pause = self.failed(&error);
            if !self.addresses.known().is_empty() {
                break;
            }
            // Without an address there is nothing to probe meanwhile.
            tokio::time::sleep(pause).await;
        }
        let backends: BTreeSet<Backend> = self
            .addresses
            .known()
            .iter()
            .filter_map(|address| Backend::new(&address.to_string()).ok())
            .collect();
        if backends.is_empty() {
            return Err(Error::explain(ErrorType::ConnectError, "no address known"));
        }
        Ok((backends, HashMap::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_known_after_its_first_lookup() {
        let addresses = Arc::new(ResolvedAddresses::new("localhost", 8899));
        assert!(addresses.known().is_empty());
        let discovery = Discovery {
            addresses: Arc::clone(&addresses),
            member: None,
            failed: AtomicU32::new(0),
        };
        let (backends, _enabled) = discovery.discover().await.unwrap();
        assert_eq!(backends.len(), addresses.known().len());
        assert!(
            addresses
                .known()
                .iter()
                .all(|found| found.ip().is_loopback())
        );
    }

    #[test]
    fn lookups_that_fail_are_made_ever_more_rarely() {
        let discovery = Discovery {
            addresses: Arc::new(ResolvedAddresses::new("rpc.example", 443)),
            member: None,
            failed: AtomicU32::new(0),
        };
        let error = io::Error::from(io::ErrorKind::NotFound);
        let pauses: Vec<_> = (0..7).map(|_| discovery.failed(&error).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        discovery.resolved();
        assert_eq!(discovery.failed(&error), AGAIN);
    }
}
