//! Why a run ended unexpectedly.

use perijove_core::telemetry::TelemetryError;

use crate::app::check::NoKafka;
use crate::app::housekeeping::ListenError;
use crate::config::ConfigError;
use crate::recording::RecordingError;
use crate::sink::database::DatabaseError;
use crate::sink::market::MarketError;
use crate::source::SourceError;

/// Why it ended unexpectedly.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("log: {0}")]
    Telemetry(#[from] TelemetryError),
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Store(#[from] DatabaseError),
    #[error(transparent)]
    Market(#[from] MarketError),
    #[error(transparent)]
    NoKafka(#[from] NoKafka),
    #[error("{0}{hint}", hint = hint(.0))]
    Source(#[from] SourceError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("cannot read {file}: {source}")]
    Recording {
        file: String,
        source: RecordingError,
    },
    #[error(
        "stopped before the whole recording was stored; run the same command again to continue"
    )]
    GaveUp,
    #[error("task `{0}` ended unexpectedly; see the log")]
    Task(&'static str),
    #[error("{0}")]
    Misconfigured(String),
    #[error("the runtime: {0}")]
    Runtime(#[from] std::io::Error),
}

fn hint(fault: &SourceError) -> String {
    let hint = fault.kind.hint();
    hint.map(|hint| format!(" ({hint})")).unwrap_or_default()
}
