//! What is known of the upstreams, in a form for people: `/status` shows it. Holds no secret: of
//! a URL only the origin.

use std::sync::Arc;

use perijove_core::{Commitment, Slot};
use serde::Serialize;
use tokio::time::Instant;

use crate::upstream::Upstream;
use crate::upstream::cluster::Cluster;
use crate::upstream::member::Policy;

/// All upstreams.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PoolStatus {
    pub genesis: Option<String>,
    pub tip: Slots,
    pub upstreams: Vec<UpstreamStatus>,
}

/// The newest slot at each commitment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Slots {
    pub processed: Option<Slot>,
    pub confirmed: Option<Slot>,
    pub finalized: Option<Slot>,
}

impl Slots {
    fn of(slot: impl Fn(Commitment) -> Option<Slot>) -> Self {
        Self {
            processed: slot(Commitment::Processed),
            confirmed: slot(Commitment::Confirmed),
            finalized: slot(Commitment::Finalized),
        }
    }
}

/// One upstream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpstreamStatus {
    pub id: String,
    pub tier: &'static str,
    /// Scheme, host and port.
    pub origin: String,
    pub health: &'static str,
    /// Why it is not healthy.
    pub cause: Option<String>,
    pub breaker: &'static str,
    /// Until the breaker lets trial calls through.
    pub breaker_open_seconds: Option<u64>,
    /// How long it wants to be left alone.
    pub resting_seconds: Option<u64>,
    /// It does not take the gateway's key.
    pub key_refused: bool,
    /// The newest slots it has shown. What is known at a commitment holds for the weaker ones.
    pub slots: Slots,
    /// Where its history begins, by what it says of itself.
    pub oldest_slot: Option<Slot>,
    /// How far back it is believed to reach: `archive`, `presumed archive`, `oldest slot`, `unknown`
    /// or `none`.
    pub history: &'static str,
    /// Slots behind the others when it was last looked at.
    pub lag: u64,
    pub genesis: Option<String>,
    pub latency_milliseconds: Option<f64>,
    /// Share of recent attempts that failed.
    pub failures: f32,
    pub in_flight: u32,
    pub connections_busy: usize,
    pub connections_idle: usize,
    pub addresses: Vec<String>,
    /// Methods it has refused lately.
    pub closed_methods: Vec<String>,
}

impl PoolStatus {
    pub(super) fn of(
        upstreams: &[Arc<Upstream>],
        cluster: &Cluster,
        policy: &Policy,
        now: Instant,
    ) -> Self {
        Self {
            genesis: cluster.genesis().as_deref().cloned(),
            tip: Slots::of(|commitment| cluster.tip(commitment, now)),
            upstreams: upstreams
                .iter()
                .map(|upstream| UpstreamStatus::of(upstream, policy, now))
                .collect(),
        }
    }
}

impl UpstreamStatus {
    fn of(upstream: &Upstream, policy: &Policy, now: Instant) -> Self {
        let live = upstream.live();
        let (breaker, open) = {
            let breaker = live.breaker.lock();
            (breaker.shown(), breaker.open_for(now))
        };
        let (resting, key_refused, closed_methods) = {
            let hold_off = live.hold_off.lock();
            let closed_methods = hold_off.closed_methods(now);
            (
                hold_off.resting(now),
                hold_off.refuses_key(now),
                closed_methods,
            )
        };
        let latency = live.score.latency(false);
        let (connections_busy, connections_idle) = live.open_connections();
        Self {
            id: upstream.id().to_owned(),
            tier: upstream.tier().label(),
            origin: upstream.settings().url.to_string(),
            health: live.health().label(),
            cause: live.cause(),
            breaker: breaker.label(),
            breaker_open_seconds: open.map(|open| open.as_secs()),
            resting_seconds: resting.map(|resting| resting.as_secs()),
            key_refused,
            slots: Slots::of(|commitment| live.slot(commitment)),
            oldest_slot: live.oldest(),
            history: upstream.reach(now).label(),
            lag: live.lag(),
            genesis: live.genesis(),
            latency_milliseconds: latency.map(|latency| latency.as_secs_f64() * 1e3),
            failures: live.score.failure_share(now, &policy.selection),
            in_flight: live.score.in_flight(),
            connections_busy,
            connections_idle,
            addresses: live
                .addresses
                .known()
                .iter()
                .map(ToString::to_string)
                .collect(),
            closed_methods,
        }
    }
}
