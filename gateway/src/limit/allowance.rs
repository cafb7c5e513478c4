//! What one consumer may do: how often, how much at once, and which methods.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{Duration, Instant, sleep};

use super::rate::{Exceeded, Rate, Remaining};
use crate::config;

/// The state of one consumer's plan.
#[derive(Debug)]
pub struct Allowance {
    plan: Arc<config::Plan>,
    requests: Option<Rate>,
    running: AtomicUsize,
    waiting: AtomicUsize,
}

/// A request that runs; dropped when it has ended.
#[derive(Debug)]
pub struct Running(Arc<Allowance>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that may go on.
#[derive(Debug)]
pub struct Admitted {
    pub running: Running,
    /// Where requests are limited.
    pub remaining: Option<Remaining>,
}

/// A request that may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too many within the time.
    Rate {
        retry_after: Duration,
        remaining: Remaining,
    },
    /// Too many at once.
    Concurrency,
    /// A batch of more calls than the burst is.
    Batch { most: u32 },
}

impl Refused {
    /// All labels.
    pub const REASONS: [&str; 3] = ["rate", "concurrency", "batch"];

    /// Value of the `reason` label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Rate { .. } => "rate",
            Self::Concurrency => "concurrency",
            Self::Batch { .. } => "batch",
        }
    }
}

impl Allowance {
    pub(super) fn new(plan: &Arc<config::Plan>) -> Arc<Self> {
        let requests = plan
            .requests_per_minute
            .map(|per_minute| Rate::new(per_minute, plan.burst));
        Arc::new(Self {
            plan: Arc::clone(plan),
            requests,
            running: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        })
    }

    pub fn plan(&self) -> &Arc<config::Plan> {
        &self.plan
    }

    /// Lets a request with so many calls go on, at once or after a short wait.
    ///
    /// # Errors
    /// The plan does not allow it now, or never.
    pub async fn admit(self: &Arc<Self>, calls: usize) -> Result<Admitted, Refused> {
        let most = self.plan.concurrent.unwrap_or(usize::MAX);
        if self.running.fetch_add(1, Ordering::Relaxed) >= most {
            self.running.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::Concurrency);
        }
        let running = Running(Arc::clone(self));
        let remaining = match &self.requests {
            None => None,
            Some(rate) => Some(self.take(rate, calls).await?),
        };
        Ok(Admitted { running, remaining })
    }

    /// Clients that do not try again by themselves are helped by a short wait; whoever would have to
    /// wait longer is told at once.
    async fn take(&self, rate: &Rate, calls: usize) -> Result<Remaining, Refused> {
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        let most = self.plan.burst;
        let mut wait = match rate.take(calls) {
            Ok(remaining) => return Ok(remaining),
            Err(Exceeded::Always) => return Err(Refused::Batch { most }),
            Err(Exceeded::For(wait)) => wait,
        };
        let Some(_waiting) = self.waiting() else {
            return Err(refused(rate, wait));
        };
        let until = Instant::now() + self.plan.queue;
        loop {
            if Instant::now() + wait > until {
                return Err(refused(rate, wait));
            }
            sleep(wait).await;
            wait = match rate.take(calls) {
                Ok(remaining) => return Ok(remaining),
                Err(Exceeded::Always) => return Err(Refused::Batch { most }),
                Err(Exceeded::For(wait)) => wait,
            };
        }
    }

    /// As many may wait as a burst is.
    fn waiting(&self) -> Option<Waiting<'_>> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        (before < usize::try_from(self.plan.burst).unwrap_or(usize::MAX)).then_some(waiting)
    }
}

fn refused(rate: &Rate, retry_after: Duration) -> Refused {
    Refused::Rate {
        retry_after,
        remaining: rate.exhausted(),
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(per_minute: u32, burst: u32) -> Arc<Allowance> {
        Allowance::new(&Arc::new(config::Plan {
            requests_per_minute: Some(per_minute),
            burst,
            queue: Duration::from_secs(1),
            ..config::Plan::default()
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_a_little_too_fast_waits_and_who_is_much_too_fast_is_told() {
        let allowance = allowance(60, 1);
        assert!(allowance.admit(1).await.is_ok());
        let begun = Instant::now();
        assert!(allowance.admit(1).await.is_ok());
        assert!(begun.elapsed() >= Duration::from_millis(990));

        let own = Arc::clone(&allowance);
        let waits = tokio::spawn(async move { own.admit(1).await.is_ok() });
        tokio::task::yield_now().await;
        // As many wait as a burst is; more are told at once.
        let Err(Refused::Rate {
            retry_after,
            remaining,
        }) = allowance.admit(1).await
        else {
            panic!("two wait");
        };
        assert!(retry_after > Duration::ZERO);
        assert_eq!((remaining.limit, remaining.remaining), (60, 0));
        assert!(waits.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_queue_lets_him() {
        let allowance = allowance(6, 1);
        assert!(allowance.admit(1).await.is_ok());
        let begun = Instant::now();
        assert!(matches!(
            allowance.admit(1).await,
            Err(Refused::Rate { .. })
        ));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_counts_as_its_calls_and_may_not_be_more_than_a_burst() {
        let allowance = allowance(600, 10);
        assert_eq!(
            allowance.admit(11).await.err(),
            Some(Refused::Batch { most: 10 })
        );
        let admitted = allowance.admit(10).await.unwrap();
        assert_eq!(admitted.remaining.unwrap().remaining, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_run_at_once_and_no_more() {
        let allowance = Allowance::new(&Arc::new(config::Plan {
            requests_per_minute: None,
            concurrent: Some(2),
            ..config::Plan::default()
        }));
        let first = allowance.admit(1).await.unwrap();
        let _second = allowance.admit(1).await.unwrap();
        assert_eq!(allowance.admit(1).await.err(), Some(Refused::Concurrency));
        drop(first);
        assert!(allowance.admit(1).await.is_ok());
    }
}
