//! The command `dead-letters`.

use prometheus::Registry;
use tokio::runtime;

use crate::app::check::{NoKafka, load};
use crate::app::clock::now;
use crate::app::console::{complain, say};
use crate::app::convert::Converter;
use crate::app::kind_check::KindCheck;
use crate::app::metrics::Metrics;
use crate::cli::{ConfigArgs, Exit, ListDeadLettersArgs, ReplayDeadLettersArgs};
use crate::config::{Config, ConfigError};
use crate::sink::database::{
    Database, DatabaseError, DeadLetterFilter, DeadLetterSummary, Lane, RowBatch, StoredDeadLetter,
};
use crate::sink::market::{LaneMirror, MarketError, RedisConnection};
use crate::source::SourceError;

/// The lane of rows from dead letters: the lanes of their own partitions have other writers.
const GROUP: &str = "dead-letters";

/// Letters that are read together.
const TOGETHER: i64 = 100;

/// Why a command about the database failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    NoKafka(#[from] NoKafka),
    #[error(transparent)]
    Store(#[from] DatabaseError),
    #[error(transparent)]
    Market(#[from] MarketError),
    #[error(transparent)]
    Kafka(#[from] SourceError),
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("the runtime: {0}")]
    Runtime(#[from] std::io::Error),
    #[error("{0}")]
    Other(String),
}

pub(super) fn list(what: &ListDeadLettersArgs) -> Exit {
    reading_database(&what.source, async |_, database| {
        let filter = DeadLetterFilter {
            class: what.class.clone(),
            replayed: what.all,
            most: what.most,
            ..DeadLetterFilter::default()
        };
        let letters = database.dead_letter_summaries(&filter).await?;
        for letter in &letters {
            say(&line(letter));
        }
        if letters.is_empty()
            && let Some(class) = &what.class
        {
            complain(&format!("there are none of the class {class}"));
        }
        Ok(Exit::Done)
    })
}

fn line(letter: &DeadLetterSummary) -> String {
    let DeadLetterSummary {
        id,
        place,
        class,
        error,
        bytes,
        replayed,
    } = letter;
    let replayed = if *replayed { "  replayed" } else { "" };
    format!("{id}  {place}  {class}  {bytes} bytes  {error}{replayed}")
}

pub(super) fn replay(what: &ReplayDeadLettersArgs) -> Exit {
    with_database(&what.source, async |config, database| {
        let metrics = Metrics::register(&Registry::new())?;
        let kinds = KindCheck::new(&config.streams, metrics.wrong_kind.clone()).into();
        let mut replay = Replay {
            converter: Converter::new(config, kinds, metrics),
            lane: database.claim(GROUP, GROUP, 0).await?,
            mirror: None,
            database,
        };
        if let Some(redis) = &config.redis {
            let mut mirror = LaneMirror::new(RedisConnection::new(redis)?, &replay.lane, now);
            // What an earlier replay has stored, and Redis has not got.
            mirror.rebuild(&replay.database, replay.lane.batch).await?;
            replay.mirror = Some(mirror);
        }
        let mut filter = DeadLetterFilter {
            id: what.id,
            class: what.class.clone(),
            most: TOGETHER,
            ..DeadLetterFilter::default()
        };
        let (mut usable, mut left) = (0, 0);
        loop {
            let dead_letters = replay.database.dead_letters(&filter).await?;
            let Some(last) = dead_letters.last() else {
                break;
            };
            filter.after = last.id;
            for letter in dead_letters {
                if replay.one(&letter).await? {
                    usable += 1;
                } else {
                    left += 1;
                }
            }
        }
        if let Some(id) = what.id
            && usable + left == 0
        {
            let told = format!("there is no dead letter {id} that has not been replayed");
            return Err(Failure::Other(told));
        }
        say(&format!("{usable} replayed, {left} still cannot be used"));
        Ok(if left == 0 { Exit::Done } else { Exit::Failed })
    })
}

struct Replay {
    database: Database,
    converter: Converter,
    lane: Lane,
    mirror: Option<LaneMirror>,
}

impl Replay {
    /// Stores what can be used of a letter. Returns whether that is all of it.
    async fn one(&mut self, letter: &StoredDeadLetter) -> Result<bool, Failure> {
        let mut batch = RowBatch::default();
        // Letters are of many times, and what is wrong with one is no measure for the next.
        let place = self.database.place(letter.record.timestamp).await?;
        self.converter.begin_at(place);
        self.converter.add(&letter.record, &mut batch);
        // Letters have no partition of their own.
        batch.next_offset = None;
        let usable = batch.dead_letters.is_empty();
        if usable {
            batch.replayed.push(letter.id);
        }
        let committed = match self.database.commit(&mut self.lane, &batch).await {
            Ok(committed) => committed,
            Err(DatabaseError::Refused(error)) => {
                complain(&format!("{}: {error}", letter.id));
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(mirror) = &mut self.mirror {
            mirror.apply(&self.database, &committed).await?;
        }
        Ok(usable)
    }
}

/// Carries out a command that writes to the database, and says what went wrong.
fn with_database(
    source: &ConfigArgs,
    command: impl AsyncFnOnce(&Config, Database) -> Result<Exit, Failure>,
) -> Exit {
    run_with(source, async |config| {
        // Where there are no letters, no database is made.
        let there = Database::open_to_read(&config.database).await?;
        let one = DeadLetterFilter {
            most: 1,
            ..DeadLetterFilter::default()
        };
        there.dead_letter_summaries(&one).await?;
        drop(there);
        let database = Database::open(&config.database).await?;
        command(config, database).await
    })
}

/// The same for a command that only reads: it makes and changes nothing.
pub(super) fn reading_database(
    source: &ConfigArgs,
    command: impl AsyncFnOnce(&Config, Database) -> Result<Exit, Failure>,
) -> Exit {
    run_with(source, async |config| {
        let database = Database::open_to_read(&config.database).await?;
        command(config, database).await
    })
}

/// The same for a command that opens the database itself.
pub(super) fn run_with(
    source: &ConfigArgs,
    command: impl AsyncFnOnce(&Config) -> Result<Exit, Failure>,
) -> Exit {
    let run = || {
        let config = load(source)?.config;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(command(&config))
    };
    run().unwrap_or_else(|error: Failure| {
        complain(&error.to_string());
        match error {
            Failure::Config(_) | Failure::NoKafka(_) => Exit::BadConfig,
            _ => Exit::Failed,
        }
    })
}
