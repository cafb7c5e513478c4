//! Walking the parsed file: which keys there are, where a value stands, and everything that is
//! wrong, collected instead of stopping at the first.
//!
//! What the keys mean is said by each settings type in its `read`; how a single value is written
//! by [`Setting`]. Reading also describes itself: each key leaves its default and bounds behind,
//! from which the schema is completed.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::Hash;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use perijove_core::Secret;
use serde_json::{Map, Value, json};

use crate::config::environment::Environment;
use crate::config::interpolate::{self, interpolate};
use crate::config::setting::{Setting, plain};
use crate::config::violation::Violation;

/// One pass over one file.
pub(super) struct Reading<'e> {
    environment: &'e dyn Environment,
    /// Whether an unset variable is passed over: true within what is switched off.
    lenient: Cell<bool>,
    pub(super) violations: RefCell<Vec<Violation>>,
    pub(super) warnings: RefCell<Vec<String>>,
    /// Over all that came from outside the file.
    pub(super) digest: RefCell<DefaultHasher>,
    /// Files that were read besides the configuration.
    pub(super) files: RefCell<Vec<PathBuf>>,
    pub(super) keys: RefCell<Vec<Key>>,
}

/// What reading knows of one key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) path: String,
    pub(super) schema: Value,
    pub(super) default: Option<Value>,
    pub(super) bounds: Option<(Value, Value)>,
    pub(super) required: bool,
}

impl<'e> Reading<'e> {
    pub(super) fn new(environment: &'e dyn Environment) -> Self {
        Self {
            environment,
            lenient: Cell::new(false),
            violations: RefCell::default(),
            warnings: RefCell::default(),
            digest: RefCell::default(),
            files: RefCell::default(),
            keys: RefCell::default(),
        }
    }

    /// Reads the whole document as one section.
    pub(super) fn root<T>(&self, value: &Value, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        Section::enter(self, String::new(), Some(value), read)
    }

    pub(super) fn warn(&self, path: impl fmt::Display, message: impl fmt::Display) {
        self.warnings
            .borrow_mut()
            .push(format!("{path}: {message}"));
    }

    fn violation(&self, path: &str, message: impl fmt::Display) {
        let violation = Violation {
            path: path.to_owned(),
            message: message.to_string(),
        };
        self.violations.borrow_mut().push(violation);
    }

    fn variable(&self, name: &str) -> Option<String> {
        let value = self.environment.variable(name);
        (name, &value).hash(&mut *self.digest.borrow_mut());
        value
    }

    /// The text of a single value with its references replaced; None when there is none, which
    /// has been reported then.
    fn text(&self, path: &str, value: &Value, expected: &str) -> Option<String> {
        match value {
            Value::String(text) => match interpolate(text, |name| self.variable(name)) {
                Ok(text) => Some(text),
                Err(interpolate::Fault::Unset(_)) if self.lenient.get() => None,
                Err(fault) => {
                    self.violation(path, fault);
                    None
                }
            },
            Value::Number(_) | Value::Bool(_) => Some(plain(value)),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                self.violation(path, format_args!("must be {expected}"));
                None
            }
        }
    }

    fn setting<T: Setting>(&self, path: &str, value: &Value) -> Option<T> {
        let text = self.text(path, value, T::EXPECTED)?;
        let setting = T::from_text(&text);
        if setting.is_none() {
            self.violation(path, format_args!("must be {}", T::EXPECTED));
        }
        setting
    }

    /// The text of a file the configuration names. A last line ending is not part of it.
    fn file(&self, path: &str, file: &Path) -> Option<String> {
        let file = self.environment.directory().join(file);
        match self.environment.read(&file) {
            Ok(mut text) => {
                (&file, &text).hash(&mut *self.digest.borrow_mut());
                self.files.borrow_mut().push(file);
                let end = text.trim_end_matches(['\n', '\r']).len();
                text.truncate(end);
                Some(text)
            }
            Err(error) => {
                self.violation(path, unreadable(&file, &error));
                None
            }
        }
    }
}

/// Says that a file cannot be read, in words that are the same on every system.
pub(super) fn unreadable(file: &Path, error: &io::Error) -> String {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::InvalidData => "it is not text".to_owned(),
        _ => error.to_string(),
    };
    format!("cannot read {}: {reason}", file.display())
}

/// One mapping of the file, or its absence.
pub(super) struct Section<'r> {
    reading: &'r Reading<'r>,
    path: String,
    fields: Option<&'r Map<String, Value>>,
    known: Vec<&'static str>,
}

