//! Commits a batch, however long it takes: waits for the breaker, finds out what became of a commit
//! whose end was not seen, and takes a batch apart when the database refuses it.

use std::sync::Arc;

use tokio::time::{Duration, Instant, sleep, timeout};

use crate::app::convert::{Converter, letter};
use crate::app::gate::Gate;
use crate::app::metrics::Metrics;
use crate::record::Record;
use crate::sink::database::{Batch, Committed, Database, Lane, Settled, StoreError};

/// The first pause after a failure; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Commits to the lanes of one process.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) database: Database,
    pub(super) gate: Arc<Gate>,
    pub(super) metrics: Metrics,
    /// How long one commit may take.
    pub(super) limit: Duration,
}

/// Somebody else has the lane.
#[derive(Debug)]
pub(super) struct Fenced;

impl Store {
    /// Takes a lane, as soon as the database lets it.
    pub(super) async fn claim(&self, group: &str, topic: &str, partition: i32) -> Lane {
        let mut pause = PAUSE;
        loop {
            let pass = self.gate.pass().await;
            let claimed = timeout(self.limit, self.database.claim(group, topic, partition)).await;
            let error = match claimed {
                Ok(Ok(lane)) => {
                    pass.succeed();
                    return lane;
                }
                Ok(Err(error)) => Some(error),
                Err(_elapsed) => None,
            };
            pass.fail();
            self.complain(error.as_ref());
            rest(&mut pause).await;
        }
    }

    /// Commits a batch. One whose end was not seen names no rows.
    ///
    /// # Errors
    /// Somebody else has the lane. Everything else is tried again without end, or refused.
    pub(super) async fn commit(
        &self,
        lane: &mut Lane,
        batch: &Batch,
    ) -> Result<Result<Committed, StoreError>, Fenced> {
        let mut pause = PAUSE;
        let mut doubtful = false;
        loop {
            let pass = self.gate.pass().await;
            let begun = Instant::now();
            let tried = timeout(self.limit, self.attempt(lane, batch, doubtful)).await;
            let error = match tried {
                Ok(Ok(committed)) => {
                    pass.succeed();
                    let seconds = self.metrics.sink_seconds.with_label_values(&["database"]);
                    seconds.observe(begun.elapsed().as_secs_f64());
                    return Ok(Ok(committed));
                }
                Ok(Err(StoreError::Fenced)) => return Err(Fenced),
                Ok(Err(error @ StoreError::Refused(_))) => return Ok(Err(error)),
                Ok(Err(error)) => Some(error),
                Err(_elapsed) => None,
            };
            pass.fail();
            self.complain(error.as_ref());
            doubtful = true;
            rest(&mut pause).await;
        }
    }

    async fn attempt(
        &self,
        lane: &mut Lane,
        batch: &Batch,
        doubtful: bool,
    ) -> Result<Committed, StoreError> {
        if doubtful && self.database.settle(lane).await? == Settled::Written {
            // What was new about it was not heard. That there is a batch before it which nobody has
            // seen makes whoever brings it to Redis read it from the database.
            return Ok(Committed {
                previous: i64::MAX,
                batch: lane.batch,
                ..Committed::default()
            });
        }
        let committed = self.database.commit(lane, batch).await?;
        self.metrics.committed(&committed);
        for letter in &batch.letters {
            tracing::warn!(place = %letter.record.place, class = letter.class, error = %letter.error, "dead letter");
        }
        Ok(committed)
    }

    fn complain(&self, error: Option<&StoreError>) {
        let label = error.map_or("timeout", StoreError::label);
        let kind = format!("database_{label}");
        self.metrics.errors.with_label_values(&[&kind]).inc();
        let error = error.map_or_else(|| "it takes too long".to_owned(), ToString::to_string);
        tracing::warn!(error, "the database has not got a batch; again");
    }

    /// Commits the records of a batch that was refused, each alone, and those as dead letters that
    /// are refused alone.
    ///
    /// # Errors
    /// Somebody else has the lane.
    pub(super) async fn apart(
        &self,
        lane: &mut Lane,
        records: &[Record],
        converter: &Converter,
    ) -> Result<Vec<Committed>, Fenced> {
        let mut done = Vec::with_capacity(records.len());
        for record in records {
            let mut batch = Batch::default();
            converter.add(record, &mut batch);
            let error = match self.commit(lane, &batch).await? {
                Ok(committed) => {
                    done.push(committed);
                    continue;
                }
                Err(error) => error.to_string(),
            };
            let batch = Batch {
                next_offset: batch.next_offset,
                letters: vec![letter(record, "refused", &error)],
                ..Batch::default()
            };
            match self.commit(lane, &batch).await? {
                Ok(committed) => done.push(committed),
                Err(error) => {
                    // Nothing more can be done for it than to say where it is.
                    tracing::error!(place = %record.place, %error, "a dead letter is refused");
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
