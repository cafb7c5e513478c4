//! Arguments of `dead-letters`.

use clap::{Args, Subcommand};

use super::config_args::ConfigArgs;

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
