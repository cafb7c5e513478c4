//! What a provider sells: so many requests in a time. Charged with every call and probe that is sent
//! to it over HTTP; sockets and their subscriptions are not charged.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::{Duration, Instant};

use crate::config;
use crate::solana::Priority;

/// A token bucket whose state is looked at without taking anything, and whose size may change while
/// it is in use. Without settings it is bottomless.
///
/// The state is the time at which the bucket will be full again: each request moves it on by the time
/// in which one is earned (the generic cell rate algorithm).
#[derive(Debug)]
pub struct Budget {
    start: Instant,
    /// Nanoseconds in which one request is earned; 0 where there is no limit.
    interval: AtomicU64,
    burst: AtomicU64,
    /// Requests kept for the classes high and critical.
    reserve: AtomicU64,
    full_at: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            interval: AtomicU64::new(0),
            burst: AtomicU64::new(0),
            reserve: AtomicU64::new(0),
            full_at: AtomicU64::new(0),
        }
    }
}

impl Budget {
    /// Takes settings over; what is used up stays used up.
    pub fn set(&self, settings: Option<&config::Budget>) {
        let interval = settings.map_or(0, |settings| {
            let nanos = settings.per.duration().as_nanos() / u128::from(settings.requests.max(1));
            u64::try_from(nanos).unwrap_or(u64::MAX).max(1)
        });
        let burst = settings.map_or(0, |settings| u64::from(settings.burst));
        let reserve = settings.map_or(0, |settings| u64::from(settings.reserve));
        // Of a burst of one nothing can be kept.
        let reserve = (burst * reserve / 100).min(burst.saturating_sub(1));
        self.burst.store(burst, Ordering::Relaxed);
        self.reserve.store(reserve, Ordering::Relaxed);
        self.interval.store(interval, Ordering::Relaxed);
    }

    /// Whether there is one at all.
    pub fn is_limited(&self) -> bool {
        self.interval.load(Ordering::Relaxed) > 0
    }

    /// How long a call of this class has to wait; `None` where it may be sent now.
    pub fn wait(&self, priority: Priority, now: Instant) -> Option<Duration> {
        let interval = self.interval.load(Ordering::Relaxed);
        if interval == 0 {
            return None;
        }
        let kept = match priority {
            Priority::High | Priority::Critical => 0,
            _ => self.reserve.load(Ordering::Relaxed),
        };
        let usable = self
            .burst
            .load(Ordering::Relaxed)
            .saturating_sub(kept)
            .max(1);
        // One request more must fit below the top.
        let room = interval.saturating_mul(usable - 1);
        let missing = self.missing(now);
        (missing > room).then(|| Duration::from_nanos(missing - room))
    }

    /// Notes that a request is sent, whether or not there was room.
    pub fn charge(&self, now: Instant) {
        let interval = self.interval.load(Ordering::Relaxed);
        if interval == 0 {
            return;
        }
        let now = self.nanos(now);
        let spend = |full_at: u64| Some(full_at.max(now).saturating_add(interval));
        let _earlier = self
            .full_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
    }

    /// Requests that may be sent at once, the reserve included; `None` where there is no limit.
    pub fn left(&self, now: Instant) -> Option<u64> {
        let interval = self.interval.load(Ordering::Relaxed);
        let used = self.missing(now).div_ceil(interval.max(1));
        (interval > 0).then(|| self.burst.load(Ordering::Relaxed).saturating_sub(used))
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
mod tests {
    use super::*;
    use crate::config::Per;

    fn budget(requests: u64, per: Per, burst: u32, reserve: u32) -> Budget {
        let budget = Budget::default();
        budget.set(Some(&config::Budget {
            requests,
            per,
            burst,
            reserve,
        }));
        budget
    }

    /// Sends what may be sent, and says how much that was.
    fn spend(budget: &Budget, priority: Priority) -> u32 {
        let mut sent = 0;
        while budget.wait(priority, Instant::now()).is_none() {
            budget.charge(Instant::now());
            sent += 1;
            assert!(sent < 1_000_000);
        }
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn without_settings_there_is_no_limit() {
        let budget = Budget::default();
        for _ in 0..1000 {
            budget.charge(Instant::now());
        }
        assert_eq!(budget.wait(Priority::Background, Instant::now()), None);
        assert_eq!(budget.left(Instant::now()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_hours_budget_is_never_exceeded_by_more_than_its_burst() {
        let budget = budget(3000, Per::Hour, 15, 0);
        let mut sent = spend(&budget, Priority::Medium);
        assert_eq!(sent, 15);
        for _ in 0..3600 {
            tokio::time::advance(Duration::from_secs(1)).await;
            sent += spend(&budget, Priority::Medium);
        }
        assert!((3000..=3015).contains(&sent), "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reserve_is_kept_for_the_classes_above() {
        let budget = budget(60, Per::Minute, 10, 20);
        assert_eq!(spend(&budget, Priority::Medium), 8);
        assert_eq!(spend(&budget, Priority::Background), 0);
        assert_eq!(budget.left(Instant::now()), Some(2));
        assert_eq!(spend(&budget, Priority::High), 2);
        assert_eq!(spend(&budget, Priority::Critical), 0);
        let wait = budget.wait(Priority::Critical, Instant::now()).unwrap();
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        let longer = budget.wait(Priority::Medium, Instant::now()).unwrap();
        assert!(longer > wait);
        tokio::time::advance(wait).await;
        assert_eq!(spend(&budget, Priority::Medium), 0);
        assert_eq!(spend(&budget, Priority::Critical), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_used_up_stays_used_up_when_the_settings_change() {
        let one = budget(60, Per::Minute, 10, 0);
        spend(&one, Priority::Medium);
        one.set(Some(&config::Budget {
            requests: 60,
            per: Per::Minute,
            burst: 10,
            reserve: 50,
        }));
        assert!(one.wait(Priority::Medium, Instant::now()).is_some());
    }
}
