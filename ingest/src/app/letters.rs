//! The command `dead-letters`.

use bytes::Bytes;
use prometheus::Registry;
use tokio::runtime;

use crate::app::check::{NoKafka, load};
use crate::app::convert::Converter;
use crate::app::metrics::Metrics;
use crate::app::{complain, now, say};
use crate::cli::{Exit, ListLetters, ReplayLetters, Source};
use crate::config::{Config, ConfigError};
use crate::sink::database::{Batch, Database, Lane, Letter, LetterFilter, StoreError};
use crate::sink::market::{Keeper, Link, MarketError};
use crate::source::Fault;

/// The lane of rows that come from dead letters: those of the letters' own partitions have writers.
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
    Store(#[from] StoreError),
    #[error(transparent)]
    Market(#[from] MarketError),
    #[error(transparent)]
    Kafka(#[from] Fault),
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("the runtime: {0}")]
    Runtime(#[from] std::io::Error),
    #[error("{0}")]
    Other(String),
}

pub(super) fn list(what: &ListLetters) -> Exit {
    reading_database(&what.source, async |_, database| {
        let filter = LetterFilter {
            class: what.class.clone(),
            replayed: what.all,
            most: what.most,
            ..LetterFilter::default()
        };
        for letter in database.letters(&filter).await? {
            say(&line(&letter));
        }
        Ok(Exit::Done)
    })
}

fn line(letter: &Letter) -> String {
    let Letter {
        id,
        record,
        class,
        error,
        replayed,
        ..
    } = letter;
    let bytes = record.payload.as_ref().map_or(0, Bytes::len);
    let replayed = if replayed.is_some() { "  replayed" } else { "" };
    format!(
        "{id}  {}  {class}  {bytes} bytes  {error}{replayed}",
        record.place
    )
}

pub(super) fn replay(what: &ReplayLetters) -> Exit {
    with_database(&what.source, async |config, database| {
        let metrics = Metrics::register(&Registry::new())?;
        let mut replay = Replay {
            converter: Converter::new(config, metrics),
            lane: database.claim(GROUP, GROUP, 0).await?,
            keeper: None,
            database,
        };
        if let Some(redis) = &config.redis {
            let mut keeper = Keeper::new(Link::new(redis)?, &replay.lane, now);
            // What an earlier replay has stored, and Redis has not got.
            keeper.mend(&replay.database, replay.lane.batch).await?;
            replay.keeper = Some(keeper);
        }
        let mut filter = LetterFilter {
            id: what.id,
            class: what.class.clone(),
            most: TOGETHER,
            ..LetterFilter::default()
        };
        let (mut usable, mut left) = (0, 0);
        loop {
            let letters = replay.database.letters(&filter).await?;
            let Some(last) = letters.last() else {
                break;
            };
            filter.after = last.id;
            for letter in letters {
                if replay.one(&letter).await? {
                    usable += 1;
                } else {
                    left += 1;
                }
            }
        }
        say(&format!("{usable} could be used, {left} still cannot"));
        Ok(Exit::Done)
    })
}

struct Replay {
    database: Database,
    converter: Converter,
    lane: Lane,
    keeper: Option<Keeper>,
}

impl Replay {
    /// Stores what can be used of a letter. Says whether that is all of it.
    async fn one(&mut self, letter: &Letter) -> Result<bool, Failure> {
        let mut batch = Batch::default();
        self.converter.add(&letter.record, &mut batch);
        // Letters do not stand in a partition of their own.
        batch.next_offset = None;
        let usable = batch.letters.is_empty();
        if usable {
            batch.replayed.push(letter.id);
        }
        let committed = match self.database.commit(&mut self.lane, &batch).await {
            Ok(committed) => committed,
            Err(StoreError::Refused(error)) => {
                complain(&format!("{}: {error}", letter.id));
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(keeper) = &mut self.keeper {
            keeper.apply(&self.database, &committed).await?;
        }
        Ok(usable)
    }
}

/// Carries out a command that needs the database, and says what went wrong.
pub(super) fn with_database(
    source: &Source,
    command: impl AsyncFnOnce(&Config, Database) -> Result<Exit, Failure>,
) -> Exit {
    run_with(source, async |config| {
        let database = Database::open(&config.database).await?;
        command(config, database).await
    })
}

/// The same for a command that only reads: it makes and changes nothing.
pub(super) fn reading_database(
    source: &Source,
    command: impl AsyncFnOnce(&Config, Database) -> Result<Exit, Failure>,
) -> Exit {
    run_with(source, async |config| {
        let database = Database::open_to_read(&config.database).await?;
        command(config, database).await
    })
}

fn run_with(source: &Source, command: impl AsyncFnOnce(&Config) -> Result<Exit, Failure>) -> Exit {
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
