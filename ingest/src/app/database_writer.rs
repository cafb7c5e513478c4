//! Commits a batch, retrying for as long as it takes: waits for the circuit breaker, finds out the
//! outcome of a commit when the connection broke, and splits a batch that the database refuses.

use std::sync::Arc;

use tokio::time::{Duration, Instant, sleep, timeout};

use crate::app::convert::{Converter, letter};
use crate::app::metrics::Metrics;
use crate::app::shared_breaker::SharedBreaker;
use crate::dead_letter::DeadLetter;
use crate::position::RecordMark;
use crate::record::Record;
use crate::sink::database::{CommitOutcome, Committed, Database, DatabaseError, Lane, RowBatch};

/// The first pause after a failure; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Commits to the lanes of one process.
#[derive(Clone, Debug)]
pub(super) struct DatabaseWriter {
    pub(super) database: Database,
    pub(super) breaker: Arc<SharedBreaker>,
    pub(super) metrics: Metrics,
    /// How long one commit may take.
    pub(super) limit: Duration,
}

/// Another process owns the lane.
#[derive(Debug)]
pub(super) struct Fenced;

/// What is known of a batch that is being committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// It is not in the database.
    NotTried,
    /// It was tried, and no answer came.
    Doubtful,
    /// It is in the database, after this batch of the lane.
    Written { previous: i64 },
}

impl DatabaseWriter {
    /// Claims a lane, as soon as the database allows.
    pub(super) async fn claim(&self, group: &str, topic: &str, partition: i32) -> Lane {
        let mut pause = PAUSE;
        loop {
            let permit = self.breaker.acquire().await;
            let claimed = timeout(self.limit, self.database.claim(group, topic, partition)).await;
            let error = match claimed {
                Ok(Ok(lane)) => {
                    permit.succeed();
                    return lane;
                }
                Ok(Err(error)) => Some(error),
                Err(_elapsed) => None,
            };
            permit.fail_with(error.as_ref().and_then(DatabaseError::answer));
            self.complain(error.as_ref());
            rest(&mut pause).await;
        }
    }

    /// Commits a batch. One that was written although the answer was lost is read back.
    ///
    /// # Errors
    /// Another process owns the lane. Everything else is retried indefinitely, or refused.
    pub(super) async fn commit(
        &self,
        lane: &mut Lane,
        batch: &RowBatch,
    ) -> Result<Result<Committed, DatabaseError>, Fenced> {
        let mut pause = PAUSE;
        let mut known = Known::NotTried;
        loop {
            let permit = self.breaker.acquire().await;
            let begun = Instant::now();
            let tried = timeout(self.limit, self.attempt(lane, batch, &mut known)).await;
            let error = match tried {
                Ok(Ok(committed)) => {
                    permit.succeed();
                    let seconds = self.metrics.sink_seconds.with_label_values(&["database"]);
                    seconds.observe(begun.elapsed().as_secs_f64());
                    self.count(batch, &committed);
                    return Ok(Ok(committed));
                }
                Ok(Err(DatabaseError::Fenced)) => return Err(Fenced),
                Ok(Err(error @ DatabaseError::Refused(_))) => return Ok(Err(error)),
                Ok(Err(error)) => Some(error),
                Err(_elapsed) => None,
            };
            permit.fail_with(error.as_ref().and_then(DatabaseError::answer));
            self.complain(error.as_ref());
            rest(&mut pause).await;
        }
    }

    async fn attempt(
        &self,
        lane: &mut Lane,
        batch: &RowBatch,
        known: &mut Known,
    ) -> Result<Committed, DatabaseError> {
        if *known == Known::Doubtful {
            let previous = lane.batch;
            *known = match self.database.settle(lane).await? {
                CommitOutcome::Written => Known::Written { previous },
                CommitOutcome::Lost => Known::NotTried,
            };
        }
        if let Known::Written { previous } = *known {
            return self.database.read_back(lane, previous, batch).await;
        }
        *known = Known::Doubtful;
        self.database.commit(lane, batch).await
    }

    /// Counts what was stored, and logs dead letters.
    fn count(&self, batch: &RowBatch, committed: &Committed) {
        self.metrics.committed(committed);
        let records = &batch.dead_letters;
        let records = records.chunk_by(|one, other| one.record.place == other.record.place);
        for letter in records.filter_map(<[_]>::first) {
            tracing::warn!(place = %letter.record.place, class = letter.class, error = %letter.error, "dead letter");
        }
    }

    fn complain(&self, error: Option<&DatabaseError>) {
        let label = error.map_or("timeout", DatabaseError::label);
        let kind = format!("database_{label}");
        self.metrics.errors.with_label_values(&[&kind]).inc();
        let error = error.map_or_else(|| "timed out".to_owned(), ToString::to_string);
        tracing::warn!(error, "database write failed; retrying");
    }

    /// Commits the records of a refused batch one by one; those refused again become dead letters.
    ///
    /// # Errors
    /// Another process owns the lane.
    pub(super) async fn apart(
        &self,
        lane: &mut Lane,
        records: &[Record],
        converter: &Converter,
    ) -> Result<Vec<Committed>, Fenced> {
        let mut done = Vec::with_capacity(records.len());
        for record in records {
            let mut batch = RowBatch::default();
            converter.add(record, &mut batch);
            batch.last = Some(RecordMark::of(record));
            let error = match self.commit(lane, &batch).await? {
                Ok(committed) => {
                    done.push(committed);
                    continue;
                }
                Err(error) => error.to_string(),
            };
            let batch = RowBatch {
                next_offset: batch.next_offset,
                last: batch.last,
                dead_letters: vec![letter(record, DeadLetter::REFUSED, &error)],
                ..RowBatch::default()
            };
            match self.commit(lane, &batch).await? {
                Ok(committed) => done.push(committed),
                Err(error) => {
                    // Nothing more can be done than to count it and to log where it is.
                    let refused = self.metrics.errors.with_label_values(&["database_refused"]);
                    refused.inc();
                    tracing::error!(place = %record.place, %error, "the database refuses a dead letter; the record is skipped");
                }
            }
        }
        Ok(done)
    }
}

async fn rest(pause: &mut Duration) {
    sleep(*pause).await;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
}
