//! State of the upstreams for `/status`. Contains no secret: of a URL only the origin.

mod hold_status;
mod unfit_reason;

use std::net::SocketAddr;
use std::sync::Arc;

use perijove_core::{BreakerState, Commitment, Slot};
use serde::Serialize;
use tokio::time::Instant;

use crate::limit::InClass;
use crate::solana::Priority;
use crate::upstream::health::cluster::ObservedCluster;
use crate::upstream::state::concurrency::ConcurrencyStatus;
use crate::upstream::state::upstream_policy::UpstreamPolicy;
use crate::upstream::{Health, Upstream};
use hold_status::HoldStatus;
use unfit_reason::{ErrorStatus, HoldsAndErrors, saturation};

/// All upstreams.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PoolStatus {
    pub genesis: Option<String>,
    pub tip: SlotStatus,
    pub upstreams: Vec<UpstreamStatus>,
}

/// The newest slot at each commitment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SlotStatus {
    pub processed: Option<Slot>,
    pub confirmed: Option<Slot>,
    pub finalized: Option<Slot>,
}

impl SlotStatus {
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
    /// Its state in a few words: its health with the cause, or what else keeps calls from it.
    /// `healthy` if nothing does.
    pub state: String,
    /// Why it is not healthy, or what else keeps calls from it.
    pub cause: Option<String>,
    /// What probably helps.
    pub cure: Option<&'static str>,
    /// Its HTTP version, `2` or `1.1`; unknown before the first connection.
    pub http: Option<&'static str>,
    /// How long its health has not changed.
    pub since_seconds: u64,
    /// The last error, whatever was served since.
    pub last_error: Option<ErrorStatus>,
    /// Its hold-offs.
    pub holds: Vec<HoldStatus>,
    /// Calls wait because all connections are in use, or did a moment ago.
    pub saturated: bool,
    pub breaker: &'static str,
    /// Until the breaker lets trial calls through.
    pub breaker_open_seconds: Option<u64>,
    /// How long it is held off as a whole.
    pub resting_seconds: Option<u64>,
    /// It refuses the gateway's key.
    pub key_refused: bool,
    /// The newest slots it has reported. What is known at a commitment also applies to the weaker
    /// ones.
    pub slots: SlotStatus,
    /// First slot of its history, as reported by the upstream.
    pub oldest_slot: Option<Slot>,
    /// How far back it is assumed to reach: `archive`, `presumed archive`, `oldest slot`, `unknown`
    /// or `none`.
    pub history: &'static str,
    /// Slots behind the others when last observed; unknown before it has reported a slot.
    pub lag: Option<u64>,
    pub genesis: Option<String>,
    pub latency_milliseconds: Option<f64>,
    /// Share of recent attempts that failed.
    pub failures: f32,
    pub in_flight: u32,
    /// Requests that its budget allows right now; `None` without a budget.
    pub budget_left: Option<u64>,
    /// Its budget itself.
    pub budget: Option<BudgetStatus>,
    /// The calls in flight that it serves well; `None` without `adaptive_concurrency`.
    pub concurrency: Option<ConcurrencyStatus>,
    pub connections_busy: usize,
    pub connections_idle: usize,
    /// HTTP/1.1 connections in use and calls that wait for one, by class, from the lowest.
    pub classes: [InClass; Priority::ALL.len()],
    pub addresses: Vec<String>,
    /// Methods it has refused lately.
    pub closed_methods: Vec<String>,
}

/// What an upstream may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BudgetStatus {
    pub requests: u64,
    pub per: &'static str,
    /// At once.
    pub burst: u32,
    /// Requests earned per hour.
    pub per_hour: Option<f64>,
    /// When it will be used up at the rate of the last minute; `None` if it will not.
    pub ends_seconds: Option<u64>,
}

