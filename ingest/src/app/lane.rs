//! The task of one claim: batches of records, in their order, into the database and on to Redis.

use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use crate::app::clock::now;
use crate::app::convert::Converter;
use crate::app::database_writer::{DatabaseWriter, Fenced};
use crate::app::metrics::Metrics;
use crate::app::redis_writer::RedisWriter;
use crate::app::supervisor::Supervisor;
use crate::config;
use crate::position::RecordMark;
use crate::record::Record;
use crate::sink::database::{Committed, DatabaseError, Lane, RowBatch};
use crate::sink::market::PriceOracle;
use crate::source::{self, Claim, Control, ReadingStarted};

/// From this many bytes on, decoding runs on another thread.
const HEAVY: usize = 256 * 1024;

/// After this long without records, the lane is checked.
const QUIET: Duration = Duration::from_secs(2);

/// What the task needs.
pub(super) struct LaneTask {
    pub(super) claim: Claim,
    pub(super) lane: Lane,
    pub(super) writer: DatabaseWriter,
    pub(super) converter: Converter,
    pub(super) redis: Option<RedisWriter>,
    /// `None` without Redis.
    pub(super) prices: Option<PriceOracle>,
    pub(super) control: Control,
    pub(super) metrics: Metrics,
    pub(super) settings: config::Batch,
    pub(super) on_wrong_kind: OnWrongKind,
    pub(super) supervisor: Supervisor,
}

/// What to do once a topic turns out to be of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnWrongKind {
    /// Store no more of it, and go on with other topics.
    StopTopic,
    /// A recording is of no use without it.
    EndProgram,
}

/// Records on their way to the database.
#[derive(Default)]
struct PendingBatch {
    rows: RowBatch,
    records: Vec<Record>,
    arrivals: Vec<(Instant, usize)>,
    /// Frees buffer space when dropped.
    reservations: Vec<source::Reservation>,
    /// Arrived in between: reading continues elsewhere.
    begun: Option<ReadingStarted>,
}

/// What comes from the source.
#[derive(Debug)]
pub(super) enum Input {
    Begun(ReadingStarted),
    Batch(source::RecordBatch),
}

impl LaneTask {
    /// Ends once the sender is gone and everything is settled, or when another process has the
    /// lane.
    pub(super) async fn run(mut self, mut inputs: mpsc::UnboundedReceiver<Input>) {
        loop {
            let done = match timeout(QUIET, inputs.recv()).await {
                Ok(None) => break,
                Ok(Some(input)) => self.take(input, &mut inputs).await,
                Err(_quiet) => self.look_after().await,
            };
            if done.is_err() {
                self.fenced();
                return;
            }
        }
        if let Some(redis) = self.redis.take() {
            redis.finish().await;
        }
    }

    async fn take(
        &mut self,
        input: Input,
        inputs: &mut mpsc::UnboundedReceiver<Input>,
    ) -> Result<(), Fenced> {
        if self.is_of_wrong_kind().await {
            return Ok(());
        }
        let next = match input {
            Input::Begun(begun) => self.begin(&begun).await?,
            Input::Batch(first) => {
                let gathered = self.gather(first, inputs).await;
                if self.is_of_wrong_kind().await {
                    // What was gathered is read again once the configuration is corrected.
                    return Ok(());
                }
                self.settle(gathered).await?
            }
        };
        self.control.settled(self.claim.clone(), next);
        Ok(())
    }

    /// Whether nothing more may be stored. Then nothing more is fetched either.
    async fn is_of_wrong_kind(&self) -> bool {
        let Some(wrong_kind) = self.converter.kinds().wrong_kind(&self.lane.topic) else {
            return false;
        };
        match self.on_wrong_kind {
            OnWrongKind::StopTopic => self.control.halt(self.claim.clone()),
            OnWrongKind::EndProgram => {
                self.supervisor.stop_program(wrong_kind.to_string());
                // Until it ends, so that the recording does not seem to be stored.
                std::future::pending::<()>().await;
            }
        }
        true
    }

