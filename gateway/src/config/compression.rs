//! Compression of answers towards clients that ask for it.

use perijove_core::settings::{Section, Size};
use schemars::JsonSchema;

use crate::config::limits::size;

/// When and how strongly answers are compressed with gzip.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Compression {
    /// Whether answers are compressed at all.
    pub enabled: bool,
    /// Smaller answers, in bytes, are sent uncompressed.
    pub min_bytes: usize,
    /// gzip level, 1 (fast) to 9 (small).
    pub level: u32,
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            enabled: true,
            min_bytes: 4 * 1024,
            level: 1,
        }
    }
}

impl Compression {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            enabled: section.or("enabled", default.enabled),
            min_bytes: size(
                section,
                "min_bytes",
                default.min_bytes,
                Size(0)..=Size::mib(64),
            ),
            level: section.within("level", default.level, 1..=9),
        }
    }
}
