//! A string that cannot be printed: API keys, tokens, header values.
//!
//! Where secrets come from (text, environment, files) is the configuration's business.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

/// A value that must not reach a log, an error message or a status page. It has neither
/// `Display` nor `Serialize`, and its `Debug` output is always `Secret(***)`.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that sends or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret:?} {:#?}", Some(&secret))
                .matches("hunter2")
                .count(),
            0
        );
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_secret_is_read_from_plain_text() {
        let secret: Secret = serde_json::from_str("\"k\"").unwrap();
        assert_eq!(secret, Secret::new("k"));
    }
}
