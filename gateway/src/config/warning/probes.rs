//! Budgets of which probes, as configured, would take a noticeable part.

use std::time::Duration;

use perijove_core::settings::Reading;

use crate::config::{BudgetSettings, Config, JupiterUpstream, PROBE_SHARE, UpstreamSettings};

/// The question of most probes, and how many there are in a round that is not sparing.
const QUESTION: &str = "getSlot";
const QUESTIONS: u32 = 4;

/// What an upstream is asked before it gets calls: which cluster it belongs to, and for its slot.
const FIRST_QUESTIONS: usize = 2;

/// A delay of the first calls that nobody minds.
const NOTICED: Duration = Duration::from_secs(1);

pub(super) fn look_at_probes(config: &Config, reading: &Reading<'_>) {
    for upstream in &config.upstreams {
        if let Some(budget) = &upstream.budget {
            look_at(upstream, budget, &config.upstreams, reading);
        }
    }
    let health = &config.jupiter.health;
    for upstream in &config.jupiter.upstreams {
        let Some(budget) = budget_of(upstream, &config.jupiter.upstreams) else {
            continue;
        };
        let (key, interval) = if upstream.metered {
            ("metered_interval", health.metered_interval)
        } else {
            ("interval", health.interval)
        };
        let is_same = |other: &&JupiterUpstream| {
            other.id == upstream.id
                || (other.organisation.is_some() && other.organisation == upstream.organisation)
        };
        let sharers = config.jupiter.upstreams.iter().filter(is_same).count();
        let pace = pace(budget, sharers);
        if pace > interval {
            reading.warn(
                format_args!("jupiter.health.{key}"),
                format_args!(
                    "canaries every {interval:?} would take {}; that of {} is slowed down to one \
                     in {:.0?}",
                    part(pace, interval),
                    upstream.id,
                    pace,
                ),
            );
        }
    }
}

fn look_at(
    upstream: &UpstreamSettings,
    budget: &BudgetSettings,
    all: &[UpstreamSettings],
    reading: &Reading<'_>,
) {
    let is_same = |other: &&UpstreamSettings| {
        let organisation = |one: &UpstreamSettings| one.budget.as_ref()?.organisation.clone();
        other.id == upstream.id
            || (budget.organisation.is_some() && organisation(other) == budget.organisation)
    };
    let sharers = all.iter().filter(is_same).count();
    let pace = pace(budget, sharers);
    look_at_first(upstream, budget, (pace, sharers), reading);
    let interval = upstream.probe.interval;
    let path = format!("upstreams.{}.probe.interval", upstream.id);
    if pace > interval {
        reading.warn(
            path,
            format_args!(
                "a probe every {interval:?} would take {}; probes are slowed down to one in {pace:.0?}",
                part(pace, interval),
            ),
        );
    } else if !upstream.metered && pace.saturating_mul(QUESTIONS) > interval {
        reading.warn(
            path,
            format_args!(
                "probes every {interval:?} would take {}; each asks for one slot only, as of a \
                 metered upstream",
                part(pace.saturating_mul(QUESTIONS), interval),
            ),
        );
    }
}

/// Probes may use half of what may be sent at once.
fn look_at_first(
    upstream: &UpstreamSettings,
    budget: &BudgetSettings,
    (pace, sharers): (Duration, usize),
    reading: &Reading<'_>,
) {
    let burst = usize::try_from(budget.rate.burst).unwrap_or(usize::MAX);
    let at_once = burst / sharers.max(1) / 2;
    if at_once < FIRST_QUESTIONS && pace > NOTICED {
        reading.warn(
            format_args!("upstreams.{}.budget.burst", upstream.id),
            format_args!(
                "{burst} is too little for the first probes, which may use half of it: after each \
                 start nothing is sent there for {pace:.0?}; {} is enough",
                FIRST_QUESTIONS * 2 * sharers.max(1)
            ),
        );
    }
}

/// The budget of an upstream's organisation.
fn budget_of<'a>(
    upstream: &'a JupiterUpstream,
    all: &'a [JupiterUpstream],
) -> Option<&'a BudgetSettings> {
    let of_organisation = || {
        let named = upstream.organisation.as_ref()?;
        let mut same = all
            .iter()
            .filter(|other| other.organisation.as_ref() == Some(named));
        same.find_map(|other| other.budget.as_ref())
    };
    upstream.budget.as_ref().or_else(of_organisation)
}

/// The time in which the share of probes earns one for one of so many upstreams.
fn pace(budget: &BudgetSettings, sharers: usize) -> Duration {
    let own = budget.rate.interval_nanos();
    let of_group = budget
        .groups
        .iter()
        .find(|group| group.methods.iter().any(|method| method == QUESTION))
        .map_or(own, |group| group.rate.interval_nanos());
    let cost = budget.costs.get(QUESTION).copied().unwrap_or(1);
    let sharers = u64::try_from(sharers).unwrap_or(1).max(1);
    let nanos = own.max(of_group).saturating_mul(100) / PROBE_SHARE;
    Duration::from_nanos(nanos.saturating_mul(sharers).saturating_mul(cost.into()))
}

/// What probes so often take of the budget.
fn part(pace: Duration, interval: Duration) -> String {
    let share = pace.as_nanos().saturating_mul(PROBE_SHARE.into()) / interval.as_nanos().max(1);
    if share > 100 {
        "more than the budget allows".to_owned()
    } else {
        format!("{share} % of the budget")
    }
}
