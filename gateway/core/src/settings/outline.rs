//! The outline of a configuration as written in the file: each place with a fingerprint of its
//! value. Comparing two of them shows which settings were changed.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde_json::Value;

/// The keys that identify entries of a list; otherwise their number does.
const NAMES: [&str; 2] = ["id", "address"];

/// Every place of a file with a fingerprint of its value, variables and files included.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Outline(BTreeMap<String, u64>);

impl Outline {
    /// Goes through a document; `resolve` says what a text comes to.
    pub(super) fn of(document: &Value, mut resolve: impl FnMut(&str) -> u64) -> Self {
        let mut outline = Self::default();
        outline.walk("", document, &mut resolve);
        outline
    }

    /// The places that differ, each as one would write it. Of what is there in only one of them the
    /// top alone is named.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut places: Vec<&str> = Vec::new();
        let all = self.0.keys().chain(other.0.keys());
        let all: std::collections::BTreeSet<&String> = all.collect();
        for place in all {
            let (left, right) = (self.0.get(place), other.0.get(place));
            let below = |top: &&str| {
                let top = *top;
                let is_whole = self.0.contains_key(top) != other.0.contains_key(top);
                let rest = place.strip_prefix(top);
                is_whole && rest.is_some_and(|rest| rest.starts_with('.'))
            };
            if left != right && !places.iter().any(below) {
                places.push(place);
            }
        }
        places.into_iter().map(str::to_owned).collect()
    }

    fn walk(&mut self, path: &str, value: &Value, resolve: &mut impl FnMut(&str) -> u64) {
        match value {
            Value::Object(fields) => {
                if !path.is_empty() {
                    self.0.insert(path.to_owned(), 0);
                }
                for (key, value) in fields {
                    self.walk(&below(path, key), value, resolve);
                }
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                self.0.insert(path.to_owned(), 0);
                for (index, item) in items.iter().enumerate() {
                    let name = NAMES
                        .iter()
                        .find_map(|name| item.get(name).and_then(Value::as_str));
                    let number = index.to_string();
                    self.walk(&below(path, name.unwrap_or(&number)), item, resolve);
                }
            }
            value => {
                let mut hasher = DefaultHasher::new();
                leaf(value, &mut hasher, resolve);
                self.0.insert(path.to_owned(), hasher.finish());
            }
        }
    }
}

/// Without the fingerprints, which depend on secrets.
impl fmt::Debug for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn leaf(value: &Value, hasher: &mut DefaultHasher, resolve: &mut impl FnMut(&str) -> u64) {
    match value {
        Value::String(text) => resolve(text).hash(hasher),
        Value::Array(items) => items.iter().for_each(|item| leaf(item, hasher, resolve)),
        value => value.to_string().hash(hasher),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outline(document: &Value) -> Outline {
        Outline::of(document, |text| {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            hasher.finish()
        })
    }

    #[test]
    fn what_changed_is_named_by_its_place() {
        let old = json!({
            "limits": { "max_body": "1MiB" },
            "methods": { "deny": ["a", "b"] },
            "upstreams": [
                { "id": "own", "url": "http://a", "tier": "local" },
                { "id": "paid", "url": "http://b", "tier": "paid" },
            ],
        });
        for (change, places) in [
            (
                json!({ "/limits/max_body": "2MiB" }),
                vec!["limits.max_body"],
            ),
            (json!({ "/methods/deny": ["a"] }), vec!["methods.deny"]),
            (
                json!({ "/log": { "level": "debug", "access": false } }),
                vec!["log"],
            ),
            (
                json!({ "/upstreams/1/url": "http://c" }),
                vec!["upstreams.paid.url"],
            ),
            (
                json!({ "/upstreams": [{ "id": "own", "url": "http://a", "tier": "local" }] }),
                vec!["upstreams.paid"],
            ),
            (
                json!({ "/upstreams/0/headers": { "x": "y" }, "/limits/max_batch": 5 }),
                vec!["limits.max_batch", "upstreams.own.headers"],
            ),
        ] {
            let mut new = old.clone();
            for (pointer, value) in change.as_object().unwrap() {
                let (parent, key) = pointer.rsplit_once('/').unwrap();
                new.pointer_mut(parent).unwrap()[key] = value.clone();
            }
            let (old, new) = (outline(&old), outline(&new));
            assert_eq!(new.differences(&old), places);
            assert_eq!(old.differences(&new), places);
            assert!(new.differences(&new).is_empty());
        }
    }
}
