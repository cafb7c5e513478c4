//! Whether calls can be served at all, and what a node in the gateway's place would say of its health.

use std::sync::Arc;
use std::time::Duration;

use perijove_core::Commitment;
use tokio::time::Instant;

use super::obstacle::admission;
use crate::solana::Priority;
use crate::upstream::Upstream;
use crate::upstream::health::SelfReport;
use crate::upstream::health::tracker::Health;
use crate::upstream::state::breaker::Admission;
use crate::upstream::state::hold::{Hold, HoldCause};

#[cfg(test)]
mod tests;

/// A node calls itself healthy up to this many slots behind the cluster (Agave's default of
/// `--health-check-slot-distance`).
const AGAVE_HEALTHY_LAG: u64 = 128;

/// A rate limit that is over so soon does not make the gateway unready: whoever is told to look
/// elsewhere would come back later than that.
const SHORT: Duration = Duration::from_secs(5);

/// What a node says of its health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthReport {
    Ok,
    /// So many slots behind the cluster.
    Behind(u64),
    Unknown,
}

impl HealthReport {
    /// The best that any upstream can say that serves.
    pub(super) fn of(upstreams: &[Arc<Upstream>], now: Instant) -> Self {
        let serving = upstreams.iter().filter(|one| is_open(one, now));
        let worth = |report: &Self| match report {
            Self::Ok => (0, 0),
            Self::Behind(slots) => (1, *slots),
            Self::Unknown => (2, 0),
        };
        let said = serving.map(|one| Self::of_one(one, now));
        said.min_by_key(worth).unwrap_or(Self::Unknown)
    }

    fn of_one(upstream: &Upstream, now: Instant) -> Self {
        let live = upstream.state();
        let refuses = refuses_all(upstream, now);
        match (live.health(), live.lag()) {
            // How far the gateway finds it behind comes first, as with the verdict itself.
            (Health::Healthy | Health::Lagging, lag) if lag > AGAVE_HEALTHY_LAG => {
                Self::Behind(lag)
            }
            (Health::Healthy | Health::Lagging, _) if !refuses => Self::Ok,
            (Health::Stopped, lag) if lag > 0 => Self::Behind(lag),
            (Health::Healthy | Health::Lagging | Health::Unwell, _) => match live.word() {
                SelfReport::Unwell {
                    behind: Some(slots),
                } => Self::Behind(slots),
                SelfReport::Unwell { behind: None } | SelfReport::Well => Self::Unknown,
            },
            _ => Self::Unknown,
        }
    }

    /// The word that a node answers to `GET /health`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Behind(_) => "behind",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether any upstream is likely to answer ordinary calls, and may be sent them. Lagging or standing
/// still does not count against it: the least bad serves.
pub(super) fn can_serve(upstreams: &[Arc<Upstream>], now: Instant) -> bool {
    let mut serving = upstreams.iter().filter(|one| is_open(one, now));
    serving.any(|one| !refuses_all(one, now))
}

/// Whether it refuses every call because it is behind or unhealthy.
fn refuses_all(upstream: &Upstream, now: Instant) -> bool {
    let live = upstream.state();
    // It may refuse everything with that, until it has answered a probe.
    let unknown = live.health() == Health::Unwell && live.slot(Commitment::Processed).is_none();
    let turned_away = live.turned_away.lock();
    unknown || turned_away.refuses_all(live.is_unwell(), now)
}

/// Whether an upstream is reached, and may be sent ordinary calls. An open breaker counts only where
/// probes are rare; elsewhere they show earlier whether the upstream is back.
fn is_open(upstream: &Upstream, now: Instant) -> bool {
    let answers = !matches!(
        upstream.health(),
        Health::Unprobed | Health::Failing | Health::Implausible | Health::WrongCluster
    );
    let broken = || upstream.settings().metered && admission(upstream, now) == Admission::Refused;
    answers && !broken() && serves_any_ordinary(upstream, now)
}

/// Whether one of `health.ready_for` may be sent to it, now or in a moment.
fn serves_any_ordinary(upstream: &Upstream, now: Instant) -> bool {
    let member = &upstream.member;
    let hold_off = member.live.hold_off.lock();
    let holds = hold_off.holds(now);
    let is_held = |method: &str| {
        let mut of_it = holds
            .iter()
            .filter(|hold| hold.method.is_none_or(|held| held == method));
        of_it.any(keeps_away)
    };
    let is_spent = |method: &str| {
        let budget = &member.live.budget;
        // Only then: asking how long it takes counts as demand.
        let wait = (budget.left(now) == Some(0))
            .then(|| budget.wait(method, Priority::Critical, now))
            .flatten();
        wait.is_some_and(|wait| wait > SHORT)
    };
    let mut ordinary = member.policy.health.ready_for.iter();
    ordinary.any(|method| member.methods.allow(method) && !is_held(method) && !is_spent(method))
}

/// Whether a hold-off keeps calls away for longer than a moment, whatever the others do.
fn keeps_away(hold: &Hold<'_>) -> bool {
    match hold.cause {
        HoldCause::Key | HoldCause::Credits | HoldCause::Closed => true,
        HoldCause::RateLimited => hold.left.is_some_and(|left| left > SHORT),
        // Where nobody else serves it, it is asked all the same.
        HoldCause::Refused | HoldCause::BrokenOff => false,
    }
}
