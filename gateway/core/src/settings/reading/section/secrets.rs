//! Secrets of a section.

use serde_json::{Value, json};

use super::{Section, list_of};
use crate::Secret;
use crate::settings::interpolate;

impl Section<'_> {
    /// A secret that need not be there.
    pub fn secret(&mut self, key: &'static str) -> Option<Secret> {
        self.describe_as(key, secret_schema(), None);
        let value = self.take(key)?;
        self.reading.secret(&self.at(key), value)
    }

    /// A secret that must not be in the file itself; `None` if it is absent or has been reported.
    pub fn outside_secret(&mut self, key: &'static str) -> Option<Secret> {
        let secret = self.secret(key);
        match self.written(key) {
            Some(Value::Object(_)) | None => secret,
            Some(Value::String(text)) if interpolate::is_reference(text) => secret,
            Some(_) => {
                self.violation(
                    key,
                    "must not be in the file itself; write ${NAME} for an environment variable, or \
                     {file: path}",
                );
                None
            }
        }
    }

    /// A list of secrets; absent is empty.
    pub fn secrets(&mut self, key: &'static str) -> Vec<(String, Secret)> {
        self.describe_as(key, list_of(&secret_schema()), None);
        let reading = self.reading;
        let items = self.items(key).unwrap_or_default();
        items
            .into_iter()
            .filter_map(|(path, item)| reading.secret(&path, item).map(|secret| (path, secret)))
            .collect()
    }

    /// A mapping of free names to secrets, each with its place.
    pub fn named_secrets(&mut self, key: &'static str) -> Vec<(String, String, Secret)> {
        self.free_names(key, &secret_schema(), |section, path, value| {
            section.reading.secret(path, value)
        })
    }
}

fn secret_schema() -> Value {
    json!({ "anyOf": [
        { "type": "string", "minLength": 1 },
        {
            "type": "object",
            "properties": { "file": { "type": "string", "minLength": 1 } },
            "required": ["file"],
            "additionalProperties": false
        }
    ] })
}
