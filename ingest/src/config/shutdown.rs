//! Shutdown of the process.

use std::time::Duration;

use perijove_core::settings::Section;
use schemars::JsonSchema;

/// What happens between SIGTERM, or the loss of a partition, and the end of it.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Shutdown {
    /// Time limit for writing what has been read. Below `kafka.session_timeout`.
    pub grace: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(25),
        }
    }
}

impl Shutdown {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let grace = Duration::ZERO..=Duration::from_mins(10);
        Self {
            grace: section.within("grace", Self::default().grace, grace),
        }
    }
}
