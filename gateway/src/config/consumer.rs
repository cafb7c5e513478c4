//! Consumers: owners of API keys.

use perijove_core::Secret;
use perijove_core::settings::{Section, refuse_doubles, required_id};
use schemars::JsonSchema;

/// Somebody who calls the gateway with a key of his own.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Consumer {
    /// Name in logs; unique.
    pub id: String,
    /// Any of these keys identifies the consumer. At least one; unique over all consumers.
    pub keys: Vec<Secret>,
}

/// Keys shorter than this can be guessed.
const WEAK_KEY: usize = 16;

impl Consumer {
    pub(super) fn read_all(section: &mut Section<'_>) -> Vec<Self> {
        let mut ids = Vec::new();
        let mut keys: Vec<(String, Secret)> = Vec::new();
        let consumers = section.sections("consumers", |section| {
            let id = required_id(section);
            ids.push((section.at("id"), id.clone()));
            let own = Self::read_keys(section);
            keys.extend(own.iter().cloned());
            Some(Self {
                id: id?,
                keys: own.into_iter().map(|(_, key)| key).collect(),
            })
        });
        refuse_doubles(
            section,
            ids.iter().map(|(path, id)| (path.as_str(), id.as_ref())),
        );
        refuse_doubles(
            section,
            keys.iter().map(|(path, key)| (path.as_str(), Some(key))),
        );
        consumers.into_iter().flatten().collect()
    }

    fn read_keys(section: &mut Section<'_>) -> Vec<(String, Secret)> {
        let keys = section.secrets("keys");
        if section.is_empty_list("keys") {
            section.violation("keys", "needs at least one key");
        }
        for (path, key) in &keys {
            let text = key.expose();
            if !text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'/')
            {
                section.violation_at(path, "must be visible ASCII without spaces and `/`");
            } else if text.len() < WEAK_KEY {
                section.warn_at(
                    path,
                    format_args!("has fewer than {WEAK_KEY} characters and could be guessed"),
                );
            }
        }
        keys
    }
}
