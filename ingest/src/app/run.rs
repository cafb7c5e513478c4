//! The commands `run` and `replay`: a source joined to the sinks, until it ends or is told to.

use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use perijove_core::telemetry::{self, TelemetryError};
use prometheus::Registry;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, interval, sleep};

use crate::app::check::{NoKafka, kafka as kafka_of, load};
use crate::app::convert::Converter;
use crate::app::gate::Gate;
use crate::app::health::Health;
use crate::app::http::{Told, router};
use crate::app::metrics::Metrics;
use crate::app::pipeline::{Parts, Pipeline};
use crate::app::prices::Telling;
use crate::app::shelf::Means;
use crate::app::store::Store;
use crate::app::{complain, now, say};
use crate::cli::{Exit, Source as Chosen};
use crate::config::{Config, ConfigError};
use crate::record::UnixMillis;
use crate::recording::{Reader, RecordingError};
use crate::sink::database::{Database, StoreError};
use crate::sink::market::{MarketError, Prices};
use crate::source::{Control, Fault, Room, Source, SourceMetrics, kafka, replay};

/// The consumer group under which a recording's offsets are kept.
const REPLAY: &str = "replay";

/// How long to wait before a database that is away is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How often old rows are looked for.
const FORGET: Duration = Duration::from_mins(10);

