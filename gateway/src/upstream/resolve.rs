//! The addresses behind an upstream's host name, found in the background and kept when a lookup
//! fails. Discovery for one `LoadBalancer` per upstream: who an upstream is never depends on its
//! addresses, which two providers behind one CDN may share.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::{Error, ErrorType};
use pingora_load_balancing::Backend;
use pingora_load_balancing::discovery::ServiceDiscovery;

/// How long one lookup may take. The upstream's probes wait for it.
const LOOKUP: Duration = Duration::from_secs(2);
/// The pause after a failed lookup while no address is known.
const AGAIN: Duration = Duration::from_secs(1);

/// The known addresses of one host and port.
#[derive(Debug)]
pub(super) struct Addresses {
    host: String,
    port: u16,
    known: ArcSwap<Vec<SocketAddr>>,
    /// Counts changes of the set, so that a connection notices that its address may be gone.
    changes: AtomicU64,
}

impl Addresses {
    /// A host that is an address needs no lookup.
    pub(super) fn new(host: &str, port: u16) -> Self {
        let known = host
            .parse::<IpAddr>()
            .map(|address| vec![SocketAddr::new(address, port)])
            .unwrap_or_default();
        Self {
            host: host.to_owned(),
            port,
            known: ArcSwap::from_pointee(known),
            changes: AtomicU64::new(0),
        }
    }

    pub(super) fn known(&self) -> Arc<Vec<SocketAddr>> {
        self.known.load_full()
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(super) fn contains(&self, address: SocketAddr) -> bool {
        self.known.load().contains(&address)
    }

    /// Looks the name up. What is known stays if that fails.
    pub(super) async fn refresh(&self) -> io::Result<()> {
        if self.host.parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        let lookup = tokio::net::lookup_host((self.host.as_str(), self.port));
        let found = tokio::time::timeout(LOOKUP, lookup)
            .await
            .map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))??;
        self.replace(found.collect())
    }

    /// Makes these the addresses, for tests of what depends on them.
    #[cfg(test)]
    pub(super) fn pretend(&self, addresses: Vec<SocketAddr>) {
        self.known.store(Arc::new(addresses));
    }

    fn replace(&self, mut found: Vec<SocketAddr>) -> io::Result<()> {
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        if **self.known.load() != found {
            self.known.store(Arc::new(found));
            self.changes.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }
}

/// Hands the addresses to the load balancer.
pub(super) struct Discovery(pub(super) Arc<Addresses>);

#[async_trait]
impl ServiceDiscovery for Discovery {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        while let Err(error) = self.0.refresh().await {
            tracing::warn!(host = self.0.host, %error, "upstream name not resolved");
            if !self.0.known().is_empty() {
                break;
            }
            // Without an address there is nothing to probe meanwhile.
            tokio::time::sleep(AGAIN).await;
        }
        let backends: BTreeSet<Backend> = self
            .0
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

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_host_that_is_an_address_is_known_at_once() {
        for (host, expected) in [("127.0.0.1", "127.0.0.1:8899"), ("::1", "[::1]:8899")] {
            let addresses = Addresses::new(host, 8899);
            addresses.refresh().await.unwrap();
            assert_eq!(*addresses.known(), [address(expected)]);
        }
    }

    #[tokio::test]
    async fn a_name_is_known_after_its_first_lookup() {
        let addresses = Arc::new(Addresses::new("localhost", 8899));
        assert!(addresses.known().is_empty());
        let (backends, _enabled) = Discovery(Arc::clone(&addresses)).discover().await.unwrap();
        assert_eq!(backends.len(), addresses.known().len());
        assert!(
            addresses
                .known()
                .iter()
                .all(|found| found.ip().is_loopback())
        );
    }

    #[test]
    fn a_failed_lookup_keeps_what_is_known() {
        let addresses = Addresses::new("rpc.example", 443);
        let first = vec![address("192.0.2.2:443"), address("192.0.2.1:443")];
        addresses.replace(first).unwrap();
        let changes = addresses.changes();
        assert!(addresses.replace(Vec::new()).is_err());
        assert_eq!(addresses.known().len(), 2);
        assert_eq!(addresses.changes(), changes);
    }

    #[test]
    fn only_a_different_set_is_a_change() {
        let addresses = Addresses::new("rpc.example", 443);
        let (a, b) = (address("192.0.2.1:443"), address("192.0.2.2:443"));
        for (found, changes) in [
            (vec![a, b], 1),
            (vec![b, a], 1),
            (vec![b, a, b], 1),
            (vec![a], 2),
        ] {
            addresses.replace(found).unwrap();
            assert_eq!(addresses.changes(), changes);
        }
        assert!(addresses.contains(a) && !addresses.contains(b));
    }
}
