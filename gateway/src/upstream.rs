//! Upstreams: the endpoints that serve calls, the connections to them, single attempts, their
//! health, and which of them a call is sent to.
//!
//! Besides `edge` and `app` this is the only layer that knows Pingora: its transport connectors
//! open the connections, and one of its load balancers per upstream resolves the name, runs the
//! probes and spreads connections over the addresses. Identity, health and quality of an upstream
//! are decided here, because in Pingora a backend is only an address and a weight.
//!
//! Retries, hedges and deadlines belong to [`crate::dispatch`]; what an answer means to
//! [`crate::solana`].
//!
//! ```text
//! Pool ── Upstream ── Member ── EndpointState      survives reloads: score, breaker, hold-off,
//!   │        │          │                          tracker, connections, addresses
//!   │        │          ├─ ConnectSettings         endpoint, TLS, timeouts of the present settings
//!   │        │          └─ ObservedCluster         genesis hash and tip, from all members
//!   │        └─ Balancer ── Probe                  background: DNS, health checks
//!   └─ Candidates ── Candidate ── attempt ── UpstreamReply
//! ```

mod api;
pub mod client;
mod health;
mod http1;
mod http2;
mod peer;
mod selection;
mod state;
#[cfg(test)]
pub(crate) mod testing;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use perijove_core::essential::essential;
use perijove_core::{Commitment, Slot};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::config;
use crate::upstream::health::address_check::AddressCheck;
use crate::upstream::health::discovery::Discovery;
use crate::upstream::health::probe::Probe;
use crate::upstream::state::member::Member;
use crate::upstream::transport::balance::Balancer;

pub use api::{
    ApiCandidate, ApiChoice, ApiChoices, ApiFailureReporter, ApiFitness, ApiMetrics, ApiPool,
    ApiStatus, ApiUpstream, priority,
};
pub use client::reply::{AttemptLimits, ReplyBody, UpstreamReply};
pub use client::request::ApiRequest;
pub use client::stream::{CHUNK, UpstreamBodyStream};
pub use client::{ReplyTo, RpcReply, RpcRequest, WireRequest};
pub(crate) use health::diagnosis::cure;
pub use health::tracker::Health;
pub use peer::{AttemptWitness, Choices, ChosenPeer, Outlook, Paused, Peer};
pub use selection::pool::{Pool, PoolError, SharedParts};
pub use selection::readiness::HealthReport;
pub use selection::requirements::CallRequirements;
pub use selection::select::{Candidate, Candidates, FailureReporter};
pub use state::attempt_outcome::AttemptOutcome;
pub use state::endpoint_state::EndpointState;
pub use state::history::{DeeperUpstreams, HistoryReach};
pub use state::hold::HoldCause;
pub use state::metrics::UpstreamMetrics;
pub use state::status::{PoolStatus, UpstreamStatus};
pub use transport::connector::{Connectors, TrustError};
pub use transport::endpoint::{BadHeader, instance};
pub use transport::fault::TransportFault;
pub use transport::hints::retry_after;
pub use transport::socket::Duplex;

/// One configured endpoint. It is replaced when its settings change; what was learned about it
/// ([`EndpointState`]) stays as long as it is the same endpoint.
pub struct Upstream {
    pub(in crate::upstream) member: Arc<Member>,
    pub(in crate::upstream) balancer: Arc<Balancer>,
    name: Arc<str>,
    background: Mutex<Option<Background>>,
}

/// The tasks of one upstream; they end with it.
struct Background(AbortHandle);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Upstream {
    fn new(member: Arc<Member>) -> Self {
        Self {
            balancer: Arc::new(Balancer::new(
                Box::new(Discovery::of(&member)),
                member.settings.dns_refresh,
                Box::new(AddressCheck::of(&member)),
                member.settings.probe.interval,
            )),
            name: member.settings.id.as_str().into(),
            member,
            background: Mutex::new(None),
        }
    }

