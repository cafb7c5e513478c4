//! Nodes as attempts see them.

use std::sync::Arc;

use perijove_core::Slot;
use tokio::time::Instant;

use crate::config::{Propagate, Timeouts};
use crate::dispatch::peer::{AttemptWitness, Choices, ChosenPeer, Peer};
use crate::solana::Capability;
use crate::upstream::{
    AttemptLimits, Candidate, Candidates, FailureReporter, Health, Outlook, Paused, ReplyTo,
    TransportFault, Upstream, WireRequest, attempt,
};

impl Peer for Upstream {
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
        self.health() == Health::Healthy
    }

    fn hedged(&self) {
        self.state().hedged();
    }

    fn won_hedge(&self) {
        self.state().won_hedge();
    }
}

impl ChosenPeer for Candidate {
    type Peer = Upstream;
    type Witness = FailureReporter;

    fn peer(&self) -> &Arc<Upstream> {
        self.upstream()
    }

    fn witness(&self) -> FailureReporter {
        self.witness()
    }

    fn attempt<R: WireRequest>(
        &self,
        request: &R,
        limits: &AttemptLimits,
    ) -> impl Future<Output = Result<ReplyTo<R>, TransportFault>> + Send {
        attempt(self, request, limits)
    }

    #[cfg(test)]
    fn write(&self) {
        self.write();
    }
}

impl AttemptWitness for FailureReporter {
    type Peer = Upstream;

    fn peer(&self) -> &Arc<Upstream> {
        self.upstream()
    }

    fn is_written(&self) -> bool {
        self.is_written()
    }
}

impl Choices for Candidates<'_> {
    type Chosen = Candidate;

    fn next(&mut self, now: Instant) -> Option<Candidate> {
        self.next(now)
    }

    fn any_hedge(&self, now: Instant, charging: bool) -> bool {
        self.any_hedge(now, charging)
    }

    fn next_hedge(&mut self, now: Instant, charging: bool) -> Option<Candidate> {
        self.next_hedge(now, charging)
    }

    fn outlook(&self, now: Instant) -> Outlook {
        self.outlook(now)
    }

    fn once_more(self) -> Self {
        self.once_more()
    }

    fn return_again(&mut self, peer: &Arc<Upstream>) {
        self.return_again(peer);
    }

    fn narrow(&mut self, capability: Capability) {
        self.narrow(capability);
    }

    fn aim_at(&mut self, floor: Option<Slot>, now: Instant) -> bool {
        self.aim_at(floor, now)
    }

    fn paused(&self, now: Instant) -> Paused {
        self.paused(now)
    }
}
