//! The command line: what can be asked of the program. What it does then is in `app`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand, ValueEnum};
use perijove_core::Pubkey;
use perijove_core::market::{USDC, USDT, WSOL};
use perijove_core::settings::Setting;
use url::Url;

use crate::config::Start;
use crate::record::UnixMillis;

const AFTER_HELP: &str = "\
Exit codes:
  0  done, or stopped as asked
  1  could not start, or had to stop
  2  the command line is wrong
  3  the configuration is wrong; standard error says what";

/// Bitquery's Solana streams into Redis and the database, exactly once.
#[derive(Clone, Debug, PartialEq, Parser)]
#[command(name = "perijove-ingest", version, about, after_help = AFTER_HELP)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Check a configuration and say everything that is wrong with it
    Check(Source),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Ask a running program whether it is well: 0 for yes, 1 for no
    Health(Health),
    /// Try the connection to Kafka step by step; say what is wrong and what mends it
    TestConnection(Source),
    /// Show how far behind the group is, as it has told Kafka
    Lag(Source),
    /// Write the streams into a file, without the group's knowledge
    Record(Record),
    /// Follow Kafka until told to stop
    Run(Source),
    /// Store a recording and end; a second time changes nothing
    Replay(Replay),
    /// See and set where partitions are read on, which the database keeps
    #[command(subcommand)]
    Offsets(Offsets),
    /// See and replay what could not be used
    #[command(subcommand)]
    DeadLetters(Letters),
    /// Compare trades and volume of each hour with a reference
    Verify(Verify),
    /// Compare the prices in Redis with Jupiter's
    Reconcile(Reconcile),
    /// Write trades from the database into a file of columns, for research
    Export(Export),
    /// Write a recording of made-up trades, for a try or a demonstration
    Generate(Generate),
    /// Print addresses or signatures as SQL writes their bytes: X'…', as SQLite wants them
    Base58(Base58),
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Health {
    /// Where: http://host:port/path. Every one has to answer with 2xx
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:9091/health")]
    pub addresses: Vec<String>,

    /// How long to ask again and again before giving up
    #[arg(short, long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub wait: Duration,
}

/// What is replayed.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Replay {
    /// A recording
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub source: Source,
}

/// What is done with offsets.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Offsets {
    /// Show where each partition of the group goes on
    Show(Source),
    /// Read partitions on from elsewhere; a running program notices within ten seconds
    Reset(ResetOffsets),
}

/// Which partitions go on where.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ResetOffsets {
    /// The next offset, or latest, earliest, or how far back, such as 30m
    #[arg(long, value_name = "WHERE", value_parser = whence)]
    pub to: Whence,

    /// Only this topic
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,

    /// Only this partition of each topic
    #[arg(long, value_name = "NUMBER")]
    pub partition: Option<i32>,

    /// Only say what would change
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub source: Source,
}

/// Where a partition goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    Offset(i64),
    Start(Start),
}

fn whence(text: &str) -> Result<Whence, String> {
    match text.parse() {
        Ok(offset) if offset >= 0 => Ok(Whence::Offset(offset)),
        _ => start(text).map(Whence::Start),
    }
}

/// What is done with dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Letters {
    /// Show them, the oldest first
    List(ListLetters),
    /// Read them again, as the program reads messages now, and store what can be used
    Replay(ReplayLetters),
}

/// Which dead letters are shown.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ListLetters {
    #[command(flatten)]
    pub source: Source,

    /// Only those with this class of error
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,

    /// Those that were replayed as well
    #[arg(long)]
    pub all: bool,

    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub most: i64,
}

/// Which dead letters are replayed.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ReplayLetters {
    #[command(flatten)]
    pub source: Source,

    /// Only those with this class of error
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,

    /// Only this one
    #[arg(long, value_name = "ID")]
    pub id: Option<i64>,
}

/// What is compared with what.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct Verify {
    #[command(flatten)]
    pub source: Source,

    /// CSV with the columns hour (such as 2026-11-21T14:00:00Z), trades, `volume_usd`
    #[arg(short, long, value_name = "FILE")]
    pub reference: PathBuf,

    /// Most percent by which an hour may differ
    #[arg(short, long, value_name = "PERCENT", default_value_t = 5.0)]
    pub tolerance: f64,
}

/// Which prices are compared.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct Reconcile {
    #[command(flatten)]
    pub source: Source,

    /// Jupiter's price API
    #[arg(
        long,
        value_name = "URL",
        default_value = "https://api.jup.ag/price/v3"
    )]
    pub api: Url,

    /// File that holds the key for it; without one, `JUPITER_API_KEY` may
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,

    /// Most percent by which a price may differ
    #[arg(short, long, value_name = "PERCENT", default_value_t = 2.0)]
    pub tolerance: f64,

    /// Most time since the oldest trade that a price rests on
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    pub max_age: Duration,

    /// File for metrics of the comparison, as node-exporter's textfile collector reads them
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,

    /// Mints to compare; SOL, USDC and USDT when none are named
    #[arg(value_name = "MINT", default_values_t = [WSOL, USDC, USDT])]
    pub mints: Vec<Pubkey>,
}

