//! The task that writes prices to Redis, several times a second.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::{Duration, MissedTickBehavior, interval, timeout};

use crate::app::gate::Gate;
use crate::app::metrics::Metrics;
use crate::app::now;
use crate::app::shelf::Means;
use crate::app::tasks::Tasks;
use crate::config;
use crate::sink::market::{Link, MarketError, Prices};

/// How often prices are made. A slot is about 400 ms.
const PERIOD: Duration = Duration::from_millis(250);

/// How long the last prices may take when the program ends.
const LAST: Duration = Duration::from_secs(2);

/// The task, while it runs.
pub(super) struct Telling {
    task: JoinHandle<()>,
    last: Teller,
}

impl Telling {
    /// Starts it.
    ///
    /// # Errors
    /// The address of Redis is none.
    pub(super) fn start(
        (settings, means): &(config::Redis, Means),
        tasks: &Tasks,
    ) -> Result<Self, MarketError> {
        let teller = || Teller::new(settings, means);
        let task = tasks.forever("prices", teller()?.run());
        Ok(Self {
            task,
            last: teller()?,
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
struct Teller {
    prices: Prices,
    link: Link,
    gate: Arc<Gate>,
    metrics: Metrics,
}

impl Teller {
    fn new(settings: &config::Redis, means: &Means) -> Result<Self, MarketError> {
        Ok(Self {
            prices: means.prices.clone(),
            link: Link::new(settings)?,
            gate: Arc::clone(&means.gate),
            metrics: means.metrics.clone(),
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
        // Before anything is made: then nothing is lost.
        let Ok(pass) = self.gate.try_pass() else {
            return;
        };
        match self.prices.publish(&mut self.link, now()).await {
            Ok(0) => drop(pass),
            Ok(count) => {
                pass.succeed();
                self.metrics.prices.inc_by(count as u64);
            }
            Err(error) => {
                pass.fail();
                let kind = format!("redis_{}", error.label());
                self.metrics.errors.with_label_values(&[&kind]).inc();
                tracing::warn!(%error, "Redis has not got prices; again soon");
            }
        }
        self.metrics.refused(self.prices.refused());
    }
}
