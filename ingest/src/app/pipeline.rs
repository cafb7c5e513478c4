//! Joins a source to the sinks: one task for each claim, and the order in which claims begin and
//! end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout_at;

use crate::app::breaker::BreakerState;
use crate::app::convert::Converter;
use crate::app::lane::{Input, LaneTask};
use crate::app::metrics::Metrics;
use crate::app::shelf::{Means, Shelf};
use crate::app::store::Store;
use crate::app::tasks::Tasks;
use crate::config;
use crate::sink::database::Lane;
use crate::sink::market::{Keeper, Link, Prices};
use crate::source::{Claim, Control, Event, Fault, Source};

/// What all lanes share.
#[derive(Clone)]
pub(super) struct Parts {
    /// The consumer group under which offsets are stored.
    pub(super) group: Arc<str>,
    pub(super) store: Store,
    pub(super) converter: Converter,
    pub(super) metrics: Metrics,
    pub(super) batch: config::Batch,
    /// None without Redis.
    pub(super) redis: Option<(config::Redis, Means)>,
    /// Whether a lane was left before all was written that was read.
    pub(super) gave_up: Arc<AtomicBool>,
    pub(super) tasks: Tasks,
}

/// A lane that is being written.
struct Running {
    inputs: mpsc::UnboundedSender<Input>,
    task: JoinHandle<()>,
}

/// The lanes of one source.
pub(super) struct Pipeline {
    parts: Parts,
    control: Control,
    lanes: BTreeMap<Claim, Running>,
    /// Lanes that write what they have, to be given up then.
    leaving: BTreeMap<Claim, AbortHandle>,
}

impl Pipeline {
    /// Runs until the source has ended: by itself, or because it was told to stop.
    ///
    /// # Errors
    /// What ended the source.
    pub(super) async fn run(parts: Parts, mut source: Source) -> Result<(), Fault> {
        let mut changes = parts.store.gate.changes();
        let mut pipeline = Self {
            control: source.control().clone(),
            parts,
            lanes: BTreeMap::new(),
            leaving: BTreeMap::new(),
        };
        loop {
            tokio::select! {
                event = source.next() => match event {
                    Some(Event::Ended(result)) => return result,
                    Some(event) => pipeline.handle(event),
                    None => return Ok(()),
                },
                Ok(()) = changes.changed() => {
                    let state = *changes.borrow_and_update();
                    tracing::warn!(state = state.label(), "breaker of the database");
                    pipeline.control.hold(state == BreakerState::Open);
                }
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Assigned(claim) => {
                let running = self.open(claim.clone());
                self.lanes.insert(claim, running);
            }
            Event::Begun(begun) => {
                if let Some(running) = self.lanes.get(&begun.claim) {
                    drop(running.inputs.send(Input::Begun(begun)));
                }
            }
            Event::Batch(batch) => {
                if let Some(running) = self.lanes.get(&batch.claim) {
                    drop(running.inputs.send(Input::Batch(batch)));
                }
            }
            Event::Revoked { claim, deadline } => {
                if let Some(Running { inputs, mut task }) = self.lanes.remove(&claim) {
                    drop(inputs);
                    let control = self.control.clone();
                    let gave_up = Arc::clone(&self.parts.gave_up);
                    self.leaving.retain(|_, task| !task.is_finished());
                    self.leaving.insert(claim.clone(), task.abort_handle());
                    drop(tokio::spawn(async move {
                        if timeout_at(deadline, &mut task).await.is_err() {
                            tracing::warn!(partition = %claim, "given up before all was written");
                            gave_up.store(true, Ordering::Release);
                            task.abort();
                        }
                        control.release(claim);
                    }));
                } else {
                    self.control.release(claim);
                }
            }
            Event::Lost(claim) => {
                let running = self.lanes.remove(&claim);
                let running = running.map(|running| running.task.abort_handle());
                if let Some(task) = running.or_else(|| self.leaving.remove(&claim)) {
                    task.abort();
                }
            }
            Event::Ended(_) => {}
        }
    }

    /// Starts the task of a claim: it takes the lane, says where reading goes on, and then writes.
    fn open(&self, claim: Claim) -> Running {
        let (inputs, received) = mpsc::unbounded_channel();
        let (parts, control) = (self.parts.clone(), self.control.clone());
        let task = tokio::spawn(async move {
            let _guard = Guard(control.clone(), claim.clone());
            let partition = &claim.partition;
            let lane = parts
                .store
                .claim(&parts.group, &partition.topic, partition.number);
            let lane = lane.await;
            tracing::info!(partition = %claim, offset = lane.next_offset, "partition is ours");
            control.begin(claim.clone(), lane.next_offset);
            parts.warm(&lane);
            let task = LaneTask {
                shelf: parts.shelf(&lane),
                prices: parts.prices(),
                claim,
                lane,
                store: parts.store,
                converter: parts.converter,
                control,
                metrics: parts.metrics,
                settings: parts.batch,
                tasks: parts.tasks,
            };
            task.run(received).await;
        });
        Running { inputs, task }
    }
}

impl Parts {
    fn prices(&self) -> Option<Prices> {
        let (_, means) = self.redis.as_ref()?;
        Some(means.prices.clone())
    }

    /// Has the last trades of a lane read that somebody else has stored.
    fn warm(&self, lane: &Lane) {
        let Some((_, means)) = self.redis.clone() else {
            return;
        };
        let lane = lane.clone();
        drop(self.tasks.until_done("prices of before", async move {
            let now = (means.clock)();
            if let Err(error) = means.prices.warm(&means.database, &lane, now).await {
                tracing::warn!(%error, "prices begin without the trades before this");
            }
        }));
    }

    fn shelf(&self, lane: &Lane) -> Option<Shelf> {
        let (settings, means) = self.redis.as_ref()?;
        match Link::new(settings) {
            Ok(link) => {
                let keeper = Keeper::new(link, lane, means.clock);
                Some(Shelf::start(keeper, lane.batch, means.clone(), &self.tasks))
            }
            Err(error) => {
                tracing::error!(%error, "no market data of this partition");
                None
            }
        }
    }
}

/// A task that panics must not leave its partition to nobody: it is assigned anew.
struct Guard(Control, Claim);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(partition = %self.1, "the task of this partition broke; once more");
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
