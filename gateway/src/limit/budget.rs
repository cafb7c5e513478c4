//! What a provider sells: a number of requests per time. Charged for every call and probe sent to
//! it over HTTP, and for every subscription; sockets are not charged.

mod lease;
mod probe_share;
mod registry;
mod spending;
mod terms;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::{Duration, Instant};

pub use lease::{LeaseAnswer, LeaseRequest};
pub use registry::BudgetRegistry;
pub use spending::SpendingRate;
pub use terms::{BudgetCharge, ProbeCharge, UpstreamBudgets};

use crate::config::BudgetRate;
use crate::solana::Priority;

/// Wait time reported if no leased request is left: until the next lease.
const LEASE_WAIT: Duration = Duration::from_millis(100);

/// A token bucket that can be read without taking anything, and resized while in use. Without
/// settings it is unlimited.
///
/// Its state is the time at which the bucket will be full again: each request moves it on by the
/// time in which one is earned (the generic cell rate algorithm).
///
/// If replicas share it, the bucket itself is in Redis, and what may be sent are requests
/// leased from there.
#[derive(Debug)]
pub struct Budget {
    start: Instant,
    /// The settings, and the number of replicas that each have a share of them now.
    rate: Mutex<Option<BudgetRate>>,
    parts: AtomicU64,
    /// Nanoseconds in which one request is earned; 0 without a limit.
    interval: AtomicU64,
    burst: AtomicU64,
    /// Requests reserved for the classes high and critical.
    reserve: AtomicU64,
    full_at: AtomicU64,
    /// The same when it last continued [without Redis](lease).
    alone_full_at: AtomicU64,
    /// What was leased then, which the bucket in Redis counts as sent.
    alone_lease: AtomicI64,
    /// Whether requests are leased, how many are left of them, and how many more are in Redis.
    is_leased: AtomicBool,
    lease: AtomicI64,
    beyond: AtomicI64,
    /// Lease requests to Redis, and the last that was answered.
    asked: AtomicU64,
    answered: AtomicU64,
    /// Requests since the last lease, for the [demand](lease::LeaseRequest).
    taken: AtomicU64,
    /// Those that found too little when they looked, and the largest of them.
    missed: AtomicU64,
    largest_missed: AtomicU64,
    /// All of them.
    charged: AtomicU64,
    /// Gateways that lease from it, and upstreams here whose probes are charged to it.
    gateways: AtomicU64,
    probed_by: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            rate: Mutex::default(),
            parts: AtomicU64::new(1),
            interval: AtomicU64::new(0),
            burst: AtomicU64::new(0),
            reserve: AtomicU64::new(0),
            full_at: AtomicU64::new(0),
            alone_full_at: AtomicU64::new(0),
            alone_lease: AtomicI64::new(0),
            is_leased: AtomicBool::new(false),
            lease: AtomicI64::new(0),
            beyond: AtomicI64::new(0),
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            largest_missed: AtomicU64::new(0),
            charged: AtomicU64::new(0),
            gateways: AtomicU64::new(1),
            probed_by: AtomicU64::new(0),
        }
    }
}

