//! One process of the pipeline: reads a source and stores what it gives, as the program does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use perijove_core::settings::Setting;
use perijove_ingest::config::{Broker, Buffer, Group, Kafka, Security};
use perijove_ingest::position::RecordMark;
use perijove_ingest::record::{Partition, UnixMillis};
use perijove_ingest::source::kafka::{self, Subscription};
use perijove_ingest::source::{
    BufferBudget, Claim, Control, RecordBatch, Source, SourceError, SourceEvent, SourceMetrics,
};
use perijove_tests::kafka::PATIENCE;
use perijove_tests::wait::eventually_within;
use prometheus::Registry;
use prometheus::proto::MetricType;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::store::{Row, Store};

pub const TOPIC: &str = "solana.dextrades.proto";

/// Waits for a condition, with time for a group to settle on a busy machine.
pub async fn eventually(what: &str, condition: impl FnMut() -> bool) {
    eventually_within(PATIENCE, what, condition).await;
}

/// A member of the group.
pub struct Member {
    pub control: Control,
    pub budget: Arc<BufferBudget>,
    pub registry: Registry,
    /// What happened, batches left out.
    pub heard: Arc<Mutex<Vec<String>>>,
    /// Whether batches are stored; otherwise they wait.
    storing: watch::Sender<bool>,
    /// Partitions of which it is not said where they begin.
    silent: watch::Sender<Vec<i32>>,
    run: JoinHandle<Result<(), SourceError>>,
}

/// Settings for a cluster that asks nobody who he is.
pub fn settings(servers: &str) -> Kafka {
    Kafka {
        brokers: servers
            .split(',')
            .map(|server| Broker::from_text(server).unwrap())
            .collect(),
        security: Security::Plaintext,
        group: Group {
            id: "solana_113-dex-monitor-test".to_owned(),
            member: None,
        },
        start: perijove_ingest::config::Start::Earliest,
        session_timeout: Duration::from_secs(6),
        heartbeat: Duration::from_millis(200),
        commit_interval: Duration::from_millis(100),
        ..Kafka::default()
    }
}

impl Member {
    pub fn join(kafka: &Kafka, store: &Store) -> Self {
        Self::join_with(kafka, store, &Buffer::default(), Duration::from_secs(5))
    }

    pub fn join_with(kafka: &Kafka, store: &Store, buffer: &Buffer, grace: Duration) -> Self {
        Self::join_silent(kafka, store, buffer, grace, &[])
    }

    /// Of these partitions it is not said where they begin, until [`answer_all_but`](Self::answer_all_but) says otherwise.
    pub fn join_silent(
        kafka: &Kafka,
        store: &Store,
        buffer: &Buffer,
        grace: Duration,
        silent: &[i32],
    ) -> Self {
        let registry = Registry::new();
        let budget = BufferBudget::new(buffer);
        let subscription = Subscription {
            topics: vec![TOPIC.to_owned()],
            budget: Arc::clone(&budget),
            grace,
            clock: || UnixMillis(1_760_000_000_000),
        };
        let metrics = SourceMetrics::register(&registry, &kafka.group.id, &[]).unwrap();
        let source = kafka::start(kafka, subscription, metrics).unwrap();
        let control = source.control().clone();
        let (storing, stores) = watch::channel(true);
        let (silent, silence) = watch::channel(silent.to_vec());
        let heard = Arc::default();
        let pipeline = Pipeline {
            source,
            store: store.clone(),
            stores,
            silence,
            waiting: Vec::new(),
            heard: Arc::clone(&heard),
            epochs: HashMap::new(),
        };
        Self {
            control,
            budget,
            registry,
            heard,
            storing,
            silent,
            run: tokio::spawn(pipeline.run()),
        }
    }

    /// Lets batches wait, or stores them again.
    pub fn store(&self, stores: bool) {
        self.storing.send(stores).unwrap();
    }

    /// Says where all partitions begin but these.
    pub fn answer_all_but(&self, silent: &[i32]) {
        self.silent.send(silent.to_vec()).unwrap();
    }

    pub fn is_over(&self) -> bool {
        self.run.is_finished()
    }

