//! The upstreams of Jupiter's API as attempts see them.

use std::sync::Arc;

use perijove_core::Slot;
use tokio::time::Instant;

use crate::config::{Propagate, Timeouts};
use crate::dispatch::peer::{AttemptWitness, Choices, ChosenPeer, Peer};
use crate::solana::Capability;
use crate::upstream::{
    ApiCandidate, ApiChoices, ApiFailureReporter, ApiUpstream, AttemptLimits, Outlook, Paused,
    ReplyTo, TransportFault, WireRequest,
};

impl Peer for ApiUpstream {
    fn name(&self) -> &Arc<str> {
        self.name()
    }

    fn address(&self) -> (&str, u16) {
        let url = &self.settings().url;
        (url.host(), url.port())
    }

    fn timeouts(&self) -> &Timeouts {
        &self.settings().timeouts
    }

    fn propagate(&self) -> Propagate {
        self.settings().propagate
    }

    fn is_healthy(&self) -> bool {
        self.is_fit(Instant::now())
    }
}

impl ChosenPeer for ApiCandidate {
    type Peer = ApiUpstream;
    type Witness = ApiFailureReporter;

    fn peer(&self) -> &Arc<ApiUpstream> {
        self.upstream()
    }

    fn witness(&self) -> ApiFailureReporter {
        self.witness()
    }

    fn attempt<R: WireRequest>(
        &self,
        request: &R,
        limits: &AttemptLimits,
    ) -> impl Future<Output = Result<ReplyTo<R>, TransportFault>> + Send {
        self.call(request, limits)
    }

    #[cfg(test)]
    fn write(&self) {
        self.write();
    }
}

impl AttemptWitness for ApiFailureReporter {
    type Peer = ApiUpstream;

    fn peer(&self) -> &Arc<ApiUpstream> {
        self.upstream()
    }

    fn is_written(&self) -> bool {
        self.is_written()
    }
}

impl Choices for ApiChoices<'_> {
    type Chosen = ApiCandidate;

    fn next(&mut self, now: Instant) -> Option<ApiCandidate> {
        self.next(now)
    }

    /// Whoever costs money may be asked as well: its hedges are always paid for.
    fn any_hedge(&self, now: Instant, _charging: bool) -> bool {
        self.any_fit(now)
    }

    fn next_hedge(&mut self, now: Instant, _charging: bool) -> Option<ApiCandidate> {
        self.next(now)
    }

    fn outlook(&self, now: Instant) -> Outlook {
        self.outlook(now)
    }

    fn once_more(self) -> Self {
        self.once_more()
    }

    fn return_again(&mut self, peer: &Arc<ApiUpstream>) {
        self.return_again(peer);
    }

    /// All have the same capabilities.
    fn narrow(&mut self, _capability: Capability) {}

    /// Sessions see no slots of Jupiter's.
    fn aim_at(&mut self, _floor: Option<Slot>, now: Instant) -> bool {
        self.any_fit(now)
    }

    fn paused(&self, now: Instant) -> Paused {
        self.paused(now)
    }
}