/// Why it ended, when it should not have.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("log: {0}")]
    Telemetry(#[from] TelemetryError),
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Market(#[from] MarketError),
    #[error(transparent)]
    NoKafka(#[from] NoKafka),
    #[error("{0}{hint}", hint = hint(.0))]
    Source(#[from] Fault),
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("cannot read {file}: {source}")]
    Recording {
        file: String,
        source: RecordingError,
    },
    #[error("stopped before all of the recording was stored; the same command goes on")]
    GaveUp,
    #[error("a task has ended that should not; see the log")]
    Task,
    #[error("the runtime: {0}")]
    Runtime(#[from] std::io::Error),
}

fn hint(fault: &Fault) -> String {
    let hint = fault.kind.hint();
    hint.map(|hint| format!(" ({hint})")).unwrap_or_default()
}

/// Follows Kafka until it is told to stop.
pub(super) fn run(chosen: &Chosen) -> Exit {
    end(start(chosen, None))
}

/// Stores a recording and ends.
pub(super) fn replay(chosen: &Chosen, file: &Path) -> Exit {
    end(start(chosen, Some(file)))
}

fn end(result: Result<(), RunError>) -> Exit {
    match result {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(&format!("perijove-ingest: {error}"));
            if matches!(error, RunError::Config(_) | RunError::NoKafka(_)) {
                Exit::BadConfig
            } else {
                Exit::Failed
            }
        }
    }
}

fn start(chosen: &Chosen, recording: Option<&Path>) -> Result<(), RunError> {
    let loaded = load(chosen)?;
    let config = loaded.config;
    if recording.is_none() {
        // Before a database is made for nothing.
        kafka_of(&config)?;
    }
    let _telemetry = telemetry::start(config.log.format, &config.log.level)?;
    for warning in &loaded.warnings {
        tracing::warn!("configuration: {warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(&config, recording))
}

async fn serve(config: &Config, recording: Option<&Path>) -> Result<(), RunError> {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry)?;
    metrics.begin(config.streams.iter().map(|stream| &*stream.topic));
    let gate = |sink: &str| {
        let gauge = metrics.breaker.with_label_values(&[sink]);
        Arc::new(Gate::new(config.breaker.clone(), gauge))
    };
    let stopping = stopping()?;
    let health = Health {
        source: Arc::default(),
        database: gate("database"),
        redis: config.redis.as_ref().map(|_| gate("redis")),
        stopping: stopping.clone(),
        started: Instant::now(),
    };
    let mut tasks = JoinSet::new();
    if recording.is_none() {
        let (health, registry) = (health.clone(), registry.clone());
        listen(config, Told { health, registry }, &mut tasks).await?;
    }
    let Some(database) = database(config, stopping.clone()).await? else {
        return Ok(());
    };
    let room = Room::new(&config.buffer);
    let (source, group) = open(config, recording, &registry, &room)?;
    health.source.get_or_init(|| source.control().clone());
    if recording.is_none() {
        let retention = config.database.retention;
        if !retention.is_zero() {
            tasks.spawn(forget(database.clone(), retention, metrics.clone()));
        }
    }
    let parts = parts(config, &health, group, database, &metrics);
    let telling = parts.redis.as_ref().map(Telling::start).transpose()?;
    stop_when_told(stopping, source.control().clone());
    let gave_up = Arc::clone(&parts.gave_up);
    let ran = watched(Pipeline::run(parts, source), &mut tasks).await;
    if let Some(telling) = telling {
        telling.end().await;
    }
    if recording.is_some() {
        say(&metrics.summary());
        if gave_up.load(Ordering::Acquire) {
            return Err(RunError::GaveUp);
        }
    }
    ran
}

/// What the pipeline works with.
fn parts(
    config: &Config,
    health: &Health,
    group: String,
    database: Database,
    metrics: &Metrics,
) -> Parts {
    let redis = config.redis.clone().zip(health.redis.clone());
    let redis = redis.map(|(settings, gate)| (settings, means(&database, gate, metrics)));
    let store = Store {
        database,
        gate: Arc::clone(&health.database),
        metrics: metrics.clone(),
        limit: config.database.timeout,
    };
    Parts {
        group: group.into(),
        store,
        converter: Converter::new(config, metrics.clone()),
        metrics: metrics.clone(),
        batch: config.batch.clone(),
        redis,
        gave_up: Arc::default(),
    }
}

/// Runs until the pipeline ends. Tasks beside it never end by themselves; when one breaks, whoever
/// started the program has to start it again.
async fn watched(
    pipeline: impl Future<Output = Result<(), Fault>>,
    tasks: &mut JoinSet<()>,
) -> Result<(), RunError> {
    tokio::select! {
        ran = pipeline => Ok(ran?),
        Some(ended) = tasks.join_next() => {
            let panic = ended.err().map(|panic| panic.to_string());
            tracing::error!(panic, "a task has ended that should not");
            Err(RunError::Task)
        }
    }
}

/// What bringing batches to Redis needs.
fn means(database: &Database, gate: Arc<Gate>, metrics: &Metrics) -> Means {
    Means {
        database: database.clone(),
        gate,
        metrics: metrics.clone(),
        clock: now,
        prices: Prices::default(),
    }
}

/// Becomes true when the program is told to stop.
fn stopping() -> std::io::Result<watch::Receiver<bool>> {
    let (told, stopping) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: what has been read is written first");
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

/// Opens the database, however long it is away. None when the program is told to stop before.
async fn database(
    config: &Config,
    mut stopping: watch::Receiver<bool>,
) -> Result<Option<Database>, StoreError> {
    let opened = async {
        loop {
            match Database::open(&config.database).await {
                Err(error) if error.is_passing() => {
                    tracing::warn!(%error, "waiting for the database");
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

/// The source that is meant, and the group under which its offsets are stored.
fn open(
    config: &Config,
    recording: Option<&Path>,
    registry: &Registry,
    room: &Arc<Room>,
) -> Result<(Source, String), RunError> {
    if let Some(path) = recording {
        let read = || Reader::new(BufReader::new(File::open(path)?));
        let reader = read().map_err(|source| RunError::Recording {
            file: path.display().to_string(),
            source,
        })?;
        let source = replay::start(reader, room, config.shutdown.grace)?;
        return Ok((source, REPLAY.to_owned()));
    }
    let settings = kafka_of(config)?;
    let topics = config.streams.iter().map(|stream| stream.topic.clone());
    let topics: Vec<String> = topics.collect();
    let metrics = SourceMetrics::register(registry, &settings.group.id, &topics)?;
    let subscription = kafka::Subscription {
        topics,
        room: Arc::clone(room),
        grace: config.shutdown.grace,
        clock: now,
    };
    let source = kafka::start(settings, subscription, metrics)?;
    Ok((source, settings.group.id.clone()))
}

async fn listen(config: &Config, told: Told, tasks: &mut JoinSet<()>) -> Result<(), RunError> {
    let Some(address) = config.http.listen else {
        return Ok(());
    };
    let failed = |source| RunError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    say(&json!({ "event": "listening", "http": local }).to_string());
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, router(told)).await {
            tracing::error!(%error, "the port for operators");
        }
    });
    Ok(())
}

/// Removes old rows now and then.
async fn forget(database: Database, retention: Duration, metrics: Metrics) {
    let age = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    let mut times = interval(FORGET);
    loop {
        times.tick().await;
        let before = UnixMillis(now().0.saturating_sub(age));
        match database.forget(before).await {
            Ok(0) => {}
            Ok(count) => {
                metrics.forgotten.inc_by(count);
                tracing::info!(count, "old rows removed");
            }
            Err(error) => tracing::warn!(%error, "old rows could not be removed; later"),
        }
    }
}