    /// Stops in good order and says how it ended.
    pub async fn stop(self) -> Result<(), SourceError> {
        self.control.stop();
        self.ended().await
    }

    pub async fn ended(self) -> Result<(), SourceError> {
        timeout(PATIENCE, self.run).await.expect("it ends").unwrap()
    }

    /// Ends without settling anything more.
    pub async fn abort(self) {
        self.run.abort();
        drop(self.run.await);
    }

    pub fn has_heard(&self, what: &str) -> bool {
        self.heard.lock().iter().any(|heard| heard == what)
    }

    /// The value of a metric; None if there is none with these labels.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name)?;
        let metric = family.get_metric().iter().find(|metric| {
            labels.iter().all(|(name, value)| {
                let mut pairs = metric.get_label().iter();
                pairs.any(|pair| pair.name() == *name && pair.value() == *value)
            })
        })?;
        Some(match family.get_field_type() {
            MetricType::GAUGE => metric.get_gauge().get_value(),
            _ => metric.get_counter().get_value(),
        })
    }
}

struct Pipeline {
    source: Source,
    store: Store,
    stores: watch::Receiver<bool>,
    silence: watch::Receiver<Vec<i32>>,
    /// Claims that are not answered yet.
    waiting: Vec<Claim>,
    heard: Arc<Mutex<Vec<String>>>,
    epochs: HashMap<Claim, u64>,
}

impl Pipeline {
    async fn run(mut self) -> Result<(), SourceError> {
        loop {
            let control = self.source.control().clone();
            let event = tokio::select! {
                event = self.source.next() => event,
                Ok(()) = self.silence.changed() => {
                    self.answer();
                    continue;
                }
            };
            match event.expect("the last event is that it has ended") {
                SourceEvent::Assigned(claim) => {
                    self.hear(format!("assigned {claim}"));
                    self.waiting.push(claim);
                    self.answer();
                }
                SourceEvent::Begun(begun) => {
                    let (claim, offset) = (begun.claim, begun.offset);
                    self.hear(format!("begun {claim} {offset}"));
                    if let Some(gap) = begun.gap {
                        self.store.note_gap(&claim.partition, gap);
                    }
                    let epoch = self.epochs[&claim];
                    if self
                        .store
                        .commit(&claim.partition, epoch, Vec::new(), offset, None)
                    {
                        control.settled(claim, offset);
                    }
                }
                SourceEvent::Batch(batch) => self.settle(&control, batch).await,
                SourceEvent::Revoked { claim, .. } => {
                    self.hear(format!("revoked {claim}"));
                    // Batches before this are stored by now: one thing is done after the other.
                    control.release(claim);
                }
                SourceEvent::Lost(claim) => self.hear(format!("lost {claim}")),
                SourceEvent::Ended(outcome) => return outcome,
            }
        }
    }

    fn answer(&mut self) {
        let silent = self.silence.borrow_and_update().clone();
        let is_silent = |claim: &Claim| silent.contains(&claim.partition.number);
        let (waiting, answered): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(is_silent);
        self.waiting = waiting;
        for claim in answered {
            let lane = self.store.claim(&claim.partition);
            self.epochs.insert(claim.clone(), lane.epoch);
            self.source.control().begin(claim, lane.position());
        }
    }

    async fn settle(&mut self, control: &Control, batch: RecordBatch) {
        self.stores.wait_for(|stores| *stores).await.unwrap();
        let next = batch.last() + 1;
        assert!(batch.first() < next);
        let claim = batch.claim.clone();
        let rows = batch.records.iter().map(|record| Row {
            partition: Partition::new(Arc::clone(&record.place.topic), record.place.partition),
            offset: record.place.offset,
            payload: record.payload.as_ref().unwrap().to_vec(),
        });
        let last = batch.records.last().map(RecordMark::of);
        let epoch = self.epochs[&claim];
        if self
            .store
            .commit(&claim.partition, epoch, rows.collect(), next, last)
        {
            control.settled(claim, next);
        } else {
            self.hear(format!("fenced {claim}"));
            control.reclaim(claim);
        }
    }

    fn hear(&self, what: String) {
        self.heard.lock().push(what);
    }
}
