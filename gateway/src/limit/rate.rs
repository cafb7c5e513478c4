//! A rate limit: a number per minute, and a burst.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::{Duration, Instant};

/// A token bucket: holds at most `burst` and gains `per_minute` per minute.
pub struct Rate {
    bucket: RateLimiter<NotKeyed, InMemoryState, RuntimeClock, StateInformationMiddleware>,
    clock: RuntimeClock,
    per_minute: u32,
    burst: u32,
    /// When the whole burst is available, in nanoseconds of the clock: the bucket cannot be looked into
    /// without taking from it.
    full_at: AtomicU64,
}

/// What is left of a rate, for the `x-ratelimit-*` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Per minute.
    pub limit: u32,
    /// Available now.
    pub remaining: u32,
    /// When the whole burst is available again.
    pub reset: Duration,
}

/// Why something is not allowed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// Allowed after this long, unless another call takes it first.
    For(Duration),
    /// More than the burst.
    Always,
}

impl Rate {
    /// Zeros count as one.
    pub fn new(per_minute: u32, burst: u32) -> Self {
        let atleast = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(atleast(per_minute)).allow_burst(atleast(burst));
        let clock = RuntimeClock(Instant::now());
        Self {
            bucket: RateLimiter::direct_with_clock(quota, clock).with_middleware(),
            clock,
            per_minute,
            burst,
            full_at: AtomicU64::new(0),
        }
    }

    /// Takes this many at once, or none.
    ///
    /// # Errors
    /// There are not enough.
    pub fn take(&self, many: u32) -> Result<Remaining, Exceeded> {
        let Some(many) = NonZeroU32::new(many) else {
            return Ok(self.left());
        };
        match self.bucket.check_n(many) {
            Ok(Ok(left)) => Ok(self.taken(left.remaining_burst_capacity())),
            Ok(Err(not_until)) => Err(Exceeded::For(not_until.wait_time_from(self.clock.now()))),
            Err(_capacity) => Err(Exceeded::Always),
        }
    }

    /// Reported to a caller that got nothing.
    pub fn exhausted(&self) -> Remaining {
        self.remaining(0)
    }

    /// What is left now.
    pub fn left(&self) -> Remaining {
        let wait = self.full_at.load(Ordering::Relaxed);
        let wait = wait.saturating_sub(self.clock.now().as_u64());
        let missing = wait.div_ceil(self.nanos_each());
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        self.remaining(self.burst.saturating_sub(missing))
    }

    fn taken(&self, remaining: u32) -> Remaining {
        let missing = u64::from(self.burst.saturating_sub(remaining));
        let full_at = self.clock.now().as_u64() + missing * self.nanos_each();
        self.full_at.fetch_max(full_at, Ordering::Relaxed);
        self.remaining(remaining)
    }

    /// How long it takes to gain one.
    fn nanos_each(&self) -> u64 {
        (60_000_000_000 / u64::from(self.per_minute.max(1))).max(1)
    }

    fn remaining(&self, remaining: u32) -> Remaining {
        let missing = f64::from(self.burst.saturating_sub(remaining));
        let reset = missing * 60.0 / f64::from(self.per_minute.max(1));
        Remaining {
            limit: self.per_minute,
            remaining,
            reset: Duration::from_secs_f64(reset),
        }
    }
}

impl std::fmt::Debug for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Rate({} a minute, {} at once)",
            self.per_minute, self.burst
        )
    }
}

/// The runtime's clock, which tests can pause.
#[derive(Clone, Copy, Debug)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_there_at_once_and_comes_back_with_time() {
        let rate = Rate::new(60, 3);
        let left = [(); 3].map(|()| rate.take(1).unwrap().remaining);
        assert_eq!(left, [2, 1, 0]);
        let Err(Exceeded::For(wait)) = rate.take(1) else {
            panic!("more than the burst");
        };
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        tokio::time::advance(wait).await;
        assert_eq!(rate.take(1).unwrap().remaining, 0);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(rate.take(3).unwrap().remaining, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn several_are_taken_together_or_not_at_all() {
        let rate = Rate::new(60, 5);
        assert_eq!(rate.take(6), Err(Exceeded::Always));
        assert_eq!(rate.take(4).unwrap().remaining, 1);
        assert!(matches!(rate.take(2), Err(Exceeded::For(_))));
        assert_eq!(rate.take(1).unwrap().remaining, 0);
        assert_eq!(rate.exhausted().reset, Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_can_be_asked_without_taking_any() {
        let rate = Rate::new(60, 3);
        assert_eq!(rate.left().remaining, 3);
        assert_eq!(rate.take(2).unwrap(), rate.left());
        assert_eq!(rate.take(2).unwrap_err(), rate.take(2).unwrap_err());
        assert_eq!((rate.left().remaining, rate.left().limit), (1, 60));
        // One that costs nothing is no reason to say that all is there.
        assert_eq!(rate.take(0).unwrap().remaining, 1);
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!(rate.left().remaining, 2);
        assert_eq!(rate.take(1).unwrap(), rate.left());
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(rate.left().remaining, 3);
        assert_eq!(rate.left().reset, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn over_a_long_time_no_more_happens_than_the_rate() {
        let rate = Rate::new(600, 20);
        let mut taken = 0;
        for _ in 0..6_000 {
            tokio::time::advance(Duration::from_millis(10)).await;
            taken += u32::from(rate.take(1).is_ok());
        }
        assert!((600..=620).contains(&taken), "{taken} in a minute");
    }
}
