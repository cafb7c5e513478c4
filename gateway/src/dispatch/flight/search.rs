//! Whether a call of a method that nobody knows goes on to another upstream.

use tokio::time::Instant;

use super::Flight;
use crate::dispatch::Exchange;
use crate::solana::{Extension, FaultKind, Method};

impl Flight<'_> {
    /// Whether, after this fault, others may be asked: always, unless the first upstream does not
    /// know a strange method and enough of such were looked for in vain.
    pub(super) fn searches_on(&mut self, kind: FaultKind, now: Instant) -> bool {
        let refused = matches!(kind, FaultKind::MethodNotFound | FaultKind::MethodDisabled);
        if !refused || self.searched || !self.exchange.is_strange() {
            return true;
        }
        // Who has refused it before is not asked again, and costs nothing.
        let live = self.exchange.live;
        let searches = self.candidates.any_left(now) && live.strangers.may_search(now);
        live.metrics.unknown_method(searches);
        self.searched = searches;
        searches
    }

    /// An upstream has answered the call: if the method was strange, it is no more.
    pub(super) fn is_served(&self) {
        if self.exchange.is_strange() {
            let strangers = &self.exchange.live.strangers;
            strangers.serves(self.exchange.call.method(), self.searched);
        }
    }
}

impl Exchange<'_> {
    /// Whether neither Agave nor a provider's documentation, neither the configuration nor
    /// experience knows the method.
    pub(super) fn is_strange(&self) -> bool {
        if !matches!(self.class.method, Method::Other | Method::NamedAsRead) {
            return false;
        }
        let method = self.call.method();
        Extension::of(method) != Some(Extension::Write)
            && !self.pool.names(method)
            && !self.live.strangers.is_served(method)
    }
}