    /// A subscription has reported a new slot. A node reports a slot when it begins, so this may be
    /// one ahead of its `getSlot`, for part of a slot.
    pub fn tells_slot(&self, slot: Slot) {
        let now = Instant::now();
        let live = &self.member.live;
        if live
            .slot(Commitment::Processed)
            .is_none_or(|known| slot > known)
        {
            live.slot_feed.subscription_told(now);
        }
        self.member
            .heard_slot(Commitment::Processed, slot, Duration::ZERO, now);
    }

    /// A subscription has told the state at a slot: this commitment has reached it there.
    pub fn tells_of(&self, slot: Slot, commitment: Commitment) {
        let known = self.member.live.stand().seen(commitment);
        if known.is_none_or(|known| slot > known.slot) {
            let now = Instant::now();
            self.member
                .heard_slot(commitment, slot, Duration::ZERO, now);
        }
    }

    /// Charges its budget for something sent outside of calls, by the name of the method.
    pub fn charge(&self, method: &str) {
        self.state().budget.charge(method, Instant::now());
    }

    /// The name in metrics, logs and the reply header.
    pub fn id(&self) -> &str {
        &self.member.settings.id
    }

    /// The same, shared.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether it was verified to belong to the cluster with this genesis hash.
    pub fn is_of(&self, genesis: &str) -> bool {
        self.member.live.genesis().as_deref() == Some(genesis)
    }

    pub fn tier(&self) -> config::Tier {
        self.member.settings.tier
    }

    /// Seconds since 1970.
    pub fn unix_now(&self) -> u64 {
        self.member.clock.seconds()
    }

    pub fn settings(&self) -> &config::UpstreamSettings {
        &self.member.settings
    }

    pub fn state(&self) -> &Arc<EndpointState> {
        &self.member.live
    }

    /// It answered just now from this slot, which is older than expected.
    pub fn stands_at(&self, slot: Slot, commitment: Commitment) {
        let live = &self.member.live;
        live.stands_at(slot, commitment, Instant::now());
    }

    /// Whether an answer of it that was read at this slot is further behind the tip than an upstream
    /// may be.
    pub fn is_outdated(&self, slot: Slot, commitment: Commitment) -> bool {
        self.member.is_outdated(slot, commitment, Instant::now())
    }

    /// Whether the cluster cannot have reached this slot by now.
    pub fn is_impossible(&self, slot: Slot) -> bool {
        self.member.is_impossible(slot)
    }

    /// Whether it was found to belong to another cluster: its answers mean nothing here.
    pub fn is_of_other_cluster(&self) -> bool {
        self.health() == Health::WrongCluster
    }

    /// What is known of its health.
    pub fn health(&self) -> Health {
        self.member.live.health()
    }

    /// Starts name resolution and probes, unless they run already.
    fn start(&self, handle: &Handle) {
        let mut background = self.background.lock();
        if background.is_none() {
            let balancer = Arc::clone(&self.balancer);
            let member = Arc::clone(&self.member);
            let probe = Probe::new(Arc::clone(&self.member));
            let watching = async move {
                tokio::join!(
                    balancer.run(),
                    probe.answer_questions(),
                    probe.look_while_away(),
                    member.keep_house()
                );
            };
            let task = handle.spawn(essential("probes", watching));
            *background = Some(Background(task.abort_handle()));
        }
    }
}

impl Peer for Upstream {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn address(&self) -> (&str, u16) {
        let url = &self.settings().url;
        (url.host(), url.port())
    }

    fn timeouts(&self) -> &config::Timeouts {
        &self.settings().timeouts
    }

    fn propagate(&self) -> config::Propagate {
        self.settings().propagate
    }

    fn is_healthy(&self) -> bool {
        self.health() == Health::Healthy
    }

    fn hedged(&self) {
        self.state().metrics.hedged.inc();
    }

    fn won_hedge(&self) {
        self.state().metrics.hedge_won.inc();
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Upstream").field(&self.id()).finish()
    }
}
