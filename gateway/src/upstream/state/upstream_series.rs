//! The metrics of one upstream: handles, resolved once because looking one up hashes.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use perijove_core::{Commitment, Slot};
use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use crate::limit::{InClass, LimitMove};
use crate::solana::{FaultKind, Priority};
use crate::upstream::health::tracker::Health;
use crate::upstream::state::hold::{Hold, HoldCause};
use crate::upstream::state::metrics::UpstreamMetrics;

/// Removes the series of one upstream from a family, whatever their other labels.
fn remove<B: MetricVecBuilder>(family: &MetricVec<B>, id: &str) {
    for metric in family.collect().iter().flat_map(MetricFamily::get_metric) {
        let labels: HashMap<&str, &str> = metric
            .get_label()
            .iter()
            .map(|label| (label.name(), label.value()))
            .collect();
        if labels.get("upstream") == Some(&id) {
            // It existed a moment ago; if it is gone since, so much the better.
            drop(family.remove(&labels));
        }
    }
}

/// The metrics of one upstream.
pub(in crate::upstream) struct UpstreamSeries {
    id: String,
    families: UpstreamMetrics,
    /// The upstream is no longer configured: calls in progress create no new series.
    ended: AtomicBool,
    pub(in crate::upstream) good: IntCounter,
    pub(in crate::upstream) latency: Histogram,
    pub(in crate::upstream) forced: IntCounter,
    /// Unknown values have no series.
    slots: [OnceLock<IntGauge>; 3],
    lag: OnceLock<IntGauge>,
    pub(in crate::upstream) probe_time: Histogram,
    pub(in crate::upstream) connect_time: Histogram,
    pub(in crate::upstream) hedged: IntCounter,
    pub(in crate::upstream) hedge_won: IntCounter,
    /// There from the start; counted by [`UpstreamSeries::probe`].
    #[expect(dead_code, reason = "keeps the series")]
    probed: IntCounter,
    pub(in crate::upstream) states: [IntGauge; Health::ALL.len()],
    pub(in crate::upstream) breaker: IntGauge,
    pub(in crate::upstream) hold_offs: IntCounter,
    pub(in crate::upstream) method_hold_offs: IntCounter,
    holds: [IntGauge; HoldCause::ALL.len()],
    pub(in crate::upstream) exclusions: IntCounter,
    pub(in crate::upstream) key_refusals: IntCounter,
    pub(in crate::upstream) busy: IntGauge,
    pub(in crate::upstream) idle: IntGauge,
    pub(in crate::upstream) opened: IntCounter,
    pub(in crate::upstream) broken: IntCounter,
    pub(in crate::upstream) saturated: IntCounter,
    pub(in crate::upstream) connection_wait: Histogram,
    pub(in crate::upstream) in_flight: IntGauge,
    /// In the order of [`LimitMove::ALL`].
    concurrency_moves: [IntCounter; LimitMove::ALL.len()],
    /// In the order of [`Priority::ALL`].
    waiting: [IntGauge; Priority::ALL.len()],
}

impl UpstreamSeries {
    /// Those of the upstream with this id.
    pub(in crate::upstream) fn new(families: &UpstreamMetrics, id: &str) -> Self {
        Self {
            id: id.to_owned(),
            good: families.attempts.with_label_values(&[id, "good"]),
            latency: families.latency.with_label_values(&[id]),
            forced: families.forced.with_label_values(&[id]),
            slots: Default::default(),
            lag: OnceLock::new(),
            probe_time: families.probe_time.with_label_values(&[id]),
            connect_time: families.connect_time.with_label_values(&[id]),
            hedged: families.hedges.with_label_values(&[id, "started"]),
            hedge_won: families.hedges.with_label_values(&[id, "won"]),
            probed: families.probes.with_label_values(&[id, "getSlot", "good"]),
            states: Health::ALL
                .map(|health| families.state.with_label_values(&[id, health.label()])),
            breaker: families.breaker_state.with_label_values(&[id]),
            method_hold_offs: families.hold_offs.with_label_values(&[id, "method"]),
            hold_offs: families.hold_offs.with_label_values(&[id, "upstream"]),
            holds: HoldCause::ALL
                .map(|cause| families.holds.with_label_values(&[id, cause.label()])),
            exclusions: families.exclusions.with_label_values(&[id]),
            key_refusals: families.key_refusals.with_label_values(&[id]),
            busy: families.connections.with_label_values(&[id, "busy"]),
            idle: families.connections.with_label_values(&[id, "idle"]),
            opened: families.connections_opened.with_label_values(&[id]),
            broken: families.connections_broken.with_label_values(&[id]),
            saturated: families.saturated.with_label_values(&[id]),
            connection_wait: families.connection_wait.with_label_values(&[id]),
            in_flight: families.in_flight.with_label_values(&[id]),
            concurrency_moves: LimitMove::ALL.map(|reason| {
                families
                    .concurrency_moves
                    .with_label_values(&[id, reason.label()])
            }),
            waiting: Priority::ALL
                .map(|class| families.waiting.with_label_values(&[id, class.label()])),
            families: families.clone(),
            ended: AtomicBool::new(false),
        }
    }

