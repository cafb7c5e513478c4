//! Arguments of `offsets`.

use clap::{Args, Subcommand};

use super::config_args::ConfigArgs;
use super::option_values::start;
use crate::config::Start;

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
