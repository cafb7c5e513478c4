//! YAML text as a tree.

use serde_json::Value;
use serde_saphyr::{MessageFormatter, Options, UserMessageFormatter};

use crate::settings::violation::ConfigError;

/// The file as a tree. An empty file is an empty mapping.
pub(super) fn document(text: &str) -> Result<Value, ConfigError> {
    let mut options = Options::default();
    // A snippet of the text could show a secret.
    options.with_snippet = false;
    // `off` and `yes` are words, as in YAML 1.2.
    options.strict_booleans = true;
    match serde_saphyr::from_str_with_options(text, options) {
        Ok(document @ (Value::Object(_) | Value::Null)) => Ok(document),
        Ok(_) => Err(ConfigError::whole(
            "the file must be a mapping of keys to values".to_owned(),
        )),
        Err(error) => {
            let message = UserMessageFormatter.format_message(&error).into_owned();
            let place = error.location().map_or_else(String::new, |location| {
                format!("line {}, column {}: ", location.line(), location.column())
            });
            Err(ConfigError::whole(format!(
                "{place}not valid YAML: {message}"
            )))
        }
    }
}
