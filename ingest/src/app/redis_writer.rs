//! Writes the batches of one lane to Redis after the database has them. While Redis is available the
//! lane waits for it, so that it does not fall further and further behind; while it is not, the lane
//! keeps storing, and Redis is rebuilt from the database later.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep_until};

use crate::app::metrics::Metrics;
use crate::app::shared_breaker::{Permit, SharedBreaker};
use crate::app::supervisor::Supervisor;
use crate::record::UnixMillis;
use crate::sink::database::{Committed, Database};
use crate::sink::market::{Applied, LaneMirror, MarketError, PriceOracle};

/// Batches that may be queued for Redis; then the lane waits.
const WAITING: usize = 4;

/// Between attempts after a failure, if the breaker allows them.
const AGAIN: Duration = Duration::from_millis(500);

/// The queue to the task that writes.
#[derive(Debug)]
pub(super) struct RedisWriter {
    batches: mpsc::Sender<Committed>,
    /// The last batch that was queued or skipped.
    last: Arc<AtomicI64>,
    /// Whether the lane waits for the queue; otherwise batches are skipped when it is full.
    flows: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

/// What the task needs.
#[derive(Clone, Debug)]
pub(super) struct RedisContext {
    pub(super) database: Database,
    pub(super) breaker: Arc<SharedBreaker>,
    pub(super) metrics: Metrics,
    pub(super) clock: fn() -> UnixMillis,
    pub(super) prices: PriceOracle,
}

struct Task {
    mirror: LaneMirror,
    context: RedisContext,
    /// The last batch of the lane that Redis has.
    batch: i64,
    last: Arc<AtomicI64>,
    flows: watch::Sender<bool>,
    /// Redis lacks something; nothing may be applied before it is rebuilt.
    behind: bool,
}

impl RedisWriter {
    /// For a lane whose last batch this is. What Redis lacks of it is rebuilt first.
    pub(super) fn start(
        mirror: LaneMirror,
        batch: i64,
        context: RedisContext,
        supervisor: &Supervisor,
    ) -> Self {
        let (batches, received) = mpsc::channel(WAITING);
        let (flowing, flows) = watch::channel(false);
        let last = Arc::new(AtomicI64::new(batch));
        let task = Task {
            mirror,
            context,
            batch: 0,
            last: Arc::clone(&last),
            flows: flowing,
            behind: true,
        };
        let task = supervisor.until_done("redis", task.run(received));
        Self {
            batches,
            last,
            flows,
            task,
        }
    }

    /// Queues a batch. If there is no room it waits, or skips the batch while Redis is unavailable:
    /// then it is read from the database later.
    pub(super) async fn put(&mut self, committed: Committed) {
        self.last.store(committed.batch, Ordering::Release);
        tokio::select! {
            biased;
            Ok(room) = self.batches.reserve() => room.send(committed),
            _stopped = self.flows.wait_for(|flows| !flows) => {
                tracing::debug!("Redis is falling behind; the batch will be rebuilt from the database");
            }
        }
    }

    /// Waits until everything queued is in Redis, as far as Redis accepts it.
    pub(super) async fn finish(self) {
        drop(self.batches);
        drop(self.task.await);
    }

    /// Stops it immediately.
    pub(super) fn abort(self) {
        self.task.abort();
    }
}

impl Task {
    async fn run(mut self, mut batches: mpsc::Receiver<Committed>) {
        let mut retry = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = sleep_until(retry), if self.behind => {
                    self.rebuild().await;
                    retry = Instant::now() + AGAIN;
                }
                committed = batches.recv() => {
                    let Some(committed) = committed else {
                        break;
                    };
                    if !self.behind && committed.batch > self.batch {
                        self.apply(&committed).await;
                        retry = Instant::now() + AGAIN;
                    }
                }
            }
        }
        if self.behind {
            self.rebuild().await;
        }
    }

    async fn apply(&mut self, committed: &Committed) {
        let Ok(permit) = self.context.breaker.try_acquire() else {
            self.fall_behind();
            return;
        };
        let begun = Instant::now();
        match self.mirror.apply(&self.context.database, committed).await {
            Ok(applied) => {
                permit.succeed();
                self.batch = committed.batch;
                self.context.note(applied, begun, committed);
            }
            Err(error) => {
                judge(permit, &error);
                self.context.complain(&error);
                self.fall_behind();
            }
        }
    }

    fn fall_behind(&mut self) {
        self.behind = true;
        self.flows.send_replace(false);
    }

    /// Brings Redis up to the last batch. In two rounds: during the first, which may take long, the
    /// lane continues; what it has skipped by then is little, and the lane waits for that.
    async fn rebuild(&mut self) {
        if !self.rebuild_once().await {
            return;
        }
        self.flows.send_replace(true);
        if self.last.load(Ordering::Acquire) > self.batch && !self.rebuild_once().await {
            self.fall_behind();
            return;
        }
        self.behind = false;
    }

    async fn rebuild_once(&mut self) -> bool {
        let Ok(permit) = self.context.breaker.try_acquire() else {
            return false;
        };
        let last = self.last.load(Ordering::Acquire);
        let begun = Instant::now();
        match self.mirror.rebuild(&self.context.database, last).await {
            Ok(()) => {
                permit.succeed();
                self.batch = last;
                self.context
                    .note(Applied::Rebuilt, begun, &Committed::default());
                true
            }
            Err(error) => {
                judge(permit, &error);
                self.context.complain(&error);
                false
            }
        }
    }
}

/// That the database failed says nothing about Redis.
fn judge(permit: Permit<'_>, error: &MarketError) {
    if matches!(error, MarketError::Store(_)) {
        drop(permit);
    } else {
        permit.fail();
    }
}

impl RedisContext {
    fn note(&self, applied: Applied, begun: Instant, committed: &Committed) {
        let how = match applied {
            Applied::Live => "live",
            Applied::Rebuilt => {
                self.prices.republish_all();
                "mended"
            }
        };
        self.metrics.applied.with_label_values(&[how]).inc();
        let seconds = self.metrics.sink_seconds.with_label_values(&["redis"]);
        seconds.observe(begun.elapsed().as_secs_f64());
        let oldest = committed.ticks.iter().map(|tick| tick.time).min();
        if let Some(oldest) = oldest {
            let delay = (self.clock)().0.saturating_sub(oldest).max(0);
            let delay = u64::try_from(delay).unwrap_or_default();
            self.metrics
                .delay
                .observe(Duration::from_millis(delay).as_secs_f64());
        }
    }

    fn complain(&self, error: &MarketError) {
        let kind = format!("redis_{}", error.label());
        self.metrics.errors.with_label_values(&[&kind]).inc();
        tracing::warn!(%error, "Redis write failed; the batch will be rebuilt from the database");
    }
}
