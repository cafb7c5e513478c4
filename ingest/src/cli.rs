//! The command line: commands and their arguments. Module `app` carries them out.

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
  0  success, or stopped on request (`replay`: all of it is stored)
  1  failed
  2  invalid command line
  3  invalid configuration; standard error has the details";

/// Bitquery's Solana streams into Redis and the database, exactly once.
#[derive(Clone, Debug, PartialEq, Parser)]
#[command(name = "perijove-ingest", version, about, after_help = AFTER_HELP)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Validate a configuration and report every error in it
    Check(ConfigArgs),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Check whether a running program is healthy; exit code 0 if so, else 1
    Health(HealthArgs),
    /// Test the connection to Kafka step by step; explain what fails and how to fix it
    TestConnection(ConfigArgs),
    /// Show the consumer group's lag, by the offsets committed to Kafka
    Lag(ConfigArgs),
    /// Record the streams into a file without joining the consumer group
    Record(RecordArgs),
    /// Consume from Kafka until stopped
    Run(ConfigArgs),
    /// Store a recording and exit; storing it again changes nothing
    Replay(ReplayArgs),
    /// Show or reset the offsets at which partitions continue, which the database keeps
    #[command(subcommand)]
    Offsets(OffsetsCommand),
    /// List or replay messages that could not be used
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Compare trades and volume per hour with a reference file
    Verify(VerifyArgs),
    /// Compare the prices in Redis with those of Jupiter's API
    Reconcile(ReconcileArgs),
    /// Export trades from the database into a columnar file
    Export(ExportArgs),
    /// Generate a recording of synthetic trades, for tests and demonstrations
    Generate(GenerateArgs),
    /// Convert base58 addresses or signatures to SQL byte literals (X'…') for SQLite
    Base58(Base58Args),
}

/// Arguments of `health`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct HealthArgs {
    /// Health URLs, http://host:port/path; each must answer with 2xx
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:9091/health")]
    pub addresses: Vec<String>,

    /// How long to keep trying before giving up
    #[arg(short, long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub wait: Duration,
}

/// Arguments of `replay`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ReplayArgs {
    /// Recording to store
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub source: ConfigArgs,
}

/// What to do with offsets.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum OffsetsCommand {
    /// Show the next offset of each partition of the group
    Show(ConfigArgs),
    /// Continue partitions from another offset; a running program notices within ten seconds
    Reset(ResetOffsetsArgs),
}

/// Arguments of `offsets reset`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ResetOffsetsArgs {
    /// Next offset: a number, latest, earliest, or an age such as 30m
    #[arg(long, value_name = "WHERE", value_parser = reset_target)]
    pub to: ResetTarget,

    /// Only this topic
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,

    /// Only this partition of each topic
    #[arg(long, value_name = "NUMBER")]
    pub partition: Option<i32>,

    /// Only show what would change
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub source: ConfigArgs,
}

/// Where a partition continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetTarget {
    Offset(i64),
    Start(Start),
}

fn reset_target(text: &str) -> Result<ResetTarget, String> {
    match text.parse() {
        Ok(offset) if offset >= 0 => Ok(ResetTarget::Offset(offset)),
        _ => {
            let start = start(text).map(ResetTarget::Start);
            start.map_err(|told| format!("{told}; or an offset, up to {}", i64::MAX))
        }
    }
}

/// What to do with dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum DeadLettersCommand {
    /// List them, oldest first
    List(ListDeadLettersArgs),
    /// Process them again and store what can be used now
    Replay(ReplayDeadLettersArgs),
}

/// Arguments of `dead-letters list`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ListDeadLettersArgs {
    #[command(flatten)]
    pub source: ConfigArgs,

    /// Only those of this error class
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,

    /// Include those already replayed
    #[arg(long)]
    pub all: bool,

    /// Maximum number to list
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub most: i64,
}

/// Arguments of `dead-letters replay`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ReplayDeadLettersArgs {
    #[command(flatten)]
    pub source: ConfigArgs,

    /// Only those of this error class
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,

    /// Only the one with this ID
    #[arg(long, value_name = "ID")]
    pub id: Option<i64>,
}

/// Arguments of `verify`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub source: ConfigArgs,

    /// CSV with the columns hour (such as 2026-11-21T14:00:00Z), trades, `volume_usd`
    #[arg(short, long, value_name = "FILE")]
    pub reference: PathBuf,

    /// Maximum deviation of an hour in percent
    #[arg(short, long, value_name = "PERCENT", default_value_t = 5.0, value_parser = tolerance)]
    pub tolerance: f64,
}

