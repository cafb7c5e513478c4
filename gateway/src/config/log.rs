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
    /// `info,perijove_gateway::upstream=debug`. `RUST_LOG` wins over it.
    pub level: String,
    /// One line for each request.
    pub access: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            level: "info".to_owned(),
            access: true,
        }
    }
}

impl Log {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let log = Self {
            format: section.or("format", default.format),
            level: section.or("level", default.level),
            access: section.or("access", default.access),
        };
        if let Err(error) = telemetry::check_filter(&log.level) {
            section.violation("level", error);
        }
        log
    }
}
