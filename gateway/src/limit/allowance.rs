//! What one consumer may do: how often, how much at once, and which methods.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{Duration, Instant, sleep};

use super::byte_rate::ByteRate;
use super::rate::{Exceeded, Rate, Remaining};
use crate::config;

/// The state of one consumer's plan.
#[derive(Debug)]
pub struct Allowance {
    plan: Arc<config::Plan>,
    requests: Option<Rate>,
    answers: Option<ByteRate>,
    waiting: AtomicUsize,
    /// Kept when the plan changes.
    running: Arc<AtomicUsize>,
}

/// A running request; dropped when it has ended.
#[derive(Debug)]
struct RunningRequest(Arc<AtomicUsize>);

impl RunningRequest {
    /// Adds a request, unless the maximum is reached.
    fn one(running: &Arc<AtomicUsize>, most: Option<usize>) -> Option<Self> {
        let before = running.fetch_add(1, Ordering::Relaxed);
        let counted = Self(Arc::clone(running));
        // One above the maximum is dropped here.
        most.is_none_or(|most| before < most).then_some(counted)
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An admitted request.
#[derive(Debug)]
pub struct AdmittedRequest {
    _running: RunningRequest,
    /// Present if requests are limited.
    pub remaining: Option<Remaining>,
    /// Present if answer bytes are limited.
    pub meter: Option<Meter>,
}

/// Counts the bytes of answers.
#[derive(Clone, Debug)]
pub struct Meter(Arc<Allowance>);

impl Meter {
    /// This many bytes are about to be sent to the consumer.
    pub fn count(&self, bytes: usize) {
        if let Some(answers) = &self.0.answers {
            answers.take(bytes, Instant::now());
        }
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanRefusal {
    /// Too many within the time.
    Rate {
        retry_after: Duration,
        remaining: Remaining,
    },
    /// Too many at once.
    Concurrency,
    /// Too many bytes of answers within the time.
    Bytes { retry_after: Duration },
    /// A batch with more calls than the burst.
    Batch { most: u32 },
}

impl PlanRefusal {
    /// All labels.
    pub const REASONS: [&str; 4] = ["rate", "concurrency", "batch", "bytes"];

    /// Value of the `reason` label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Rate { .. } => "rate",
            Self::Concurrency => "concurrency",
            Self::Batch { .. } => "batch",
            Self::Bytes { .. } => "bytes",
        }
    }
}

impl Allowance {
    pub(super) fn new(plan: &Arc<config::Plan>) -> Arc<Self> {
        Self::with(plan, Arc::default())
    }

    /// The same consumer's allowance with another plan.
    pub(super) fn renewed(&self, plan: &Arc<config::Plan>) -> Arc<Self> {
        Self::with(plan, Arc::clone(&self.running))
    }

    fn with(plan: &Arc<config::Plan>, running: Arc<AtomicUsize>) -> Arc<Self> {
        let requests = plan
            .requests_per_minute
            .map(|per_minute| Rate::new(per_minute, plan.burst));
        Arc::new(Self {
            plan: Arc::clone(plan),
            requests,
            answers: plan.answer_bytes_per_minute.map(ByteRate::new),
            waiting: AtomicUsize::new(0),
            running,
        })
    }

    pub fn plan(&self) -> &Arc<config::Plan> {
        &self.plan
    }

    /// What is left of its requests, if they are limited.
    pub fn remaining(&self) -> Option<Remaining> {
        self.requests.as_ref().map(Rate::left)
    }

    /// Admits a request that counts as `calls` calls, at once or after a short wait.
    ///
    /// # Errors
    /// The plan does not allow it now, or never.
    pub async fn admit(self: &Arc<Self>, calls: usize) -> Result<AdmittedRequest, PlanRefusal> {
        let running = RunningRequest::one(&self.running, self.plan.concurrent)
            .ok_or(PlanRefusal::Concurrency)?;
        let wait = |answers: &ByteRate| answers.wait(Instant::now());
        if let Some(retry_after) = self.answers.as_ref().and_then(wait) {
            return Err(PlanRefusal::Bytes { retry_after });
        }
        let remaining = match &self.requests {
            None => None,
            Some(rate) => Some(self.take(rate, calls).await?),
        };
        Ok(AdmittedRequest {
            _running: running,
            remaining,
            meter: self.answers.is_some().then(|| Meter(Arc::clone(self))),
        })
    }

    /// A short wait helps clients that do not retry by themselves; a request that would have to
    /// wait longer is refused at once.
    async fn take(&self, rate: &Rate, calls: usize) -> Result<Remaining, PlanRefusal> {
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        let most = self.plan.burst;
        let mut wait = match rate.take(calls) {
            Ok(remaining) => return Ok(remaining),
            Err(Exceeded::Always) => return Err(PlanRefusal::Batch { most }),
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
                Err(Exceeded::Always) => return Err(PlanRefusal::Batch { most }),
                Err(Exceeded::For(wait)) => wait,
            };
        }
    }

    /// As many may wait as the burst.
    fn waiting(&self) -> Option<WaitingRequest<'_>> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = WaitingRequest(&self.waiting);
        (before < usize::try_from(self.plan.burst).unwrap_or(usize::MAX)).then_some(waiting)
    }
}

fn refused(rate: &Rate, retry_after: Duration) -> PlanRefusal {
    PlanRefusal::Rate {
        retry_after,
        remaining: rate.exhausted(),
    }
}

struct WaitingRequest<'a>(&'a AtomicUsize);

impl Drop for WaitingRequest<'_> {
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
        // As many wait as the burst; further ones are refused at once.
        let Err(PlanRefusal::Rate {
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
            Err(PlanRefusal::Rate { .. })
        ));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_counts_as_its_calls_and_may_not_be_more_than_a_burst() {
        let allowance = allowance(600, 10);
        assert_eq!(
            allowance.admit(11).await.err(),
            Some(PlanRefusal::Batch { most: 10 })
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
        assert_eq!(
            allowance.admit(1).await.err(),
            Some(PlanRefusal::Concurrency)
        );
        drop(first);
        assert!(allowance.admit(1).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_taken_too_many_bytes_waits_until_they_are_earned() {
        let allowance = Allowance::new(&Arc::new(config::Plan {
            requests_per_minute: None,
            answer_bytes_per_minute: Some(1_000),
            ..config::Plan::default()
        }));
        let admitted = allowance.admit(1).await.unwrap();
        admitted.meter.as_ref().unwrap().count(1_500);
        let Err(PlanRefusal::Bytes { retry_after }) = allowance.admit(1).await else {
            panic!("more than there are");
        };
        assert_eq!(retry_after, Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(allowance.admit(1).await.is_ok());
    }
}
