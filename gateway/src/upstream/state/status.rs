//! State of the upstreams for `/status`. Contains no secret: of a URL only the origin.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use perijove_core::{Commitment, Slot};
use serde::Serialize;
use tokio::time::Instant;

use crate::limit::InClass;
use crate::solana::{FaultKind, Priority};
use crate::upstream::health::cluster::ObservedCluster;
use crate::upstream::health::diagnosis::{Diagnosis, cure};
use crate::upstream::state::concurrency::ConcurrencyStatus;
use crate::upstream::state::errors::RecentErrors;
use crate::upstream::state::hold_off::{Hold, HoldCause, is_unknown};
use crate::upstream::state::upstream_policy::UpstreamPolicy;
use crate::upstream::{BreakerState, EndpointState, Health, Upstream};

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

/// An error of an upstream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorStatus {
    pub method: String,
    pub fault: &'static str,
    pub http_status: Option<u16>,
    pub seconds_ago: u64,
}

/// A hold-off.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HoldStatus {
    /// `None`: all of them.
    pub method: Option<String>,
    pub cause: &'static str,
    /// Its last error for such a call.
    pub fault: Option<&'static str>,
    pub http_status: Option<u16>,
    /// Since when it has been answering like that.
    pub since_seconds: Option<u64>,
    /// Until a call is sent again; `None` if the next one is.
    pub seconds_left: Option<u64>,
    /// It does not refuse the method: others are faster.
    #[serde(skip)]
    slow: bool,
    /// It breaks off its answers.
    #[serde(skip)]
    broken_off: bool,
    /// Nor does it here: its answers are old.
    #[serde(skip)]
    late: bool,
}

impl HoldStatus {
    fn of(hold: &Hold<'_>, errors: &RecentErrors, now: Instant) -> Self {
        let error = match hold.method {
            Some(method) => errors.of(method),
            None => errors.last().map(|(_, error)| error),
        };
        let since = error.map(|error| now.saturating_duration_since(error.since));
        Self {
            method: hold.method.map(str::to_owned),
            cause: hold.cause.label(),
            fault: error.map(|error| error.kind.label()),
            http_status: error.and_then(|error| error.status),
            since_seconds: since.map(|since| since.as_secs()),
            seconds_left: hold.left.map(|left| left.as_secs()),
            slow: hold.cause == HoldCause::Refused
                && error.is_none_or(|error| error.kind.is_timeout()),
            broken_off: hold.cause == HoldCause::BrokenOff,
            late: hold.cause == HoldCause::Refused
                && error.is_some_and(|error| error.kind == FaultKind::BehindTip),
        }
    }

