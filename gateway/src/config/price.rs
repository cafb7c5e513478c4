//! The price API, served from prices that ingest writes to Redis.

use std::time::Duration;

use perijove_core::settings::Section;
use schemars::JsonSchema;

/// The price API, `GET /price/v3`.
#[derive(Clone, Debug, JsonSchema, PartialEq)]
pub struct PriceSettings {
    /// Whether it is served. Needs `cache.redis`, and an ingest that writes there.
    pub enabled: bool,
    /// Maximum age of the oldest trade that a price is based on; tokens with older ones are left
    /// out.
    pub max_age: Duration,
    /// How many slots the last trade of a token may be behind the newest slot of the upstreams; by
    /// default as many as `max_age` allows.
    pub max_slots: Option<u64>,
    /// Maximum relative uncertainty of a price (0.01 is a percent); tokens with less certain prices
    /// are left out.
    pub max_uncertainty: f64,
}

impl Default for PriceSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            max_age: Duration::from_mins(1),
            max_slots: None,
            max_uncertainty: 0.25,
        }
    }
}

impl PriceSettings {
    /// `has_redis`: whether the file names one.
    pub(super) fn read(section: &mut Section<'_>, has_redis: bool) -> Self {
        let default = Self::default();
        let enabled = section.or("enabled", default.enabled);
        if enabled && !has_redis {
            section.violation(
                "enabled",
                "needs cache.redis, which is where ingest writes prices",
            );
        }
        Self {
            enabled,
            max_age: section.within(
                "max_age",
                default.max_age,
                Duration::from_secs(1)..=Duration::from_hours(24),
            ),
            max_slots: section.optional_within("max_slots", 1..=216_000),
            max_uncertainty: section.within(
                "max_uncertainty",
                default.max_uncertainty,
                0.0001..=1.0,
            ),
        }
    }
}
