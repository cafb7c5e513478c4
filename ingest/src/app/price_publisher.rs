//! Publishes prices to Redis several times a second.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::{Duration, MissedTickBehavior, interval, sleep, timeout};

use crate::app::clock::now;
use crate::app::metrics::Metrics;
use crate::app::redis_writer::RedisContext;
use crate::app::shared_breaker::SharedBreaker;
use crate::app::supervisor::Supervisor;
use crate::config;
use crate::sink::database::Database;
use crate::sink::market::{MarketError, PriceOracle, RedisConnection, Seen};

/// How often prices are made. A slot is about 400 ms.
const PERIOD: Duration = Duration::from_millis(250);

/// Time limit for reading what other processes have stored.
const READING: Duration = Duration::from_secs(20);

/// Time limit for the last prices when the program is stopped. Another process, or the next one, writes
/// them too.
pub(super) const LAST: Duration = Duration::from_secs(2);

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

    /// Writes what has come since the last time, before the program ends, and tries again until the
    /// limit is over.
    pub(super) async fn end(mut self, limit: Duration) {
        self.task.abort();
        drop(self.task.await);
        let last = async {
            if !self.last.tell().await {
                tracing::info!("waiting for Redis and the database to write the last prices");
                loop {
                    sleep(PERIOD).await;
                    if self.last.tell().await {
                        break;
                    }
                }
            }
            // Others notice by themselves.
            drop(self.last.prices.resign(&mut self.last.redis).await);
        };
        if timeout(limit, last).await.is_err() {
            let limit = humantime::format_duration(limit).to_string();
            tracing::warn!(
                limit,
                "could not write the last prices to Redis in time; it keeps older ones"
            );
        }
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

    /// Whether Redis now has the prices of everything that is stored.
    async fn tell(&mut self) -> bool {
        let seen = self.follow().await == Some(Seen::All);
        // Before anything is computed: then nothing is lost.
        let Ok(permit) = self.breaker.try_acquire() else {
            return false;
        };
        let published = self.prices.publish(&mut self.redis, now()).await;
        let written = published.is_ok();
        match published {
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
        seen && written
    }

    /// Reads what other processes have stored. None if that failed.
    async fn follow(&mut self) -> Option<Seen> {
        let followed = timeout(READING, self.prices.follow(&self.database, now())).await;
        let error = match followed {
            Ok(Ok(seen)) => {
                self.blind = false;
                return Some(seen);
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
        None
    }
}
