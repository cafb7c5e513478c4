//! Prices of tokens, told from what ingest has put into Redis.

use std::time::Duration;

use perijove_core::settings::Section;
use schemars::JsonSchema;

/// The price API, `GET /price/v3`.
#[derive(Clone, Debug, JsonSchema, PartialEq)]
pub struct Price {
    /// Whether it is served. Needs `cache.redis`, and an ingest that writes there.
    pub enabled: bool,
    /// How old the oldest trade that a price rests on may be; tokens with an older one are left out.
    pub max_age: Duration,
    /// How many slots the last trade of a token may lie behind the newest slot of the upstreams; without it as
    /// many as `max_age` allows.
    pub max_slots: Option<u64>,
    /// How far off a price may be, as a share of it (0.01 is a percent); tokens whose price may be
    /// further off are left out.
    pub max_uncertainty: f64,
}

impl Default for Price {
    fn default() -> Self {
        Self {
            enabled: false,
            max_age: Duration::from_mins(1),
            max_slots: None,
            max_uncertainty: 0.25,
        }
    }
}

impl Price {
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
