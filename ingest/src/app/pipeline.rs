//! Connects a source to the sinks: one task for each claim, and the order in which claims begin and
//! end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use perijove_core::BreakerState;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout_at;

use crate::app::convert::Converter;
use crate::app::database_writer::DatabaseWriter;
use crate::app::lane::{Input, LaneTask, OnWrongKind};
use crate::app::metrics::Metrics;
use crate::app::redis_writer::{RedisContext, RedisWriter};
use crate::app::supervisor::Supervisor;
use crate::config;
use crate::sink::database::Lane;
use crate::sink::market::{LaneMirror, PriceOracle, RedisConnection};
use crate::source::{Claim, Control, Source, SourceError, SourceEvent};

/// What all lanes share.
#[derive(Clone)]
pub(super) struct PipelineContext {
    /// The consumer group under which offsets are stored.
    pub(super) group: Arc<str>,
    pub(super) writer: DatabaseWriter,
    pub(super) converter: Converter,
    pub(super) metrics: Metrics,
    pub(super) batch: config::Batch,
    /// None without Redis.
    pub(super) redis: Option<(config::Redis, RedisContext)>,
    /// Whether a lane was abandoned before all it had read was written.
    pub(super) gave_up: Arc<AtomicBool>,
    pub(super) on_wrong_kind: OnWrongKind,
    pub(super) supervisor: Supervisor,
}

/// A lane that is being written.
struct Running {
    inputs: mpsc::UnboundedSender<Input>,
    task: JoinHandle<()>,
}

/// The lanes of one source.
pub(super) struct Pipeline {
    context: PipelineContext,
    control: Control,
    lanes: BTreeMap<Claim, Running>,
    /// Lanes that are finishing, with the handles to abort them.
    leaving: BTreeMap<Claim, AbortHandle>,
}

impl Pipeline {
    /// Runs until the source has ended or was stopped.
    ///
    /// # Errors
    /// The error that ended the source.
    pub(super) async fn run(
        context: PipelineContext,
        mut source: Source,
    ) -> Result<(), SourceError> {
        let mut changes = context.writer.breaker.changes();
        let mut pipeline = Self {
            control: source.control().clone(),
            context,
            lanes: BTreeMap::new(),
            leaving: BTreeMap::new(),
        };
        loop {
            tokio::select! {
                event = source.next() => match event {
                    Some(SourceEvent::Ended(result)) => return result,
                    Some(event) => pipeline.handle(event),
                    None => return Ok(()),
                },
                Ok(()) = changes.changed() => {
                    let state = *changes.borrow_and_update();
                    tracing::warn!(state = state.label(), "database circuit breaker changed state");
                    pipeline.control.hold(state == BreakerState::Open);
                }
            }
        }
    }

    fn handle(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Assigned(claim) => {
                let running = self.open(claim.clone());
                self.lanes.insert(claim, running);
            }
            SourceEvent::Begun(begun) => {
                if let Some(running) = self.lanes.get(&begun.claim) {
                    drop(running.inputs.send(Input::Begun(begun)));
                }
            }
            SourceEvent::Batch(batch) => {
                if let Some(running) = self.lanes.get(&batch.claim) {
                    drop(running.inputs.send(Input::Batch(batch)));
                }
            }
            SourceEvent::Revoked { claim, deadline } => {
                if let Some(Running { inputs, mut task }) = self.lanes.remove(&claim) {
                    drop(inputs);
                    let control = self.control.clone();
                    let gave_up = Arc::clone(&self.context.gave_up);
                    self.leaving.retain(|_, task| !task.is_finished());
                    self.leaving.insert(claim.clone(), task.abort_handle());
                    drop(tokio::spawn(async move {
                        if timeout_at(deadline, &mut task).await.is_err() {
                            tracing::warn!(partition = %claim, "gave up writing the partition at its deadline");
                            gave_up.store(true, Ordering::Release);
                            task.abort();
                        }
                        control.release(claim);
                    }));
                } else {
                    self.control.release(claim);
                }
            }
            SourceEvent::Lost(claim) => {
                let running = self.lanes.remove(&claim);
                let running = running.map(|running| running.task.abort_handle());
                if let Some(task) = running.or_else(|| self.leaving.remove(&claim)) {
                    task.abort();
                }
            }
            SourceEvent::Ended(_) => {}
        }
    }

    /// Starts the task of a claim: it claims the lane, reports where reading continues, and then
    /// writes.
    fn open(&self, claim: Claim) -> Running {
        let (inputs, received) = mpsc::unbounded_channel();
        let (context, control) = (self.context.clone(), self.control.clone());
        let task = tokio::spawn(async move {
            let _guard = Guard(control.clone(), claim.clone());
            let partition = &claim.partition;
            let lane = context
                .writer
                .claim(&context.group, &partition.topic, partition.number);
            let lane = lane.await;
            tracing::info!(partition = %claim, offset = lane.next_offset, "partition assigned");
            control.begin(claim.clone(), lane.position());
            let task = LaneTask {
                redis: context.redis(&lane),
                prices: context.prices(),
                claim,
                lane,
                writer: context.writer,
                converter: context.converter,
                control,
                metrics: context.metrics,
                settings: context.batch,
                on_wrong_kind: context.on_wrong_kind,
                supervisor: context.supervisor,
            };
            Box::pin(task.run(received)).await;
        });
        Running { inputs, task }
    }
}

impl PipelineContext {
    /// Bounds the first records by the last rows of the database.
    pub(super) async fn begin_where_it_was(&self) {
        match self.writer.database.place(None).await {
            Ok(place) => self.converter.begin_at(place),
            Err(error) => {
                tracing::warn!(%error, "cannot look up where the stream was; the clock alone bounds the first slots");
            }
        }
    }

    fn prices(&self) -> Option<PriceOracle> {
        let (_, context) = self.redis.as_ref()?;
        Some(context.prices.clone())
    }

    fn redis(&self, lane: &Lane) -> Option<RedisWriter> {
        let (settings, context) = self.redis.as_ref()?;
        match RedisConnection::new(settings) {
            Ok(redis) => {
                let mirror = LaneMirror::new(redis, lane, context.clock);
                Some(RedisWriter::start(
                    mirror,
                    lane.batch,
                    context.clone(),
                    &self.supervisor,
                ))
            }
            Err(error) => {
                tracing::error!(%error, "invalid Redis address; no market data is written for this partition");
                None
            }
        }
    }
}

/// A task that panics must not leave its partition unowned: it is assigned again.
struct Guard(Control, Claim);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(partition = %self.1, "the partition's task panicked; restarting it");
            self.0.reclaim(self.1.clone());
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        for running in self.lanes.values() {
            running.task.abort();
        }
    }
}