/// Arguments of `reconcile`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct ReconcileArgs {
    #[command(flatten)]
    pub source: ConfigArgs,

    /// URL of Jupiter's price API
    #[arg(
        long,
        value_name = "URL",
        default_value = "https://api.jup.ag/price/v3"
    )]
    pub api: Url,

    /// File with the API key; otherwise `JUPITER_API_KEY` is used if set
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,

    /// Maximum deviation of a price in percent
    #[arg(short, long, value_name = "PERCENT", default_value_t = 2.0, value_parser = tolerance)]
    pub tolerance: f64,

    /// Maximum age of the oldest trade that a price is based on
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    pub max_age: Duration,

    /// Maximum relative uncertainty of a price, as the gateway's `price.max_uncertainty`
    #[arg(long, value_name = "SHARE", default_value_t = 0.25, value_parser = tolerance)]
    pub max_uncertainty: f64,

    /// File to write metrics to, for node-exporter's textfile collector
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,

    /// Mints to compare; SOL, USDC and USDT if none are given
    #[arg(value_name = "MINT", default_values_t = [WSOL, USDC, USDT])]
    pub mints: Vec<Pubkey>,
}

/// Arguments of `export`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ExportArgs {
    /// Output file; an existing one is replaced only once the export is complete
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub source: ConfigArgs,

    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "parquet")]
    pub format: ExportFormat,

    /// Start (inclusive): 2025-10-09T08:00:00Z, 2025-10-09, or an age such as 24h
    #[arg(long, value_name = "TIME", value_parser = time_bound)]
    pub from: TimeBound,

    /// End (exclusive), in the same formats; defaults to now
    #[arg(long, value_name = "TIME", value_parser = time_bound)]
    pub to: Option<TimeBound>,
}

/// Format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Apache Parquet, compressed with zstd
    Parquet,
}

/// One end of a range of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeBound {
    At(UnixMillis),
    Ago(Duration),
}

impl TimeBound {
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

fn time_bound(text: &str) -> Result<TimeBound, String> {
    if let Some(ago) = Duration::from_text(text) {
        return Ok(TimeBound::Ago(ago));
    }
    let midnight = format!("{text}T00:00:00Z");
    let time = humantime::parse_rfc3339_weak(text).or_else(|_| humantime::parse_rfc3339(&midnight));
    let since = time
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let millis = since.and_then(|since| i64::try_from(since.as_millis()).ok());
    millis.map(|millis| TimeBound::At(UnixMillis(millis))).ok_or_else(|| {
        "must be a time such as 2025-10-09T08:00:00Z (UTC), a day such as 2025-10-09, or an age such as 24h"
            .to_owned()
    })
}

/// Arguments of `base58`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Base58Args {
    /// Addresses or signatures
    #[arg(value_name = "TEXT", required = true)]
    pub texts: Vec<String>,
}

/// Arguments of `generate`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct GenerateArgs {
    /// Output file; an existing one is replaced
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Number of messages
    #[arg(short, long, value_name = "N", default_value_t = 1000)]
    pub messages: u32,

    /// Random seed; the same seed gives the same trades
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// End time of the last slot, in seconds since 1970
    ///
    /// Defaults to now. Only timestamps depend on it.
    #[arg(short, long, value_name = "SECONDS")]
    pub until: Option<i64>,
}

/// Arguments of `record`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct RecordArgs {
    /// Output file; an existing one is replaced
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub source: ConfigArgs,

    /// Where to start: latest, earliest, or an age such as 30m
    #[arg(long, value_name = "WHERE", value_parser = start)]
    pub from: Option<Start>,

    /// How long to record
    #[arg(short, long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    pub time: Duration,

    /// Stop earlier, after this many messages
    #[arg(short, long, value_name = "N")]
    pub messages: Option<u64>,
}

fn start(text: &str) -> Result<Start, String> {
    Start::from_text(text).ok_or_else(|| format!("must be {}", Start::EXPECTED))
}

/// Without an end, or of no number at all, nothing would ever be beyond it.
fn tolerance(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    let number = number.filter(|number| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "must be a number, at least 0".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    Duration::from_text(text).ok_or_else(|| format!("must be {}", Duration::EXPECTED))
}

/// The configuration to use.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ConfigArgs {
    /// Configuration file (YAML)
    ///
    /// Without it every setting has its default: recordings are replayed into perijove.db in the
    /// current folder, without Kafka or Redis.
    #[arg(short, long, value_name = "FILE", env = "PERIJOVE_INGEST_CONFIG")]
    pub config: Option<PathBuf>,
}

/// The exit code. An invalid command line exits with 2 before any of this.
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
            "reconcile --max-uncertainty 0.02",
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
            "reconcile --tolerance nan",
            "reconcile --tolerance=-1",
            "reconcile --max-uncertainty inf",
            "verify --reference x --tolerance inf",
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