impl BudgetStatus {
    fn of(upstream: &Upstream, now: Instant) -> Option<Self> {
        let rate = upstream.settings().budget.as_ref()?.rate;
        let live = upstream.state();
        let ends = live.budget_pace.ends(&live.budget, now);
        Some(Self {
            requests: rate.requests,
            per: rate.per.label(),
            burst: rate.burst,
            per_hour: live.budget.per_hour(),
            ends_seconds: ends.map(|ends| ends.as_secs()),
        })
    }
}

impl PoolStatus {
    pub(in crate::upstream) fn of(
        upstreams: &[Arc<Upstream>],
        cluster: &ObservedCluster,
        policy: &UpstreamPolicy,
        now: Instant,
    ) -> Self {
        Self {
            genesis: cluster.genesis().as_deref().cloned(),
            tip: SlotStatus::of(|commitment| cluster.tip(commitment, now)),
            upstreams: upstreams
                .iter()
                .map(|upstream| UpstreamStatus::of(upstream, policy, now))
                .collect(),
        }
    }
}

/// Why an upstream still counts as failing.
const RECOVERING: &str = "its probes succeed again, but not yet enough of them in a row";

/// A state of health with the short form of its cause.
fn because(health: Health, short: Option<&str>) -> String {
    match short {
        Some(short) => format!("{} ({short})", health.label()),
        None => health.label().to_owned(),
    }
}

fn texts(addresses: &[SocketAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

impl UpstreamStatus {
    fn of(upstream: &Upstream, policy: &UpstreamPolicy, now: Instant) -> Self {
        let live = upstream.state();
        let (breaker, open) = {
            let breaker = live.breaker.lock();
            (breaker.shown(), breaker.open_for(now))
        };
        let held = HoldsAndErrors::of(live, now);
        let (mut cause, short, mut cure) = live.cause();
        let budget_left = live.budget.left(now);
        let (saturated, spent) = (live.saturation.lasts(), budget_left == Some(0));
        let concurrency = live.concurrency.status(now);
        let waits = saturated.then(|| saturation(concurrency));
        if live.health() == Health::Healthy
            && let Some(reason) = held.reason(breaker, waits, spent)
        {
            (cause, cure) = (Some(reason.cause), Some(reason.cure));
        } else if live.health() == Health::Failing && cause.is_none() {
            cause = Some(RECOVERING.to_owned());
            cure = Some("nothing to do: it will be back in a moment");
        }
        let state = match (live.health(), breaker) {
            (Health::Healthy, BreakerState::Closed) => held.state(saturated, spent),
            (Health::Healthy, open) => format!("breaker {}", open.label()),
            (health, _) => because(health, short.as_deref()),
        };
        let latency = live.score.latency(false);
        let (connections_busy, connections_idle) = live.open_connections();
        Self {
            id: upstream.id().to_owned(),
            tier: upstream.tier().label(),
            origin: upstream.settings().url.to_string(),
            health: live.health().label(),
            state,
            cause,
            cure,
            http: live.http(),
            since_seconds: now.saturating_duration_since(live.since()).as_secs(),
            last_error: held.last_error,
            holds: held.holds,
            saturated,
            breaker: breaker.label(),
            breaker_open_seconds: open.map(|open| open.as_secs()),
            resting_seconds: held.resting.map(|resting| resting.as_secs()),
            key_refused: held.key_refused,
            slots: SlotStatus::of(|commitment| live.slot(commitment)),
            oldest_slot: live.oldest(),
            history: upstream.reach(now).label(),
            lag: live.slot(Commitment::Processed).map(|_known| live.lag()),
            genesis: live.genesis(),
            latency_milliseconds: latency.map(|latency| latency.as_secs_f64() * 1e3),
            failures: live.score.failure_share(now, &policy.selection),
            in_flight: live.score.in_flight(),
            budget_left,
            budget: BudgetStatus::of(upstream, now),
            concurrency,
            connections_busy,
            connections_idle,
            classes: live.connections.by_class(),
            addresses: texts(&live.addresses.known()),
            closed_methods: held.closed_methods,
        }
    }
}
