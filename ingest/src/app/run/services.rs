//! What both ways of running share.

use std::sync::Arc;

use prometheus::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::RunError;
use crate::app::health::Health;
use crate::app::kind_check::KindCheck;
use crate::app::metrics::Metrics;
use crate::app::pipeline::{Pipeline, PipelineContext};
use crate::app::shared_breaker::SharedBreaker;
use crate::app::supervisor::{Stop, Stops, Supervisor};
use crate::config::Config;
use crate::source::{BufferBudget, Control, Source};

/// What both ways of running share.
pub(super) struct Services {
    pub(super) registry: Registry,
    pub(super) metrics: Metrics,
    pub(super) health: Health,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) budget: Arc<BufferBudget>,
    pub(super) supervisor: Supervisor,
    stops: Stops,
}

impl Services {
    pub(super) fn new(config: &Config) -> Result<Self, RunError> {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry)?;
        metrics.begin(config.streams.iter().map(|stream| &*stream.topic));
        let breaker = |sink: &str| {
            let gauge = metrics.breaker.with_label_values(&[sink]);
            Arc::new(SharedBreaker::new(config.breaker.clone(), gauge))
        };
        let stopping = stopping()?;
        let health = Health {
            source: Arc::default(),
            database: breaker("database"),
            redis: config.redis.as_ref().map(|_| breaker("redis")),
            kinds: KindCheck::new(&config.streams, metrics.wrong_kind.clone()).into(),
            stopping: stopping.clone(),
            started: Instant::now(),
        };
        let (supervisor, stops) = Supervisor::new();
        Ok(Self {
            registry,
            metrics,
            health,
            stopping,
            budget: BufferBudget::new(&config.buffer),
            supervisor,
            stops,
        })
    }

    /// The outcome of some work, unless a task ends meanwhile that should not have.
    ///
    /// # Errors
    /// Such a task has ended.
    pub(super) async fn supervised<F: Future>(&mut self, work: F) -> Result<F::Output, RunError> {
        tokio::select! {
            biased;
            end = self.stops.next() => Err(ended(end)),
            done = work => Ok(done),
        }
    }

    /// Looks once more, when all is done, for a task that has ended in the meantime.
    ///
    /// # Errors
    /// There is one.
    pub(super) async fn all_ended_well(&mut self) -> Result<(), RunError> {
        self.supervised(std::future::ready(())).await
    }

    /// Runs until the source has ended, or a task that should not have.
    pub(super) async fn run(
        &mut self,
        context: PipelineContext,
        source: Source,
    ) -> Result<(), RunError> {
        let control = source.control().clone();
        self.health.follow(&control);
        stop_when_told(self.stopping.clone(), control);
        Ok(self.supervised(Pipeline::run(context, source)).await??)
    }
}

fn ended(end: Stop) -> RunError {
    match end {
        Stop::TaskEnded(name) => {
            tracing::error!(task = name, "task ended unexpectedly; shutting down");
            RunError::Task(name)
        }
        Stop::Misconfigured(reason) => {
            tracing::error!(
                reason,
                "the configuration does not fit the stream; shutting down"
            );
            RunError::Misconfigured(reason)
        }
    }
}

/// Becomes true when the program is asked to stop.
fn stopping() -> std::io::Result<watch::Receiver<bool>> {
    let (told, stopping) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("shutting down; writing what has been read");
        told.send_replace(true);
        // Nobody needs to know more.
        told.closed().await;
    });
    Ok(stopping)
}

fn stop_when_told(mut stopping: watch::Receiver<bool>, control: Control) {
    tokio::spawn(async move {
        if stopping.wait_for(|told| *told).await.is_ok() {
            control.stop();
        }
    });
}
