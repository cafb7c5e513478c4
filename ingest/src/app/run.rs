//! The commands `run` and `replay`: a source connected to the sinks, until it ends or is stopped.

mod error;
mod services;

use std::io::BufReader;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use perijove_core::settings::Files;
use perijove_core::telemetry;
use tokio::sync::watch;
use tokio::time::{Duration, sleep};

use crate::app::check::{kafka as kafka_of, load};
use crate::app::clock::now;
use crate::app::console::{complain, say};
use crate::app::convert::Converter;
use crate::app::credentials::CredentialWatch;
use crate::app::database_writer::DatabaseWriter;
use crate::app::housekeeping;
use crate::app::http::HttpState;
use crate::app::lane::OnWrongKind;
use crate::app::metrics::Metrics;
use crate::app::pipeline::PipelineContext;
use crate::app::price_publisher::{LAST, PricePublisher};
use crate::app::progress::{Counted, ProgressOutput, ProgressReport, with_progress};
use crate::app::redis_writer::RedisContext;
use crate::app::shared_breaker::SharedBreaker;
use crate::cli::{ConfigArgs, Exit};
use crate::config::{self, Config};
use crate::recording::RecordingReader;
use crate::sink::database::{Database, DatabaseError};
use crate::sink::market::{MarketError, PriceOracle};
use crate::source::{SourceMetrics, kafka, replay};
use error::RunError;
use services::Services;

/// The consumer group under which a recording's offsets are kept.
const REPLAY: &str = "replay";

/// How long to wait before an unavailable database is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long leaving the group may take, once what was read has been stored or the grace period is
/// over. The client waits for brokers, however long they are stuck.
const LEAVING: Duration = Duration::from_secs(2);

/// Follows Kafka until it is stopped.
pub(super) fn run(chosen: &ConfigArgs) -> Exit {
    end(start(chosen, None))
}

/// Stores a recording and exits.
pub(super) fn replay(chosen: &ConfigArgs, file: &Path) -> Exit {
    end(start(chosen, Some(file)))
}

fn end(result: Result<(), RunError>) -> Exit {
    match result {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(&format!("perijove-ingest: {error}"));
            if matches!(
                error,
                RunError::Config(_) | RunError::NoKafka(_) | RunError::Misconfigured(_)
            ) {
                Exit::BadConfig
            } else {
                Exit::Failed
            }
        }
    }
}

fn start(chosen: &ConfigArgs, recording: Option<&Path>) -> Result<(), RunError> {
    let loaded = load(chosen)?;
    let config = loaded.config;
    if recording.is_none() {
        // Before a database is created for nothing.
        kafka_of(&config)?;
    }
    let _telemetry = telemetry::start(config.log.format, &config.log.level)?;
    for warning in &loaded.warnings {
        tracing::warn!("configuration: {warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ran = runtime.block_on(async {
        match recording {
            Some(file) => Box::pin(store_recording(&config, file)).await,
            None => Box::pin(follow(&config, chosen.config.as_deref(), loaded.files)).await,
        }
    });
    // A name that is being looked up, for instance, holds up nobody.
    runtime.shutdown_timeout(LEAVING);
    ran
}

async fn store_recording(config: &Config, file: &Path) -> Result<(), RunError> {
    let mut services = Services::new(config)?;
    let failed = |source| RunError::Recording {
        file: file.display().to_string(),
        source,
    };
    let opened = Counted::open(file).map_err(|error| failed(error.into()))?;
    let (read, length) = (opened.count(), opened.length());
    let reader = RecordingReader::new(BufReader::new(opened)).map_err(failed)?;
    let opening = Box::pin(database(config, services.stopping.clone()));
    let Some(database) = services.supervised(opening).await?? else {
        return Err(RunError::GaveUp);
    };
    let context = PipelineContext {
        on_wrong_kind: OnWrongKind::EndProgram,
        ..pipeline_context(config, &services, REPLAY.to_owned(), database)
    };
    context.begin_where_it_was().await;
    let price_publisher = price_publisher(&context)?;
    let gave_up = Arc::clone(&context.gave_up);
    let source = replay::start(reader, &services.budget, config.shutdown.grace)?;
    let progress = ProgressReport::new("replay", "messages", length, ProgressOutput::Log);
    let metrics = services.metrics.clone();
    let look = || (read.load(Ordering::Relaxed), metrics.messages());
    let running = Box::pin(services.run(context, source));
    let ran = with_progress(running, &progress, look).await;
    if let Some(price_publisher) = price_publisher {
        price_publisher.end(config.shutdown.grace).await;
    }
    say(&services.metrics.summary());
    if gave_up.load(Ordering::Acquire) {
        return Err(RunError::GaveUp);
    }
    ran?;
    services.all_ended_well().await
}

