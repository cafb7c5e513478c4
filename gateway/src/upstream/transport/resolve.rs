//! The addresses of an upstream's host name, kept when a lookup fails.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

/// Time limit of one lookup. The upstream's probes wait for it.
const LOOKUP: Duration = Duration::from_secs(2);

/// The known addresses of one host and port.
#[derive(Debug)]
pub(in crate::upstream) struct ResolvedAddresses {
    host: String,
    port: u16,
    known: ArcSwap<Vec<SocketAddr>>,
    /// Counts changes of the set, so that a connection notices that its address may be gone.
    changes: AtomicU64,
}

impl ResolvedAddresses {
    /// A host that is an address needs no lookup.
    pub(in crate::upstream) fn new(host: &str, port: u16) -> Self {
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

    pub(in crate::upstream) fn host(&self) -> &str {
        &self.host
    }

    pub(in crate::upstream) fn known(&self) -> Arc<Vec<SocketAddr>> {
        self.known.load_full()
    }

    pub(in crate::upstream) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(in crate::upstream) fn contains(&self, address: SocketAddr) -> bool {
        self.known.load().contains(&address)
    }

    /// Looks the name up. Known addresses stay if that fails.
    pub(in crate::upstream) async fn refresh(&self) -> io::Result<()> {
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
    pub(in crate::upstream) fn pretend(&self, addresses: Vec<SocketAddr>) {
        self.known.store(Arc::new(addresses));
        self.changes.fetch_add(1, Ordering::Release);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_host_that_is_an_address_is_known_at_once() {
        for (host, expected) in [("127.0.0.1", "127.0.0.1:8899"), ("::1", "[::1]:8899")] {
            let addresses = ResolvedAddresses::new(host, 8899);
            addresses.refresh().await.unwrap();
            assert_eq!(*addresses.known(), [address(expected)]);
        }
    }

    #[test]
    fn a_failed_lookup_keeps_what_is_known() {
        let addresses = ResolvedAddresses::new("rpc.example", 443);
        let first = vec![address("192.0.2.2:443"), address("192.0.2.1:443")];
        addresses.replace(first).unwrap();
        let changes = addresses.changes();
        assert!(addresses.replace(Vec::new()).is_err());
        assert_eq!(addresses.known().len(), 2);
        assert_eq!(addresses.changes(), changes);
    }

    #[test]
    fn only_a_different_set_is_a_change() {
        let addresses = ResolvedAddresses::new("rpc.example", 443);
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
