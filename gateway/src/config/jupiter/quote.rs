//! How long a quote is valid.

use std::time::Duration;

use perijove_core::settings::{Section, Size};
use schemars::JsonSchema;

use crate::config::limits::size;

/// Kept quotes.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Quotes {
    /// Whether quotes are kept at all. Identical ones in flight share one request in any case.
    pub cache: bool,
    /// For how many slots after its `contextSlot` a quote is served.
    pub valid_slots: u64,
    /// The same for a quote over pools that have not traded since, while the trades that ingest
    /// publishes arrive. Needs `cache.redis`.
    pub quiet_slots: u64,
    /// How long a quote without `contextSlot` is kept, and any while the slot of the cluster is unknown.
    pub ttl: Duration,
    /// How long the answer that there is no route is kept.
    pub negative_ttl: Duration,
    /// Memory for kept quotes.
    pub memory: usize,
    /// Trades count as arriving for this long after the last message.
    pub feed_silence: Duration,
    /// And only while the newest of them is at most this many slots behind. So a missing trade, and
    /// a quote that should have expired with it, is never older than that.
    pub feed_lag_slots: u64,
}

impl Default for Quotes {
    fn default() -> Self {
        Self {
            cache: true,
            valid_slots: 2,
            quiet_slots: 20,
            ttl: Duration::from_millis(800),
            negative_ttl: Duration::from_millis(500),
            memory: 32 * 1024 * 1024,
            feed_silence: Duration::from_secs(2),
            feed_lag_slots: 2,
        }
    }
}

impl Quotes {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let short = Duration::ZERO..=Duration::from_secs(10);
        let quotes = Self {
            cache: section.or("cache", default.cache),
            valid_slots: section.within("valid_slots", default.valid_slots, 0..=5),
            quiet_slots: section.within("quiet_slots", default.quiet_slots, 0..=150),
            ttl: section.within("ttl", default.ttl, short.clone()),
            negative_ttl: section.within("negative_ttl", default.negative_ttl, short),
            memory: size(
                section,
                "memory",
                default.memory,
                Size(64 * 1024)..=Size(16 * 1024 * 1024 * 1024),
            ),
            feed_silence: section.within(
                "feed_silence",
                default.feed_silence,
                Duration::from_millis(100)..=Duration::from_mins(1),
            ),
            feed_lag_slots: section.within("feed_lag_slots", default.feed_lag_slots, 0..=150),
        };
        if section.has("quiet_slots") && quotes.quiet_slots < quotes.valid_slots {
            section.violation("quiet_slots", "must not be below valid_slots");
        }
        Self {
            quiet_slots: quotes.quiet_slots.max(quotes.valid_slots),
            ..quotes
        }
    }
}
