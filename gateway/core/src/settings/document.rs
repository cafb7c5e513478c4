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
            let location = error.location();
            let place = location.map_or_else(String::new, |location| {
                format!("line {}, column {}: ", location.line(), location.column())
            });
            let line = location.and_then(|location| usize::try_from(location.line()).ok());
            let cure = match line {
                Some(line) if has_bare_reference(text, line) => BARE_REFERENCE,
                _ => "",
            };
            Err(ConfigError::whole(format!(
                "{place}not valid YAML: {message}{cure}"
            )))
        }
    }
}

/// In a list or mapping in brackets the brace of a reference begins a mapping.
const BARE_REFERENCE: &str = "; inside [ ] and { } write references in quotes: \"${NAME}\"";

/// Whether a reference without quotes is on this line, counted from 1, or on the one before, where
/// the parser may have noticed it only afterwards.
fn has_bare_reference(text: &str, line: usize) -> bool {
    let lines = text.lines().take(line).skip(line.saturating_sub(2));
    lines.into_iter().any(|line| {
        line.match_indices("${").any(|(at, _)| {
            let before = line.get(..at).unwrap_or_default();
            let even = |quote: char| before.matches(quote).count() % 2 == 0;
            let brackets = before.contains(['[', '{']);
            brackets && even('"') && even('\'')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_in_brackets_need_quotes_and_the_error_says_so() {
        for text in [
            "keys: [${KEY}]",
            "consumers:\n  - {id: bots, keys: [${BOTS_KEY}, ${OLD_KEY}]}\nanonymous: false\n",
            "redis: {url: ${REDIS_URL}}",
            "keys: [\"${ONE}\", ${TWO}]",
        ] {
            let error = document(text).unwrap_err().to_string();
            assert!(error.ends_with(BARE_REFERENCE), "{text}: {error}");
        }
        for text in [
            "keys: [\"${KEY}\", '${OTHER}']",
            "keys:\n  - ${KEY}\n  - x${KEY}y\n",
            "url: ${URL}",
            "redis: {url: \"${REDIS_URL}\"}",
        ] {
            document(text).unwrap();
        }
        let other = document("keys: [\"${KEY}\"\nx: 1").unwrap_err().to_string();
        assert!(!other.contains("quotes"), "{other}");
    }
}
