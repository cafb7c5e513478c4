//! The route optimizer.

use std::time::Duration;

use perijove_core::settings::Section;
use schemars::JsonSchema;

/// The best of several quotes, for requests with `x-perijove-optimize: best`.
#[derive(Clone, Debug, JsonSchema, PartialEq)]
pub struct OptimizerSettings {
    /// Whether that header is honoured. Each such quote costs several requests.
    pub enabled: bool,
    /// A path that means such a quote without the header, such as `/swap/v1/best`.
    pub path: Option<String>,
    /// Maximum number of variants of a quote that are requested.
    pub max_routes: u32,
    /// Time limit for the variants; the best that has arrived by then is returned.
    pub deadline: Duration,
    /// How long the gateway remembers which variant was the best for a pair. Quotes themselves are
    /// never kept.
    pub choice_ttl: Duration,
    /// Slippage of quotes that specify none, in percent. By default Jupiter's own.
    pub slippage_tolerance: Option<f64>,
    /// What the median of recent priority fees is multiplied by for the estimate in the header
    /// `x-perijove-priority-fee`.
    pub priority_fee_multiplier: f64,
    /// Maximum number of requests per minute, not counting the first of each quote.
    pub requests_per_minute: u32,
    /// Sets of exchanges to try, each a comma-separated list as in the parameter `dexes`.
    pub dexes: Vec<String>,
}

impl Default for OptimizerSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            path: None,
            max_routes: 5,
            deadline: Duration::from_millis(400),
            choice_ttl: Duration::from_mins(5),
            slippage_tolerance: None,
            priority_fee_multiplier: 1.5,
            requests_per_minute: 600,
            dexes: Vec::new(),
        }
    }
}

impl OptimizerSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let path: Option<String> = section.optional("path");
        if path.as_ref().is_some_and(|path| !path.starts_with('/')) {
            section.violation("path", "must begin with a slash");
        }
        Self {
            enabled: section.or("enabled", default.enabled),
            path,
            max_routes: section.within("max_routes", default.max_routes, 1..=10),
            deadline: section.within(
                "deadline",
                default.deadline,
                Duration::from_millis(10)..=Duration::from_secs(10),
            ),
            choice_ttl: section.within(
                "choice_ttl",
                default.choice_ttl,
                Duration::ZERO..=Duration::from_hours(1),
            ),
            slippage_tolerance: section.optional_within("slippage_tolerance", 0.0..=100.0),
            priority_fee_multiplier: section.within(
                "priority_fee_multiplier",
                default.priority_fee_multiplier,
                0.1..=100.0,
            ),
            requests_per_minute: section.within(
                "requests_per_minute",
                default.requests_per_minute,
                0..=1_000_000,
            ),
            dexes: section.optional_list("dexes").unwrap_or_default(),
        }
    }
}