    /// In a few words.
    fn summary(&self) -> String {
        let status = self.http_status.filter(|status| *status != 200);
        let detail = status.map_or_else(String::new, |status| format!(" (HTTP {status})"));
        match &self.method {
            None => format!("{}{detail}", self.cause),
            Some(method) if self.slow => format!("slow at {method}"),
            Some(method) if self.broken_off => format!("breaks off {method}"),
            Some(method) if self.late => format!("behind at {method}"),
            Some(method) => format!("refuses {method}{detail}"),
        }
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

/// The cure if the gateway itself holds back.
const RAISE_BUDGET: &str = "raise its `budget`, or add an upstream";

/// Why an upstream still counts as failing.
const RECOVERING: &str = "its probes succeed again, but not yet enough of them in a row";

/// The hold-offs of an upstream, and its last errors.
struct HoldsAndErrors {
    holds: Vec<HoldStatus>,
    last_error: Option<ErrorStatus>,
    last_kind: Option<FaultKind>,
    /// The cause of the first of `holds`.
    hold: Option<HoldCause>,
    resting: Option<Duration>,
    key_refused: bool,
    closed_methods: Vec<String>,
}

/// What speaks against an upstream whose probes are good.
struct UnfitReason {
    cause: String,
    cure: &'static str,
}

impl HoldsAndErrors {
    fn of(live: &EndpointState, now: Instant) -> Self {
        let hold_off = live.hold_off.lock();
        let errors = live.errors.lock();
        // Refusing a method that a client has made up says nothing about the upstream.
        let made_up = |hold: &Hold<'_>| {
            hold.cause == HoldCause::Closed && hold.method.is_some_and(is_unknown)
        };
        let mut holds = hold_off.holds(now);
        holds.retain(|hold| !made_up(hold));
        Self {
            holds: holds
                .iter()
                .map(|hold| HoldStatus::of(hold, &errors, now))
                .collect(),
            last_kind: errors.last().map(|(_, error)| error.kind),
            hold: holds.first().map(|hold| hold.cause),
            last_error: errors.last().map(|(method, error)| ErrorStatus {
                method: method.to_owned(),
                fault: error.kind.label(),
                http_status: error.status,
                seconds_ago: now.saturating_duration_since(error.at).as_secs(),
            }),
            resting: hold_off.resting(now),
            key_refused: hold_off.refuses_key(now),
            closed_methods: hold_off.closed_methods(now),
        }
    }

    /// The state of an otherwise healthy upstream.
    fn state(&self, saturated: bool, spent: bool) -> String {
        match self.holds.first() {
            Some(hold) => hold.summary(),
            None if spent => "budget spent".to_owned(),
            None if saturated => "saturated".to_owned(),
            None => Health::Healthy.label().to_owned(),
        }
    }

    /// Its last error, and what helps against that.
    fn last(&self) -> Option<UnfitReason> {
        let (error, kind) = (self.last_error.as_ref()?, self.last_kind?);
        Some(UnfitReason {
            cause: Diagnosis::of(kind, error.http_status)
                .on(&error.method)
                .to_string(),
            cure: cure(kind),
        })
    }

    /// Why its breaker does not let calls through.
    fn broken(&self) -> UnfitReason {
        let UnfitReason { cause, cure } = self.last().unwrap_or_else(|| UnfitReason {
            cause: "not recorded".to_owned(),
            cure: "wait for its trial calls",
        });
        UnfitReason {
            cause: format!("too many calls failed; the last error was {cause}"),
            cure,
        }
    }

    /// Why calls are kept from it for a while.
    fn held(&self) -> Option<UnfitReason> {
        let (hold, cause) = (self.holds.first()?, self.hold?);
        let what = hold.method.as_deref().unwrap_or("all calls");
        let status = hold.http_status.filter(|status| *status != 200);
        let with = status.map_or_else(String::new, |status| format!(" with HTTP {status}"));
        let (says, cure) = match cause {
            HoldCause::Key => (
                "refuses the gateway's key for",
                cure(FaultKind::Unauthorized),
            ),
            HoldCause::RateLimited => ("limits the rate of", cure(FaultKind::RateLimited)),
            HoldCause::Credits => {
                let cure = cure(FaultKind::CreditsExhausted);
                ("has no credits left for", cure)
            }
            HoldCause::Closed => ("does not serve", cure(FaultKind::MethodDisabled)),
            HoldCause::Refused if hold.slow => (
                "is slower than others at",
                cure(FaultKind::FirstByteTimeout),
            ),
            HoldCause::BrokenOff => ("breaks off large answers to", cure(FaultKind::Truncated)),
            HoldCause::Refused => {
                let last = self.last();
                let cure = last.map_or("see last_error", |last| last.cure);
                ("refuses what others serve:", cure)
            }
        };
        let cause = format!("it {says} {what}{with}");
        Some(UnfitReason { cause, cure })
    }

    /// What keeps calls from an upstream whose probes are good.
    fn reason(
        &self,
        breaker: BreakerState,
        saturated: Option<UnfitReason>,
        spent: bool,
    ) -> Option<UnfitReason> {
        if breaker != BreakerState::Closed {
            return Some(self.broken());
        }
        let spent = || {
            spent.then(|| UnfitReason {
                cause: "its `budget` is spent for now".to_owned(),
                cure: RAISE_BUDGET,
            })
        };
        self.held().or_else(spent).or(saturated)
    }
}

/// Why calls wait for it.
fn saturation(concurrency: Option<ConcurrencyStatus>) -> UnfitReason {
    let limited = concurrency.filter(|one| one.limit < one.ceiling);
    limited.map_or_else(
        || UnfitReason {
            cause: "calls wait because all connections to it are in use".to_owned(),
            cure: cure(FaultKind::Saturated),
        },
        |one| UnfitReason {
            cause: format!(
                "calls wait because it serves no more than {} well at once",
                one.limit
            ),
            cure: "add an upstream, or give it more resources",
        },
    )
}

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
