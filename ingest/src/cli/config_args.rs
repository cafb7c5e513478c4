//! Which configuration a command uses.

use std::path::PathBuf;

use clap::Args;

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