    /// Checks whether the lane is still owned, while no records would show it.
    async fn look_after(&mut self) -> Result<(), Fenced> {
        match self.writer.database.settle(&mut self.lane).await {
            Err(DatabaseError::Fenced) => Err(Fenced),
            // The next batch will report what is wrong with the database.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn fenced(mut self) {
        tracing::warn!(partition = %self.claim, "another process writes this partition");
        self.control.reclaim(self.claim.clone());
        if let Some(redis) = self.redis.take() {
            redis.abort();
        }
    }

    /// Stores where reading begins, so that it is not looked up again after a crash, and with it what
    /// is missing before it.
    async fn begin(&mut self, begun: &ReadingStarted) -> Result<i64, Fenced> {
        let batch = RowBatch {
            next_offset: Some(begun.offset),
            gap: begun.gap.clone(),
            ..RowBatch::default()
        };
        if self.lane.next_offset == batch.next_offset && batch.gap.is_none() {
            return Ok(begun.offset);
        }
        match self.writer.commit(&mut self.lane, &batch).await? {
            Ok(committed) => self.pass_on(committed).await,
            Err(error) => {
                tracing::error!(partition = %self.claim, %error, "the database refuses where reading begins");
            }
        }
        Ok(begun.offset)
    }

    /// Gathers enough for a batch, or what there is when its first message has waited long enough.
    async fn gather(
        &self,
        first: source::RecordBatch,
        inputs: &mut mpsc::UnboundedReceiver<Input>,
    ) -> PendingBatch {
        let deadline = Instant::now() + self.settings.wait;
        let kinds = self.converter.kinds();
        let mut decisions = kinds.decisions();
        let mut gathered = self.add(PendingBatch::default(), first).await;
        while gathered.rows.rows() < self.settings.rows {
            // Dead letters wait until it is clear that they are exceptions.
            let undecided = kinds.undecided_until(&self.lane.topic);
            let deadline = undecided.map_or(deadline, |until| until.max(deadline));
            let input = tokio::select! {
                input = timeout_at(deadline, inputs.recv()) => input,
                Ok(()) = decisions.changed(), if undecided.is_some() => continue,
            };
            match input {
                Ok(Some(Input::Batch(batch))) => gathered = self.add(gathered, batch).await,
                // A gap is recorded after what came before it, and before what comes after.
                Ok(Some(Input::Begun(begun))) => {
                    gathered.begun = Some(begun);
                    break;
                }
                Ok(None) | Err(_) => break,
            }
        }
        gathered
    }

    async fn add(&self, mut gathered: PendingBatch, batch: source::RecordBatch) -> PendingBatch {
        gathered
            .arrivals
            .push((Instant::now(), batch.records.len()));
        let source::RecordBatch {
            records,
            reservation,
            ..
        } = batch;
        let converter = self.converter.clone();
        let heavy = reservation.bytes() >= HEAVY;
        gathered.reservations.push(reservation);
        let convert = move || {
            for record in &records {
                converter.add(record, &mut gathered.rows);
            }
            gathered.records.extend(records);
            gathered
        };
        if !heavy {
            return convert();
        }
        match tokio::task::spawn_blocking(convert).await {
            Ok(gathered) => gathered,
            // Only when the runtime ends: then nothing is settled any more.
            Err(_gone) => std::future::pending().await,
        }
    }

    /// Stores what was gathered, and returns the offset at which the lane continues.
    async fn settle(&mut self, mut gathered: PendingBatch) -> Result<i64, Fenced> {
        gathered.rows.last = gathered.records.last().map(RecordMark::of);
        let next = gathered.rows.next_offset.unwrap_or_default();
        self.metrics.batch_rows.observe(rows(&gathered.rows));
        match self.writer.commit(&mut self.lane, &gathered.rows).await? {
            Ok(committed) => self.pass_on(committed).await,
            Err(error) => {
                tracing::warn!(partition = %self.claim, %error, "the database refuses the batch; storing its messages one by one");
                let done = self
                    .writer
                    .apart(&mut self.lane, &gathered.records, &self.converter);
                for committed in done.await? {
                    self.pass_on(committed).await;
                }
            }
        }
        for (arrived, messages) in &gathered.arrivals {
            let seconds = arrived.elapsed().as_secs_f64();
            for _ in 0..*messages {
                self.metrics.duration.observe(seconds);
            }
        }
        let processed = self
            .metrics
            .processed
            .with_label_values(&[&*self.lane.topic]);
        processed.inc_by(gathered.records.len() as u64);
        match &gathered.begun {
            Some(begun) => self.begin(begun).await,
            None => Ok(next),
        }
    }

    async fn pass_on(&mut self, committed: Committed) {
        if let Some(prices) = &self.prices {
            prices.add(self.lane.id, &committed, now());
        }
        if let Some(redis) = &mut self.redis {
            redis.put(committed).await;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric")]
fn rows(batch: &RowBatch) -> f64 {
    batch.rows() as f64
}
