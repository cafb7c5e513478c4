//! The commands `run` and `replay`: a source joined to the sinks, until it ends or is told to.

use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use perijove_core::settings::Files;
use perijove_core::telemetry::{self, TelemetryError};
use prometheus::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep};

use crate::app::check::{NoKafka, kafka as kafka_of, load};
use crate::app::convert::Converter;
use crate::app::gate::Gate;
use crate::app::health::Health;
use crate::app::house;
use crate::app::http::Told;
use crate::app::metrics::Metrics;
use crate::app::pipeline::{Parts, Pipeline};
use crate::app::prices::Telling;
use crate::app::progress::{Counted, Place, Progress, with_progress};
use crate::app::renewal::Renewal;
use crate::app::shelf::Means;
use crate::app::store::Store;
use crate::app::tasks::{End, Ends, Tasks};
use crate::app::{complain, now, say};
use crate::cli::{Exit, Source as Chosen};
use crate::config::{self, Config, ConfigError};
use crate::recording::{Reader, RecordingError};
use crate::sink::database::{Database, StoreError};
use crate::sink::market::{MarketError, Prices};
use crate::source::{Control, Fault, Room, Source, SourceMetrics, kafka, replay};

/// The consumer group under which a recording's offsets are kept.
const REPLAY: &str = "replay";

/// How long to wait before a database that is away is tried again.
const AGAIN: Duration = Duration::from_secs(1);

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
    #[error("the task `{0}` has ended that should not; see the log")]
    Task(&'static str),
    #[error("{0}")]
    Mend(String),
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
            if matches!(
                error,
                RunError::Config(_) | RunError::NoKafka(_) | RunError::Mend(_)
            ) {
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
    runtime.block_on(async {
        match recording {
            Some(file) => Box::pin(store_recording(&config, file)).await,
            None => Box::pin(follow(&config, chosen.config.as_deref(), loaded.files)).await,
        }
    })
}

/// What both ways of running share.
struct Stage {
    registry: Registry,
    metrics: Metrics,
    health: Health,
    stopping: watch::Receiver<bool>,
    room: Arc<Room>,
    tasks: Tasks,
    ends: Ends,
}

impl Stage {
    fn new(config: &Config) -> Result<Self, RunError> {
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
        let (tasks, ends) = Tasks::new();
        Ok(Self {
            registry,
            metrics,
            health,
            stopping,
            room: Room::new(&config.buffer),
            tasks,
            ends,
        })
    }

    /// Runs until the source has ended, or a task that should not have.
    async fn run(&mut self, parts: Parts, source: Source) -> Result<(), RunError> {
        let control = source.control().clone();
        self.health.follow(&control);
        stop_when_told(self.stopping.clone(), control);
        tokio::select! {
            ran = Pipeline::run(parts, source) => Ok(ran?),
            end = self.ends.next() => Err(ended(end)),
        }
    }
}

fn ended(end: End) -> RunError {
    match end {
        End::Task(name) => {
            tracing::error!(task = name, "a task has ended that should not");
            RunError::Task(name)
        }
        End::Mend(reason) => {
            tracing::error!(reason, "ending until somebody mends it");
            RunError::Mend(reason)
        }
    }
}

async fn store_recording(config: &Config, file: &Path) -> Result<(), RunError> {
    let mut stage = Stage::new(config)?;
    let failed = |source| RunError::Recording {
        file: file.display().to_string(),
        source,
    };
    let opened = Counted::open(file).map_err(|error| failed(error.into()))?;
    let (read, length) = (opened.count(), opened.length());
    let reader = Reader::new(BufReader::new(opened)).map_err(failed)?;
    let Some(database) = database(config, stage.stopping.clone()).await? else {
        return Ok(());
    };
    let parts = parts(config, &stage, REPLAY.to_owned(), database);
    let telling = telling(&parts)?;
    let gave_up = Arc::clone(&parts.gave_up);
    let source = replay::start(reader, &stage.room, config.shutdown.grace)?;
    let progress = Progress::new("replay", "messages", length, Place::Log);
    let metrics = stage.metrics.clone();
    let look = || (read.load(Ordering::Relaxed), metrics.messages());
    let ran = with_progress(stage.run(parts, source), &progress, look).await;
    if let Some(telling) = telling {
        telling.end().await;
    }
    say(&stage.metrics.summary());
    if gave_up.load(Ordering::Acquire) {
        return Err(RunError::GaveUp);
    }
    ran
}

async fn follow(config: &Config, file: Option<&Path>, files: Files) -> Result<(), RunError> {
    let mut stage = Stage::new(config)?;
    let told = Told {
        health: stage.health.clone(),
        registry: stage.registry.clone(),
    };
    house::listen(config, told, &stage.tasks).await?;
    let Some(database) = database(config, stage.stopping.clone()).await? else {
        return Ok(());
    };
    let mut kafka = kafka_of(config)?.clone();
    let topics: Vec<String> = config
        .streams
        .iter()
        .map(|stream| stream.topic.clone())
        .collect();
    let metrics = SourceMetrics::register(&stage.registry, &kafka.group.id, &topics)?;
    house::keep(config, &database, &stage.metrics, &stage.tasks);
    let parts = parts(config, &stage, kafka.group.id.clone(), database);
    let telling = telling(&parts)?;
    let mut renewal = file.map(|file| Renewal::new(file, files, kafka.clone()));
    let ran = loop {
        let subscription = kafka::Subscription {
            topics: topics.clone(),
            room: Arc::clone(&stage.room),
            grace: config.shutdown.grace,
            clock: now,
        };
        let source = kafka::start(&kafka, subscription, metrics.clone())?;
        let control = source.control().clone();
        let mut next = None;
        let ran = {
            let mut running = pin!(stage.run(parts.clone(), source));
            tokio::select! {
                ran = &mut running => ran,
                settings = renewed(renewal.as_mut()) => {
                    tracing::info!("credentials or certificates have changed: logging in anew");
                    next = Some(settings);
                    control.stop();
                    running.await
                }
            }
        };
        match next {
            Some(settings) if ran.is_ok() && !*stage.stopping.borrow() => kafka = settings,
            _ => break ran,
        }
    };
    if let Some(telling) = telling {
        telling.end().await;
    }
    ran
}

/// The settings of Kafka once they are others.
async fn renewed(renewal: Option<&mut Renewal>) -> config::Kafka {
    match renewal {
        Some(renewal) => renewal.next().await,
        None => std::future::pending().await,
    }
}

fn telling(parts: &Parts) -> Result<Option<Telling>, MarketError> {
    let start = |redis| Telling::start(redis, &parts.tasks);
    parts.redis.as_ref().map(start).transpose()
}

/// What the pipeline works with.
fn parts(config: &Config, stage: &Stage, group: String, database: Database) -> Parts {
    let (health, metrics) = (&stage.health, &stage.metrics);
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
        tasks: stage.tasks.clone(),
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