impl<'r> Section<'r> {
    fn enter<T>(
        reading: &'r Reading<'_>,
        path: String,
        value: Option<&'r Value>,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let fields = match value {
            None | Some(Value::Null) => None,
            Some(Value::Object(fields)) => Some(fields),
            Some(_) => {
                reading.violation(&path, "must be a mapping of keys to values");
                None
            }
        };
        let mut section = Section {
            reading,
            path,
            fields,
            known: Vec::new(),
        };
        let settings = read(&mut section);
        section.refuse_unknown_keys();
        settings
    }

    /// The place of a key below this section.
    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    pub(super) fn violation(&self, key: &str, message: impl fmt::Display) {
        self.reading.violation(&self.at(key), message);
    }

    pub(super) fn warn(&self, key: &str, message: impl fmt::Display) {
        self.reading.warn(self.at(key), message);
    }

    /// Whether the file says something about this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.fields
            .and_then(|fields| fields.get(key))
            .is_some_and(|value| !value.is_null())
    }

    /// Whether the key is absent or a list of nothing.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        match self.fields.and_then(|fields| fields.get(key)) {
            None | Some(Value::Null) => true,
            Some(Value::Array(items)) => items.is_empty(),
            Some(_) => false,
        }
    }

    fn take(&mut self, key: &'static str) -> Option<&'r Value> {
        self.known.push(key);
        self.fields?.get(key).filter(|value| !value.is_null())
    }

    /// A value that need not be there and has no single default.
    pub(super) fn optional<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        self.describe::<T>(key, None, None, false);
        let value = self.take(key)?;
        self.reading.setting(&self.at(key), value)
    }

    /// Like [`Self::optional`], within bounds.
    pub(super) fn optional_within<T: Setting + PartialOrd>(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<T>,
    ) -> Option<T> {
        self.describe(key, None, Some(&bounds), false);
        self.bounded(key, &bounds)
    }

    /// A value with a default.
    pub(super) fn or<T: Setting>(&mut self, key: &'static str, default: T) -> T {
        self.describe(key, Some(&default), None, false);
        let Some(value) = self.take(key) else {
            return default;
        };
        self.reading
            .setting(&self.at(key), value)
            .unwrap_or(default)
    }

    /// A value with a default and bounds, both inclusive.
    pub(super) fn within<T: Setting + PartialOrd>(
        &mut self,
        key: &'static str,
        default: T,
        bounds: RangeInclusive<T>,
    ) -> T {
        self.describe(key, Some(&default), Some(&bounds), false);
        self.bounded(key, &bounds).unwrap_or(default)
    }

    fn bounded<T: Setting + PartialOrd>(
        &mut self,
        key: &'static str,
        bounds: &RangeInclusive<T>,
    ) -> Option<T> {
        let value = self.take(key)?;
        let setting: T = self.reading.setting(&self.at(key), value)?;
        if setting < *bounds.start() {
            self.violation(
                key,
                format_args!("must be at least {}", plain(&bounds.start().show())),
            );
            None
        } else if setting > *bounds.end() {
            self.violation(
                key,
                format_args!("must be at most {}", plain(&bounds.end().show())),
            );
            None
        } else {
            Some(setting)
        }
    }

    /// A value that must be there. None has been reported.
    pub(super) fn required<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        self.describe::<T>(key, None, None, true);
        let Some(value) = self.take(key) else {
            self.violation(key, "is missing");
            return None;
        };
        self.reading.setting(&self.at(key), value)
    }

    /// A path, taken from the directory of the configuration file when it is relative.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        self.reading.environment.directory().join(path)
    }

    /// The text of the file that the key names, or None with the reason reported.
    pub(super) fn contents(&self, key: &str, file: &Path) -> Option<String> {
        self.reading.file(&self.at(key), file)
    }

    /// Whether an environment variable is set and not empty.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.reading
            .variable(name)
            .is_some_and(|value| !value.is_empty())
    }

    /// Passes over unset variables from here on, until it is called with false.
    pub(super) fn forgive_unset(&self, lenient: bool) {
        self.reading.lenient.set(lenient);
    }

    /// A section below this one; an absent one is read as if it were empty.
    pub(super) fn nested<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let value = self.take(key);
        Section::enter(self.reading, self.at(key), value, read)
    }

    /// A list of sections; absent is empty.
    pub(super) fn sections<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'_>) -> T,
    ) -> Vec<T> {
        let reading = self.reading;
        self.items(key)
            .into_iter()
            .flatten()
            .map(|(path, item)| Section::enter(reading, path, Some(item), &mut read))
            .collect()
    }

    /// A list of single values; None when it is absent.
    pub(super) fn optional_list<T: Setting>(&mut self, key: &'static str) -> Option<Vec<T>> {
        self.describe_as(key, list_of(&T::schema()), None);
        self.settings(key)
    }

    /// A list of single values with a default.
    pub(super) fn list_or<T: Setting>(&mut self, key: &'static str, default: Vec<T>) -> Vec<T> {
        let shown = default.iter().map(Setting::show).collect();
        self.describe_as(key, list_of(&T::schema()), Some(Value::Array(shown)));
        self.settings(key).unwrap_or(default)
    }

    fn settings<T: Setting>(&mut self, key: &'static str) -> Option<Vec<T>> {
        let reading = self.reading;
        let items = self.items(key)?;
        Some(
            items
                .into_iter()
                .filter_map(|(path, item)| reading.setting(&path, item))
                .collect(),
        )
    }

    /// A list of secrets; absent is empty.
    pub(super) fn secrets(&mut self, key: &'static str) -> Vec<(String, Secret)> {
        self.describe_as(key, list_of(&secret_schema()), None);
        let reading = self.reading;
        let items = self.items(key).unwrap_or_default();
        items
            .into_iter()
            .filter_map(|(path, item)| secret(reading, &path, item).map(|secret| (path, secret)))
            .collect()
    }

    /// A mapping of free names to secrets, each with its place.
    pub(super) fn named_secrets(&mut self, key: &'static str) -> Vec<(String, String, Secret)> {
        let path = self.at(key);
        let schema = json!({ "type": "object", "additionalProperties": secret_schema() });
        self.describe_as(key, schema, None);
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let Value::Object(fields) = value else {
            self.violation(key, "must be a mapping of names to values");
            return Vec::new();
        };
        fields
            .iter()
            .filter_map(|(name, value)| {
                let path = format!("{path}.{name}");
                secret(self.reading, &path, value).map(|secret| (path, name.clone(), secret))
            })
            .collect()
    }

    /// Reports a violation at a place given from the top.
    pub(super) fn violation_at(&self, path: &str, message: impl fmt::Display) {
        self.reading.violation(path, message);
    }

    /// Warns about a place given from the top.
    pub(super) fn warn_at(&self, path: &str, message: impl fmt::Display) {
        self.reading.warn(path, message);
    }

    fn items(&mut self, key: &'static str) -> Option<Vec<(String, &'r Value)>> {
        let path = self.at(key);
        if let Value::Array(items) = self.take(key)? {
            let numbered = items.iter().enumerate();
            Some(
                numbered
                    .map(|(index, item)| (format!("{path}[{index}]"), item))
                    .collect(),
            )
        } else {
            self.violation(key, "must be a list");
            None
        }
    }

    fn describe<T: Setting>(
        &self,
        key: &str,
        default: Option<&T>,
        bounds: Option<&RangeInclusive<T>>,
        required: bool,
    ) {
        self.reading.keys.borrow_mut().push(Key {
            path: self.at(key),
            schema: T::schema(),
            default: default.map(Setting::show),
            bounds: bounds.map(|bounds| (bounds.start().show(), bounds.end().show())),
            required,
        });
    }

    fn describe_as(&self, key: &str, schema: Value, default: Option<Value>) {
        let path = self.at(key);
        let key = Key {
            path,
            schema,
            default,
            bounds: None,
            required: false,
        };
        self.reading.keys.borrow_mut().push(key);
    }

    fn refuse_unknown_keys(&self) {
        for key in self.fields.into_iter().flat_map(Map::keys) {
            if !self.known.contains(&key.as_str()) {
                self.violation(key, unknown(key, &self.known));
            }
        }
    }
}

