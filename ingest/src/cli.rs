//! The command line: commands and their arguments. Module `app` carries them out.

mod comparisons;
mod config_args;
mod dead_letters;
mod export;
mod offsets;
mod option_values;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::Start;
use option_values::{duration, start};

pub use comparisons::{ReconcileArgs, VerifyArgs};
pub use config_args::ConfigArgs;
pub use dead_letters::{DeadLettersCommand, ListDeadLettersArgs, ReplayDeadLettersArgs};
pub use export::{ExportArgs, ExportFormat, TimeBound};
pub use offsets::{OffsetsCommand, ResetOffsetsArgs, ResetTarget};

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
