//! Arguments of `export`.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use perijove_core::settings::Setting;

use super::config_args::ConfigArgs;
use crate::record::UnixMillis;

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
