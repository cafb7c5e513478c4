//! How long answers other than quotes are kept.

use std::time::Duration;

use perijove_core::settings::Section;
use schemars::JsonSchema;

/// How long an answer is served again; zero: it is not kept.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Lifetimes {
    /// Jupiter's prices: with `price.enabled` each mint separately, else each question.
    pub prices: Duration,
    /// `/tokens/v2/search`.
    pub token_search: Duration,
    /// `/tokens/v2/recent`.
    pub recent_tokens: Duration,
    /// Everything else of `/tokens/v2`.
    pub token_lists: Duration,
    /// `/swap/v1/program-id-to-label`.
    pub labels: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            prices: Duration::from_secs(1),
            token_search: Duration::from_secs(30),
            recent_tokens: Duration::from_secs(10),
            token_lists: Duration::from_mins(5),
            labels: Duration::from_hours(1),
        }
    }
}

impl Lifetimes {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let day = Duration::ZERO..=Duration::from_hours(24);
        let short = Duration::ZERO..=Duration::from_mins(1);
        Self {
            prices: section.within("prices", default.prices, short),
            token_search: section.within("token_search", default.token_search, day.clone()),
            recent_tokens: section.within("recent_tokens", default.recent_tokens, day.clone()),
            token_lists: section.within("token_lists", default.token_lists, day.clone()),
            labels: section.within("labels", default.labels, day),
        }
    }
}