/// What is exported.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Export {
    /// File to write; one that exists is replaced, but only by a whole one
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub source: Source,

    /// How the file is written
    #[arg(short, long, value_name = "FORMAT", default_value = "parquet")]
    pub format: Format,

    /// The first time, such as 2025-10-09T08:00:00Z, 2025-10-09, or how far back, such as 24h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub from: Moment,

    /// The first time that is left out, written like the other; now if nothing is said
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub to: Option<Moment>,
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Apache Parquet, compressed with zstd
    Parquet,
}

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    At(UnixMillis),
    Ago(Duration),
}

impl Moment {
    /// In milliseconds since 1970.
    pub fn millis(self, now: UnixMillis) -> i64 {
        match self {
            Self::At(time) => time.0,
            Self::Ago(time) => now
                .0
                .saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
        }
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    if let Some(ago) = Duration::from_text(text) {
        return Ok(Moment::Ago(ago));
    }
    let midnight = format!("{text}T00:00:00Z");
    let time = humantime::parse_rfc3339_weak(text).or_else(|_| humantime::parse_rfc3339(&midnight));
    let since = time
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let millis = since.and_then(|since| i64::try_from(since.as_millis()).ok());
    millis.map(|millis| Moment::At(UnixMillis(millis))).ok_or_else(|| {
        "must be a time such as 2025-10-09T08:00:00Z (UTC), a day such as 2025-10-09, or how far back, such \
         as 24h"
            .to_owned()
    })
}

/// What is converted.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Base58 {
    /// Addresses and signatures
    #[arg(value_name = "TEXT", required = true)]
    pub texts: Vec<String>,
}

/// What is made up.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Generate {
    /// File to write; one that exists is replaced
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// How many messages
    #[arg(short, long, value_name = "N", default_value_t = 1000)]
    pub messages: u32,

    /// Which of many streams; the same seed gives the same trades
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// When the last slot ends, in seconds since 1970
    ///
    /// Now, if nothing is said. Only times depend on it.
    #[arg(short, long, value_name = "SECONDS")]
    pub until: Option<i64>,
}

/// What is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Record {
    /// File to write; one that exists is replaced
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub source: Source,

    /// Where to begin: latest, earliest, or how far back such as 30m
    #[arg(long, value_name = "WHERE", value_parser = start)]
    pub from: Option<Start>,

    /// How long to record
    #[arg(short, long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    pub time: Duration,

    /// End before that, after so many messages
    #[arg(short, long, value_name = "N")]
    pub messages: Option<u64>,
}

fn start(text: &str) -> Result<Start, String> {
    Start::from_text(text).ok_or_else(|| format!("must be {}", Start::EXPECTED))
}

fn duration(text: &str) -> Result<Duration, String> {
    Duration::from_text(text).ok_or_else(|| format!("must be {}", Duration::EXPECTED))
}

/// Which configuration.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Source {
    /// Configuration file (YAML)
    ///
    /// Without one every setting has its default: recordings are replayed into perijove.db in this
    /// folder, and there is neither Kafka nor Redis.
    #[arg(short, long, value_name = "FILE", env = "PERIJOVE_INGEST_CONFIG")]
    pub config: Option<PathBuf>,
}

/// How the program ends. A wrong command line ends it with 2 before any of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done,
    Failed,
    BadConfig,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::BadConfig => Self::from(3),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_is_understood_and_others_are_not() {
        for line in [
            "check",
            "check -c x",
            "check --config x",
            "schema",
            "health --wait 5s",
            "health http://a:1/ready http://b:2/",
            "generate x",
            "test-connection -c x",
            "lag",
            "record x -c y --from 30m --time 5s --messages 7",
            "record x --from earliest",
            "run -c x",
            "replay x -c y",
            "offsets show",
            "offsets reset --to 17 --topic x --partition 3",
            "offsets reset --to 30m",
            "dead-letters list --class json --all -n 5",
            "dead-letters replay --id 3",
            "verify --reference x --tolerance 3",
            "reconcile So11111111111111111111111111111111111111112 --tolerance 1",
            "export x --from 24h",
            "export x --format parquet --from 2025-10-09 --to 2025-10-09T08:00:00Z -c y",
            "base58 So11111111111111111111111111111111111111112",
            "generate x --messages 5 --seed 2 --until 1760000000",
        ] {
            let words = std::iter::once("perijove-ingest").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
        for line in [
            "",
            "walk",
            "check a.yaml",
            "generate",
            "record",
            "record x --from x",
            "replay",
            "offsets reset",
            "offsets reset --to -1",
            "dead-letters",
            "verify",
            "reconcile x",
            "export x",
            "export x --from yesterday",
            "export x --from 24h --format csv",
            "base58",
        ] {
            let words = std::iter::once("perijove-ingest").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }
}
