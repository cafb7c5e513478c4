//! Whether a call of an unknown method goes on to another upstream.

use tokio::time::Instant;

use super::Attempts;
use crate::dispatch::Dispatch;
use crate::solana::{Extension, FaultKind, Method};

impl Attempts<'_> {
    /// Whether, after this fault, others may be asked: always, unless the first upstream does not
    /// know an unknown method and too many such searches found nothing.
    pub(super) fn searches_on(&mut self, kind: FaultKind, now: Instant) -> bool {
        let refused = matches!(kind, FaultKind::MethodNotFound | FaultKind::MethodDisabled);
        if !refused || self.searched || !self.dispatch.is_strange() {
            return true;
        }
        // Upstreams that have refused it before are not asked again, and cost nothing.
        let live = self.dispatch.state;
        let searches = self.candidates.any_left(now) && live.unknown_methods.may_search(now);
        live.metrics.unknown_method(searches);
        self.searched = searches;
        searches
    }

    /// An upstream has answered the call: if the method was unknown, it no longer is.
    pub(super) fn is_served(&self) {
        if self.dispatch.is_strange() {
            let unknown_methods = &self.dispatch.state.unknown_methods;
            unknown_methods.serves(self.dispatch.call.method(), self.searched);
        }
    }
}

impl Dispatch<'_> {
    /// Whether the method is unknown to Agave, to providers' documentation, to the configuration
    /// and from experience.
    pub(super) fn is_strange(&self) -> bool {
        if !matches!(self.class.method, Method::Other | Method::NamedAsRead) {
            return false;
        }
        let method = self.call.method();
        Extension::of(method) != Some(Extension::Write)
            && !self.pool.names(method)
            && !self.state.unknown_methods.is_served(method)
    }
}
