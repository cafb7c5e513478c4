//! The certificate that a TLS listener presents: replaced while it serves, without a lock for
//! handshakes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// What one listener shows now, whatever name is asked for.
#[derive(Debug)]
pub struct ServedIdentity(ArcSwap<CertifiedKey>);

impl ServedIdentity {
    /// Presents this certificate until it is replaced.
    pub fn new(certified: Arc<CertifiedKey>) -> Self {
        Self(ArcSwap::new(certified))
    }

    /// Presents another one from now on. Existing connections keep theirs.
    pub fn replace(&self, certified: Arc<CertifiedKey>) {
        self.0.store(certified);
    }
}

impl ResolvesServerCert for ServedIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}
