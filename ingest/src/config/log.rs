//! What is logged and how it looks.

use perijove_core::settings::Section;
use perijove_core::telemetry;
use schemars::JsonSchema;

pub use perijove_core::telemetry::Format as LogFormat;

/// Settings of the log on standard error.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Log {
    /// `json` for machines, `pretty` for a person at a terminal.
    pub format: LogFormat,
    /// A level (`error`, `warn`, `info`, `debug`, `trace`, `off`) or a filter such as
    /// `info,perijove_ingest::sink=debug`. `RUST_LOG` wins over it.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            level: "info".to_owned(),
        }
    }
}

impl Log {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let log = Self {
            format: section.or("format", default.format),
            level: section.or("level", default.level),
        };
        if let Err(error) = telemetry::check_filter(&log.level) {
            section.violation("level", error);
        }
        log
    }
}
