//! Looking for history that the first upstream does not have.

use std::time::Duration;

use perijove_core::settings::Section;
use schemars::JsonSchema;

/// What happens before an empty answer about the past is returned.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct HistorySettings {
    /// Whether an upstream with more history is asked before an empty answer about the past (a
    /// transaction, a block, an account's signatures) is returned.
    pub ask_deeper: bool,
    /// Time limit of that question; then the first answer is returned.
    pub timeout: Duration,
    /// If that upstream has nothing either, it is not asked the same again for this long; twice as
    /// long each further time.
    pub pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// Maximum number of such questions per second that find nothing, whatever they ask for; up to
    /// ten seconds' worth at once, the last half of it for clients that found most of what they asked
    /// for. Beyond that the first answer is returned, and not kept.
    pub misses_per_second: u32,
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            ask_deeper: true,
            timeout: Duration::from_secs(5),
            pause: Duration::from_secs(5),
            longest_pause: Duration::from_mins(5),
            misses_per_second: 10,
        }
    }
}

impl HistorySettings {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let pauses = Duration::from_millis(100)..=Duration::from_hours(24);
        let history = Self {
            ask_deeper: section.or("ask_deeper", default.ask_deeper),
            timeout: section.within(
                "timeout",
                default.timeout,
                Duration::from_millis(100)..=Duration::from_mins(10),
            ),
            pause: section.within("pause", default.pause, pauses.clone()),
            longest_pause: section.within("longest_pause", default.longest_pause, pauses),
            misses_per_second: section.within(
                "misses_per_second",
                default.misses_per_second,
                0..=100_000,
            ),
        };
        if history.pause > history.longest_pause {
            section.violation("pause", "must not be above longest_pause");
        }
        history
    }
}
