//! Publishes prices to Redis several times a second.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::{Duration, MissedTickBehavior, interval, timeout};

use crate::app::clock::now;
use crate::app::metrics::Metrics;
use crate::app::redis_writer::RedisContext;
use crate::app::shared_breaker::SharedBreaker;
use crate::app::supervisor::Supervisor;
use crate::config;
use crate::sink::database::Database;
use crate::sink::market::{MarketError, PriceOracle, RedisConnection};

/// How often prices are made. A slot is about 400 ms.
const PERIOD: Duration = Duration::from_millis(250);

/// Time limit for reading what other processes have stored.
const READING: Duration = Duration::from_secs(20);

/// Time limit for the last prices when the program exits.
const LAST: Duration = Duration::from_secs(2);

/// The task, while it runs.
pub(super) struct PricePublisher {
    task: JoinHandle<()>,
    last: PublishTask,
}

impl PricePublisher {
    /// Starts it.
    ///
    /// # Errors
    /// The address of Redis is none.
    pub(super) fn start(
        (settings, context): &(config::Redis, RedisContext),
        supervisor: &Supervisor,
    ) -> Result<Self, MarketError> {
        let publish_task = || PublishTask::new(settings, context);
        let task = supervisor.forever("prices", publish_task()?.run());
        Ok(Self {
            task,
            last: publish_task()?,
        })
    }

    /// Writes what has come since the last time, before the program ends.
    pub(super) async fn end(mut self) {
        self.task.abort();
        drop(self.task.await);
        let last = async {
            self.last.tell().await;
            // What failed to be written has been logged; others notice by themselves.
            drop(self.last.prices.resign(&mut self.last.redis).await);
        };
        drop(timeout(LAST, last).await);
    }
}

/// What the task needs.
struct PublishTask {
    prices: PriceOracle,
    database: Database,
    redis: RedisConnection,
    breaker: Arc<SharedBreaker>,
    metrics: Metrics,
    /// Whether the database failed when it was last read.
    blind: bool,
}

impl PublishTask {
    fn new(settings: &config::Redis, context: &RedisContext) -> Result<Self, MarketError> {
        Ok(Self {
            prices: context.prices.clone(),
            database: context.database.clone(),
            redis: RedisConnection::new(settings)?,
            breaker: Arc::clone(&context.breaker),
            metrics: context.metrics.clone(),
            blind: false,
        })
    }

    async fn run(mut self) {
        let mut times = interval(PERIOD);
        times.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            times.tick().await;
            self.tell().await;
        }
    }

    async fn tell(&mut self) {
        self.follow().await;
        // Before anything is computed: then nothing is lost.
        let Ok(permit) = self.breaker.try_acquire() else {
            return;
        };
        match self.prices.publish(&mut self.redis, now()).await {
            Ok(published) => {
                permit.succeed();
                self.metrics.prices.inc_by(published.prices);
                self.metrics.price_writer.set(published.writes.into());
            }
            Err(error) => {
                permit.fail();
                let kind = format!("redis_{}", error.label());
                self.metrics.errors.with_label_values(&[&kind]).inc();
                tracing::warn!(%error, "Redis write of prices failed; retrying");
            }
        }
        self.metrics.refused(self.prices.ignored());
    }

    /// Reads what other processes have stored.
    async fn follow(&mut self) {
        let followed = timeout(READING, self.prices.follow(&self.database, now())).await;
        let error = match followed {
            Ok(Ok(())) => {
                self.blind = false;
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => "timed out".to_owned(),
        };
        self.metrics.errors.with_label_values(&["prices"]).inc();
        if !std::mem::replace(&mut self.blind, true) {
            tracing::warn!(
                error,
                "cannot read what other processes have stored; retrying"
            );
        }
    }
}
