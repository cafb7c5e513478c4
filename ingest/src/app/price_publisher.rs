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
use crate::sink::market::{MarketError, PriceOracle, RedisConnection};

/// How often prices are made. A slot is about 400 ms.
const PERIOD: Duration = Duration::from_millis(250);

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
        drop(timeout(LAST, self.last.tell()).await);
    }
}

/// What the task needs.
struct PublishTask {
    prices: PriceOracle,
    redis: RedisConnection,
    breaker: Arc<SharedBreaker>,
    metrics: Metrics,
}

impl PublishTask {
    fn new(settings: &config::Redis, context: &RedisContext) -> Result<Self, MarketError> {
        Ok(Self {
            prices: context.prices.clone(),
            redis: RedisConnection::new(settings)?,
            breaker: Arc::clone(&context.breaker),
            metrics: context.metrics.clone(),
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
        // Before anything is computed: then nothing is lost.
        let Ok(permit) = self.breaker.try_acquire() else {
            return;
        };
        match self.prices.publish(&mut self.redis, now()).await {
            Ok(None) => drop(permit),
            Ok(Some(count)) => {
                permit.succeed();
                self.metrics.prices.inc_by(count);
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
}