async fn follow(config: &Config, file: Option<&Path>, files: Files) -> Result<(), RunError> {
    let mut services = Services::new(config)?;
    let state = HttpState {
        health: services.health.clone(),
        registry: services.registry.clone(),
    };
    housekeeping::listen(config, state, &services.supervisor).await?;
    let mut kafka = kafka_of(config)?.clone();
    let topics: Vec<String> = config
        .streams
        .iter()
        .map(|stream| stream.topic.clone())
        .collect();
    let metrics = SourceMetrics::register(&services.registry, &kafka.group.id, &topics)?;
    let opening = Box::pin(database(config, services.stopping.clone()));
    let Some(database) = services.supervised(opening).await?? else {
        return Ok(());
    };
    housekeeping::start(config, &database, &services.metrics, &services.supervisor);
    let context = pipeline_context(config, &services, kafka.group.id.clone(), database);
    context.begin_where_it_was().await;
    let price_publisher = price_publisher(&context)?;
    let mut credentials = file.map(|file| CredentialWatch::new(file, files, kafka.clone()));
    let ran = loop {
        let subscription = kafka::Subscription {
            topics: topics.clone(),
            budget: Arc::clone(&services.budget),
            grace: config.shutdown.grace,
            clock: now,
        };
        let source = kafka::start(&kafka, subscription, metrics.clone())?;
        let control = source.control().clone();
        let mut next = None;
        let left = when_left(services.stopping.clone(), config.shutdown.grace);
        let ran = {
            let mut running = pin!(services.run(context.clone(), source));
            let renewal = async {
                let settings = renewed(credentials.as_mut()).await;
                tracing::info!("credentials or certificates have changed; reconnecting to Kafka");
                next = Some(settings);
                control.stop();
                std::future::pending::<()>().await;
            };
            tokio::select! {
                ran = &mut running => ran,
                () = left => break Ok(()),
                () = renewal => Ok(()),
            }
        };
        match next {
            Some(settings) if ran.is_ok() && !*services.stopping.borrow() => kafka = settings,
            _ => break ran,
        }
    };
    if let Some(price_publisher) = price_publisher {
        price_publisher.end(LAST).await;
    }
    ran?;
    services.all_ended_well().await
}

/// Waits until the program has been asked to stop and has had the time for it.
async fn when_left(mut stopping: watch::Receiver<bool>, grace: Duration) {
    if stopping.wait_for(|told| *told).await.is_err() {
        std::future::pending::<()>().await;
    }
    sleep(grace + LEAVING).await;
    tracing::warn!("the Kafka client does not end; leaving without it");
}

/// The settings of Kafka once they change.
async fn renewed(credentials: Option<&mut CredentialWatch>) -> config::Kafka {
    match credentials {
        Some(credentials) => credentials.next().await,
        None => std::future::pending().await,
    }
}

fn price_publisher(context: &PipelineContext) -> Result<Option<PricePublisher>, MarketError> {
    let start = |redis| PricePublisher::start(redis, &context.supervisor);
    context.redis.as_ref().map(start).transpose()
}

/// What the pipeline works with.
fn pipeline_context(
    config: &Config,
    services: &Services,
    group: String,
    database: Database,
) -> PipelineContext {
    let (health, metrics) = (&services.health, &services.metrics);
    let redis = config.redis.clone().zip(health.redis.clone());
    let redis =
        redis.map(|(settings, breaker)| (settings, redis_context(&database, breaker, metrics)));
    let writer = DatabaseWriter {
        database,
        breaker: Arc::clone(&health.database),
        metrics: metrics.clone(),
        limit: config.database.timeout,
    };
    PipelineContext {
        group: group.into(),
        writer,
        converter: Converter::new(config, Arc::clone(&health.kinds), metrics.clone()),
        metrics: metrics.clone(),
        batch: config.batch.clone(),
        redis,
        gave_up: Arc::default(),
        on_wrong_kind: OnWrongKind::StopTopic,
        supervisor: services.supervisor.clone(),
    }
}

/// What bringing batches to Redis needs.
fn redis_context(
    database: &Database,
    breaker: Arc<SharedBreaker>,
    metrics: &Metrics,
) -> RedisContext {
    RedisContext {
        database: database.clone(),
        breaker,
        metrics: metrics.clone(),
        clock: now,
        prices: PriceOracle::default(),
    }
}

/// Opens the database, however long it is unavailable. `None` if the program is stopped before.
async fn database(
    config: &Config,
    mut stopping: watch::Receiver<bool>,
) -> Result<Option<Database>, DatabaseError> {
    let opened = async {
        loop {
            match Database::open(&config.database).await {
                Err(error) if error.is_passing() => {
                    tracing::warn!(%error, "database unavailable; retrying");
                    sleep(AGAIN).await;
                }
                opened => return opened,
            }
        }
    };
    tokio::select! {
        opened = opened => opened.map(Some),
        _told = stopping.wait_for(|told| *told) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whatever_does_not_end_is_left_behind_after_the_grace_period() {
        let grace = Duration::from_secs(5);
        let (told, stopping) = watch::channel(false);
        let day = Duration::from_hours(24);
        let early = tokio::time::timeout(day, when_left(stopping.clone(), grace)).await;
        assert!(early.is_err());
        told.send_replace(true);
        let begun = Instant::now();
        when_left(stopping, grace).await;
        assert_eq!(begun.elapsed(), grace + LEAVING);
    }
}
