//! The part of a budget that probes of an upstream may use. Where that is less than they would
//! take, they become rare; calls have the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::time::{Duration, Instant};

use super::Budget;
use crate::config::PROBE_SHARE;

/// Probes that may be sent at once: the first round of an upstream, and a few while it is away. At
/// most half of what the budget allows at once.
const MOST_AT_ONCE: u64 = 10;

/// What the probes of one upstream have used of their share.
#[derive(Debug, Default)]
pub(super) struct ProbeShare {
    /// When nothing will be used up any more.
    full_at: Mutex<Option<Instant>>,
    /// Whether the last probe was too much.
    is_short: AtomicBool,
}

impl ProbeShare {
    /// Whether a round of probes may begin. Half of what may be sent at once is kept for the time
    /// when the upstream is away.
    pub(super) fn may_begin(&self, each: Duration, burst: u64, now: Instant) -> bool {
        let may = self.missing(now) <= room(each, burst) / 2;
        if !may {
            self.is_short.store(true, Ordering::Relaxed);
        }
        may
    }

    /// Whether a probe may be sent now. `each` is the time in which one is earned.
    pub(super) fn allows(&self, each: Duration, burst: u64, now: Instant) -> bool {
        let may = self.missing(now) <= room(each, burst);
        self.is_short.store(!may, Ordering::Relaxed);
        may
    }

    pub(super) fn spend(&self, cost: Duration, now: Instant) {
        let mut full_at = self.full_at.lock();
        *full_at = Some(full_at.map_or(now, |at| at.max(now)) + cost);
    }

    pub(super) fn refund(&self, cost: Duration) {
        let mut full_at = self.full_at.lock();
        *full_at = full_at.and_then(|at| at.checked_sub(cost));
    }

    /// The budget had nothing left.
    pub(super) fn found_nothing(&self) {
        self.is_short.store(true, Ordering::Relaxed);
    }

    /// Whether the last probe was not sent for want of budget.
    pub(super) fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Relaxed)
    }

    fn missing(&self, now: Instant) -> Duration {
        let full_at = *self.full_at.lock();
        full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

/// What may be used up before the next probe.
fn room(each: Duration, burst: u64) -> Duration {
    let at_once = (burst / 2).clamp(1, MOST_AT_ONCE);
    each.saturating_mul(u32::try_from(at_once - 1).unwrap_or(u32::MAX))
}

/// Counts an upstream among those whose probes share a budget, until it is dropped.
#[derive(Debug)]
pub(super) struct ProbedBudget(Arc<Budget>);

impl ProbedBudget {
    pub(super) fn of(budget: &Arc<Budget>) -> Self {
        budget.probed_by.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(budget))
    }
}

impl Drop for ProbedBudget {
    fn drop(&mut self) {
        self.0.probed_by.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Budget {
    /// The time in which probes of one upstream earn one request: all upstreams with this budget,
    /// at all gateways that share it, have [`PROBE_SHARE`] percent together. Zero without a limit.
    pub fn probe_interval(&self) -> Duration {
        let gateways = if self.is_leased() {
            self.gateways.load(Ordering::Relaxed)
        } else {
            // Its own interval is for its own share.
            1
        };
        let upstreams = self.probed_by.load(Ordering::Relaxed);
        let nanos = self.interval.load(Ordering::Relaxed);
        let nanos = nanos.saturating_mul(100) / PROBE_SHARE;
        let sharers = gateways.max(1).saturating_mul(upstreams.max(1));
        Duration::from_nanos(nanos.saturating_mul(sharers))
    }

    /// What an upstream may be sent at once, if all that share the budget are treated alike.
    pub(super) fn at_once(&self) -> u64 {
        let upstreams = self.probed_by.load(Ordering::Relaxed);
        self.burst.load(Ordering::Relaxed) / upstreams.max(1)
    }

    /// The probes of so many upstreams are charged to it.
    pub fn is_probed_by(&self, upstreams: u64) {
        self.probed_by.store(upstreams, Ordering::Relaxed);
    }

    /// So many gateways lease from it.
    pub fn is_shared_by(&self, gateways: u64) {
        self.gateways.store(gateways.max(1), Ordering::Relaxed);
    }
}