fn list_of(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
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

/// A secret: text, or `{file: path}`.
fn secret(reading: &Reading<'_>, path: &str, value: &Value) -> Option<Secret> {
    const EXPECTED: &str = "text or {file: path}";
    let text = match value {
        Value::Object(fields) => {
            let file = if let (Some(file), 1) = (fields.get("file"), fields.len()) {
                reading.setting::<PathBuf>(&format!("{path}.file"), file)?
            } else {
                reading.violation(path, format_args!("must be {EXPECTED}"));
                return None;
            };
            reading.file(&format!("{path}.file"), &file)?
        }
        value => reading.text(path, value, EXPECTED)?,
    };
    if text.is_empty() {
        reading.violation(path, "is empty");
        return None;
    }
    Some(Secret::new(text))
}

fn unknown(key: &str, known: &[&str]) -> String {
    let close = known
        .iter()
        .map(|known| (distance(key, known), known))
        .min();
    match close {
        Some((distance, close)) if distance <= 1 + close.len() / 4 => {
            format!("unknown key; did you mean `{close}`?")
        }
        _ => format!("unknown key; there are {}", known.join(", ")),
    }
}

/// How many letters have to be changed, added or left out to make one word of the other.
pub(super) fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (above, from) in left.chars().enumerate() {
        let mut diagonal = above;
        let mut last = above + 1;
        if let Some(first) = row.first_mut() {
            *first = last;
        }
        for (cell, to) in row.iter_mut().skip(1).zip(right.chars()) {
            let changed = diagonal + usize::from(from != to);
            diagonal = *cell;
            last = changed.min(last + 1).min(diagonal + 1);
            *cell = last;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_letters() {
        for (left, right, expected) in [
            ("", "", 0),
            ("url", "url", 0),
            ("ulr", "url", 2),
            ("adress", "address", 1),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn an_unknown_key_is_answered_with_what_was_probably_meant() {
        let known = ["timeouts", "tier", "url"];
        assert_eq!(
            unknown("timeout", &known),
            "unknown key; did you mean `timeouts`?"
        );
        assert_eq!(
            unknown("colour", &known),
            "unknown key; there are timeouts, tier, url"
        );
    }
}
