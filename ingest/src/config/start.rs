//! Where reading begins.

use std::time::Duration;

use perijove_core::settings::{Setting, words};
use schemars::JsonSchema;
use serde_json::{Value, json};

/// Where to begin a partition that was never read.
#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Eq)]
pub enum Start {
    /// With the next record.
    Latest,
    /// With the oldest record.
    Earliest,
    /// This long before now.
    Ago(Duration),
}

impl Setting for Start {
    const EXPECTED: &'static str = "latest, earliest or how far back, such as 30m";

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "latest" => Some(Self::Latest),
            "earliest" => Some(Self::Earliest),
            text => Duration::from_text(text).map(Self::Ago),
        }
    }

    fn show(&self) -> Value {
        match self {
            Self::Latest => json!("latest"),
            Self::Earliest => json!("earliest"),
            Self::Ago(duration) => duration.show(),
        }
    }

    fn schema() -> Value {
        json!({ "type": "string", "examples": ["latest", "earliest", "30m"] })
    }
}

/// Where to continue if reading cannot go on where it was.
#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Eq)]
pub enum Reset {
    /// With the next record.
    Latest,
    /// With the oldest record.
    Earliest,
}

words!(Reset, "earliest or latest",
    "earliest" => Self::Earliest,
    "latest" => Self::Latest,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_an_end_of_the_stream_or_a_time_before_now() {
        for (text, expected) in [
            ("latest", Some(Start::Latest)),
            ("earliest", Some(Start::Earliest)),
            ("2h", Some(Start::Ago(Duration::from_hours(2)))),
            ("newest", None),
            ("", None),
        ] {
            let start = Start::from_text(text);
            assert_eq!(start, expected, "{text}");
            assert!(start.is_none_or(|start| start.show() == text));
        }
    }
}
