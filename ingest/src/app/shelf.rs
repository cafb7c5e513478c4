//! Brings the batches of one lane to Redis, behind the database's back. While Redis takes them the
//! lane waits for it, or it would fall ever further behind; while it does not, the lane goes on
//! storing, and what Redis missed is mended when it is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep_until};

use crate::app::gate::{Gate, Pass};
use crate::app::metrics::Metrics;
use crate::app::tasks::Tasks;
use crate::record::UnixMillis;
use crate::sink::database::{Committed, Database};
use crate::sink::market::{Applied, Keeper, MarketError, Prices};

/// Batches that may wait for Redis. Beyond it the lane waits.
const WAITING: usize = 4;

/// How long after a failure it is tried again, while the breaker lets it.
const AGAIN: Duration = Duration::from_millis(500);

/// Where batches are handed in.
#[derive(Debug)]
pub(super) struct Shelf {
    batches: mpsc::Sender<Committed>,
    /// The last batch that was handed in, or left out.
    last: Arc<AtomicI64>,
    /// Whether batches are waited for; otherwise what finds no room is left out.
    flows: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

/// What the task needs.
#[derive(Clone, Debug)]
pub(super) struct Means {
    pub(super) database: Database,
    pub(super) gate: Arc<Gate>,
    pub(super) metrics: Metrics,
    pub(super) clock: fn() -> UnixMillis,
    pub(super) prices: Prices,
}

struct Task {
    keeper: Keeper,
    means: Means,
    /// The last batch of the lane that Redis has.
    batch: i64,
    last: Arc<AtomicI64>,
    flows: watch::Sender<bool>,
    /// Redis lacks something, and nothing is to be applied before that is mended.
    behind: bool,
}

impl Shelf {
    /// For a lane that was left at a batch. What Redis lacks of it is mended first.
    pub(super) fn start(keeper: Keeper, batch: i64, means: Means, tasks: &Tasks) -> Self {
        let (batches, received) = mpsc::channel(WAITING);
        let (flowing, flows) = watch::channel(false);
        let last = Arc::new(AtomicI64::new(batch));
        let task = Task {
            keeper,
            means,
            batch: 0,
            last: Arc::clone(&last),
            flows: flowing,
            behind: true,
        };
        let task = tasks.until_done("redis", task.run(received));
        Self {
            batches,
            last,
            flows,
            task,
        }
    }

    /// Hands in a batch. When there is no room it waits, or leaves it out while Redis takes nothing:
    /// then it is read from the database later.
    pub(super) async fn put(&mut self, committed: Committed) {
        self.last.store(committed.batch, Ordering::Release);
        tokio::select! {
            biased;
            Ok(room) = self.batches.reserve() => room.send(committed),
            _stopped = self.flows.wait_for(|flows| !flows) => {
                tracing::debug!("Redis falls behind; it will be mended");
            }
        }
    }

    /// Waits until everything that was handed in is in Redis, as far as Redis takes it.
    pub(super) async fn finish(self) {
        drop(self.batches);
        drop(self.task.await);
    }

    /// Ends it where it is.
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
                    self.mend().await;
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
            self.mend().await;
        }
    }

    async fn apply(&mut self, committed: &Committed) {
        let Ok(pass) = self.means.gate.try_pass() else {
            self.fall_behind();
            return;
        };
        let begun = Instant::now();
        match self.keeper.apply(&self.means.database, committed).await {
            Ok(applied) => {
                pass.succeed();
                self.batch = committed.batch;
                self.means.note(applied, begun, committed);
            }
            Err(error) => {
                judge(pass, &error);
                self.means.complain(&error);
                self.fall_behind();
            }
        }
    }

    fn fall_behind(&mut self) {
        self.behind = true;
        self.flows.send_replace(false);
    }

    /// Brings Redis up to the last batch there is. Twice: while it is done the first time, which may
    /// take long, the lane goes on; what it has left out by then is little, and it waits for that.
    async fn mend(&mut self) {
        if !self.mend_once().await {
            return;
        }
        self.flows.send_replace(true);
        if self.last.load(Ordering::Acquire) > self.batch && !self.mend_once().await {
            self.fall_behind();
            return;
        }
        self.behind = false;
    }

    async fn mend_once(&mut self) -> bool {
        let Ok(pass) = self.means.gate.try_pass() else {
            return false;
        };
        let last = self.last.load(Ordering::Acquire);
        let begun = Instant::now();
        match self.keeper.mend(&self.means.database, last).await {
            Ok(()) => {
                pass.succeed();
                self.batch = last;
                self.means
                    .note(Applied::Mended, begun, &Committed::default());
                true
            }
            Err(error) => {
                judge(pass, &error);
                self.means.complain(&error);
                false
            }
        }
    }
}

/// That the database failed says nothing about Redis.
fn judge(pass: Pass<'_>, error: &MarketError) {
    if matches!(error, MarketError::Store(_)) {
        drop(pass);
    } else {
        pass.fail();
    }
}

impl Means {
    fn note(&self, applied: Applied, begun: Instant, committed: &Committed) {
        let how = match applied {
            Applied::Live => "live",
            Applied::Mended => {
                self.prices.tell_all();
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
        tracing::warn!(%error, "Redis has not got a batch; it will be mended");
    }
}