impl Budget {
    /// Applies settings; as many requests as were used up stay used up.
    pub fn set(&self, settings: Option<&BudgetRate>) {
        let mut rate = self.rate.lock();
        *rate = settings.copied();
        let before = self.interval.load(Ordering::Relaxed);
        self.apply(*rate);
        let after = self.interval.load(Ordering::Relaxed);
        if before == after || before == 0 || after == 0 {
            return;
        }
        // The times are those in which the requests are earned again.
        let now = self.nanos(Instant::now());
        for full_at in [&self.full_at, &self.alone_full_at] {
            let other = |full_at: u64| {
                let missing = full_at.checked_sub(now).filter(|missing| *missing > 0)?;
                let missing = u128::from(missing) * u128::from(after) / u128::from(before);
                Some(now.saturating_add(u64::try_from(missing).unwrap_or(u64::MAX)))
            };
            // Those that are full stay so.
            let _full = full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, other);
        }
    }

    /// This gateway's part of what is used up: of what is leased, others have used some.
    pub fn used_here(&self, now: Instant) -> u64 {
        let burst = self.burst.load(Ordering::Relaxed);
        let used = self.left(now).map_or(0, |left| burst.saturating_sub(left));
        if self.is_leased() {
            used.div_ceil(self.gateways.load(Ordering::Relaxed).max(1))
        } else {
            used
        }
    }

    fn apply(&self, rate: Option<BudgetRate>) {
        let parts = self.parts.load(Ordering::Relaxed).max(1);
        let interval = rate.map_or(0, |rate| rate.interval_nanos().saturating_mul(parts));
        let burst = rate.map_or(0, |rate| (u64::from(rate.burst) / parts).max(1));
        let reserve = rate.map_or(0, |rate| u64::from(rate.reserve));
        // Nothing can be reserved of a burst of one.
        let reserve = (burst * reserve / 100).min(burst.saturating_sub(1));
        self.burst.store(burst, Ordering::Relaxed);
        self.reserve.store(reserve, Ordering::Relaxed);
        self.interval.store(interval, Ordering::Relaxed);
    }

    /// Whether there is a limit at all.
    pub fn is_limited(&self) -> bool {
        self.interval.load(Ordering::Relaxed) > 0
    }

    /// How long a call of this cost has to wait; `None` if it may be sent now.
    pub fn wait(&self, cost: u32, priority: Priority, now: Instant) -> Option<Duration> {
        if self.is_leased.load(Ordering::Relaxed) {
            return self.wait_for_lease(cost, priority);
        }
        let full_at = self.full_at.load(Ordering::Relaxed);
        self.missing_for(cost, priority, full_at, now)
    }

    /// Takes the cost of a call, if it may be sent now.
    pub fn take(&self, cost: u32, priority: Priority, now: Instant) -> bool {
        let interval = self.interval.load(Ordering::Relaxed);
        if interval == 0 {
            return true;
        }
        let taken = if self.is_leased.load(Ordering::Relaxed) {
            // Never below zero, not even for a moment: others would find too little, and what is
            // missing would count as sent.
            let spend = |lease: i64| {
                self.is_leased_for(lease, cost, priority)
                    .then(|| lease - i64::from(cost))
            };
            self.lease
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend)
                .is_ok()
        } else {
            let nanos = self.nanos(now);
            let spend = |full_at: u64| {
                let missing = self.missing_for(cost, priority, full_at, now);
                let spent = interval.saturating_mul(u64::from(cost));
                missing
                    .is_none()
                    .then(|| full_at.max(nanos).saturating_add(spent))
            };
            self.full_at
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend)
                .is_ok()
        };
        // A failed attempt shows that more is wanted.
        self.taken.fetch_add(u64::from(cost), Ordering::Relaxed);
        if taken {
            self.charged.fetch_add(u64::from(cost), Ordering::Relaxed);
        }
        taken
    }

    /// Charges for a request that is sent in any case.
    pub fn charge(&self, cost: u32, now: Instant) {
        let interval = self.interval.load(Ordering::Relaxed);
        if interval == 0 {
            return;
        }
        self.taken.fetch_add(u64::from(cost), Ordering::Relaxed);
        self.charged.fetch_add(u64::from(cost), Ordering::Relaxed);
        if self.is_leased.load(Ordering::Relaxed) {
            self.lease.fetch_sub(i64::from(cost), Ordering::Relaxed);
            return;
        }
        let now = self.nanos(now);
        let spent = interval.saturating_mul(u64::from(cost));
        let spend = |full_at: u64| Some(full_at.max(now).saturating_add(spent));
        let _earlier = self
            .full_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
    }

    /// Gives back what was [taken](Self::take) for a call that was not sent after all.
    pub fn refund(&self, cost: u32) {
        let interval = self.interval.load(Ordering::Relaxed);
        if interval == 0 {
            return;
        }
        let less = |charged: u64| Some(charged.saturating_sub(u64::from(cost)));
        let _earlier = self
            .charged
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        if self.is_leased.load(Ordering::Relaxed) {
            self.lease.fetch_add(i64::from(cost), Ordering::Relaxed);
            return;
        }
        let spent = interval.saturating_mul(u64::from(cost));
        let earn = |full_at: u64| Some(full_at.saturating_sub(spent));
        let _earlier = self
            .full_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, earn);
    }

    /// What may be sent at once, including the reserve; `None` without a limit.
    pub fn left(&self, now: Instant) -> Option<u64> {
        let interval = self.interval.load(Ordering::Relaxed);
        if interval == 0 {
            return None;
        }
        let burst = self.burst.load(Ordering::Relaxed);
        if self.is_leased.load(Ordering::Relaxed) {
            let lease = self.lease.load(Ordering::Relaxed);
            let beyond = self.beyond.load(Ordering::Relaxed);
            return Some(u64::try_from(lease.saturating_add(beyond)).unwrap_or(0));
        }
        let used = self.missing(now).div_ceil(interval);
        Some(burst.saturating_sub(used))
    }

    /// Requests earned per hour.
    pub fn per_hour(&self) -> Option<f64> {
        let interval = self.interval.load(Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        (interval > 0).then(|| 3.6e12 / interval as f64)
    }

    /// Requests sent since the start.
    pub fn charged(&self) -> u64 {
        self.charged.load(Ordering::Relaxed)
    }

    /// The time until the bucket is full, which is what is used up of it.
    pub fn used_up(&self, now: Instant) -> Duration {
        Duration::from_nanos(self.missing(now))
    }

    /// Starts with this much used up, unless more is.
    pub fn resume(&self, used_up: Duration, now: Instant) {
        let nanos = u64::try_from(used_up.as_nanos()).unwrap_or(u64::MAX);
        let full_at = self.nanos(now).saturating_add(nanos);
        self.full_at.fetch_max(full_at, Ordering::Relaxed);
    }

    fn missing_for(
        &self,
        cost: u32,
        priority: Priority,
        full_at: u64,
        now: Instant,
    ) -> Option<Duration> {
        let interval = self.interval.load(Ordering::Relaxed);
        if interval == 0 {
            return None;
        }
        let burst = self.burst.load(Ordering::Relaxed);
        let usable = burst.saturating_sub(self.kept_from(priority)).max(1);
        // This much must be free below the top. A request larger than the bucket waits for all of
        // it.
        let room = interval.saturating_mul(usable.saturating_sub(u64::from(cost)));
        let missing = full_at.saturating_sub(self.nanos(now));
        (missing > room).then(|| Duration::from_nanos(missing - room))
    }

    fn kept_from(&self, priority: Priority) -> u64 {
        match priority {
            Priority::High | Priority::Critical => 0,
            _ => self.reserve.load(Ordering::Relaxed),
        }
    }

    fn wait_for_lease(&self, cost: u32, priority: Priority) -> Option<Duration> {
        let lease = self.lease.load(Ordering::Relaxed);
        if self.is_leased_for(lease, cost, priority) {
            return None;
        }
        self.missed.fetch_add(u64::from(cost), Ordering::Relaxed);
        self.largest_missed
            .fetch_max(u64::from(cost), Ordering::Relaxed);
        let interval = Duration::from_nanos(self.interval.load(Ordering::Relaxed));
        let beyond = self.beyond.load(Ordering::Relaxed);
        // More is left in Redis, and is leased at the next round.
        let is_there = lease.saturating_add(beyond) >= i64::from(cost);
        if is_there && self.is_beyond_reserve(lease, cost, priority) {
            return Some(LEASE_WAIT);
        }
        Some(interval.saturating_mul(cost).max(LEASE_WAIT))
    }

    fn is_leased_for(&self, lease: i64, cost: u32, priority: Priority) -> bool {
        lease >= i64::from(cost) && self.is_beyond_reserve(lease, cost, priority)
    }

    fn is_beyond_reserve(&self, lease: i64, cost: u32, priority: Priority) -> bool {
        let kept = i64::try_from(self.kept_from(priority)).unwrap_or(i64::MAX);
        let beyond = self.beyond.load(Ordering::Relaxed);
        kept == 0 || lease.saturating_add(beyond) >= kept.saturating_add(i64::from(cost))
    }

    /// The time until the bucket is full.
    fn missing(&self, now: Instant) -> u64 {
        let full_at = self.full_at.load(Ordering::Relaxed);
        full_at.saturating_sub(self.nanos(now))
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