    /// What is left of the budget, if there is one, and when it will be used up, if it will.
    pub(in crate::upstream) fn budget(&self, left: Option<u64>, ends: Option<Duration>) {
        if let Some(left) = left.filter(|_| !self.ended.load(Ordering::Relaxed)) {
            let gauge = self.families.budget_left.with_label_values(&[&self.id]);
            gauge.set(i64::try_from(left).unwrap_or(i64::MAX));
            let gauge = self.families.budget_ends.with_label_values(&[&self.id]);
            gauge.set(ends.map_or(f64::INFINITY, |ends| ends.as_secs_f64()));
        }
    }

    /// The limit of calls in flight; without a series if there is none.
    pub(in crate::upstream) fn concurrency_limit(&self, limit: Option<usize>) {
        let (family, labels) = (&self.families.concurrency, [self.id.as_str()]);
        match limit.filter(|_| !self.ended.load(Ordering::Relaxed)) {
            Some(limit) => family
                .with_label_values(&labels)
                .set(i64::try_from(limit).unwrap_or(i64::MAX)),
            // It need not have been there.
            None => drop(family.remove_label_values(&labels)),
        }
    }

    /// It was moved.
    pub(in crate::upstream) fn concurrency_moved(&self, limit: usize, cause: LimitMove) {
        self.concurrency_limit(Some(limit));
        if let Some(moves) = self.concurrency_moves.get(cause as usize) {
            moves.inc();
        }
    }

    /// Calls that wait for a connection.
    pub(in crate::upstream) fn waiting(&self, classes: &[InClass]) {
        for (gauge, class) in self.waiting.iter().zip(classes) {
            gauge.set(i64::try_from(class.waiting).unwrap_or(i64::MAX));
        }
    }

    /// A failed attempt. Rare enough to look the counter up.
    pub(in crate::upstream) fn fault(&self, kind: FaultKind) {
        self.count(&self.families.attempts, &[&self.id, kind.label()]);
    }

    pub(in crate::upstream) fn probe(&self, method: &'static str, outcome: &'static str) {
        self.count(&self.families.probes, &[&self.id, method, outcome]);
    }

    /// The newest slot it has reported.
    pub(in crate::upstream) fn slot(&self, commitment: Commitment, slot: Slot) {
        let Some(gauge) = self.slots.get(commitment.index()) else {
            return;
        };
        if !self.ended.load(Ordering::Relaxed) {
            let labels = [self.id.as_str(), commitment.label()];
            let gauge = gauge.get_or_init(|| self.families.slot.with_label_values(&labels));
            gauge.set(i64::try_from(slot.0).unwrap_or(i64::MAX));
        }
    }

    /// How far it is behind; set once it has reported a slot.
    pub(in crate::upstream) fn lag(&self, slots: u64) {
        if !self.ended.load(Ordering::Relaxed) {
            let find = || self.families.slot_lag.with_label_values(&[&self.id]);
            let gauge = self.lag.get_or_init(find);
            gauge.set(i64::try_from(slots).unwrap_or(i64::MAX));
        }
    }

    /// Where its history begins; without a series until it has reported it.
    pub(in crate::upstream) fn oldest(&self, slot: i64) {
        if !self.ended.load(Ordering::Relaxed) {
            self.families
                .oldest
                .with_label_values(&[&self.id])
                .set(slot);
        }
    }

    /// Its hold-offs.
    pub(in crate::upstream) fn holds(&self, holds: &[Hold<'_>]) {
        for (gauge, cause) in self.holds.iter().zip(HoldCause::ALL) {
            let held = holds.iter().filter(|hold| hold.cause == cause).count();
            gauge.set(i64::try_from(held).unwrap_or(i64::MAX));
        }
    }

    fn count(&self, family: &IntCounterVec, labels: &[&str]) {
        if !self.ended.load(Ordering::Relaxed) {
            family.with_label_values(labels).inc();
        }
    }

    /// Ends the series of this upstream, which is no longer configured.
    pub(in crate::upstream) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        let (families, id) = (&self.families, &self.id);
        for family in [
            &families.attempts,
            &families.forced,
            &families.hold_offs,
            &families.exclusions,
            &families.key_refusals,
            &families.connections_opened,
            &families.connections_broken,
            &families.saturated,
            &families.probes,
            &families.hedges,
            &families.concurrency_moves,
        ] {
            remove(family, id);
        }
        for family in [
            &families.slot,
            &families.slot_lag,
            &families.state,
            &families.breaker_state,
            &families.holds,
            &families.connections,
            &families.in_flight,
            &families.oldest,
            &families.budget_left,
            &families.waiting,
            &families.concurrency,
        ] {
            remove(family, id);
        }
        remove(&families.latency, id);
        remove(&families.budget_ends, id);
        remove(&families.connection_wait, id);
        remove(&families.probe_time, id);
        remove(&families.connect_time, id);
    }

    pub(in crate::upstream) fn health(&self, health: Health) {
        for (gauge, state) in self.states.iter().zip(Health::ALL) {
            gauge.set(i64::from(state == health));
        }
    }
}

#[cfg(test)]
mod tests;
