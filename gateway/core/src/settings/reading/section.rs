//! One mapping of the file: its known keys, their values, and the unknown keys in it.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::Secret;
use serde_json::{Map, Value, json};

use crate::settings::document::document;
use crate::settings::interpolate;
use crate::settings::reading::{Key, Reading};
use crate::settings::setting::{Setting, plain};
use crate::settings::spelling;

/// One mapping of the file, or its absence.
pub struct Section<'r> {
    reading: &'r Reading<'r>,
    path: String,
    fields: Option<&'r Map<String, Value>>,
    known: Vec<&'static str>,
}

impl Reading<'_> {
    /// Reads the whole document as one section.
    pub(in crate::settings) fn root<T>(
        &self,
        value: &Value,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        Section::enter(self, String::new(), Some(value), read)
    }
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
    pub fn at(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Reports what is wrong with a key of this section.
    pub fn violation(&self, key: &str, message: impl fmt::Display) {
        self.reading.violation(&self.at(key), message);
    }

    /// Records a warning: valid but probably not intended.
    pub fn warn(&self, key: &str, message: impl fmt::Display) {
        self.reading.warn(self.at(key), message);
    }

    /// Whether the file says something about this key.
    pub fn has(&self, key: &str) -> bool {
        self.fields
            .and_then(|fields| fields.get(key))
            .is_some_and(|value| !value.is_null())
    }

    /// Whether the key is absent or a list of nothing.
    pub fn is_empty_list(&self, key: &str) -> bool {
        match self.fields.and_then(|fields| fields.get(key)) {
            None | Some(Value::Null) => true,
            Some(Value::Array(items)) => items.is_empty(),
            Some(_) => false,
        }
    }

    fn take(&mut self, key: &'static str) -> Option<&'r Value> {
        self.known.push(key);
        self.written(key)
    }

    /// A value that need not be there and has no single default.
    pub fn optional<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        self.describe::<T>(key, None, None, false);
        let value = self.take(key)?;
        self.reading.setting(&self.at(key), value)
    }

    /// Like [`Self::optional`], within bounds.
    pub fn optional_within<T: Setting + PartialOrd>(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<T>,
    ) -> Option<T> {
        self.describe(key, None, Some(&bounds), false);
        self.bounded(key, &bounds)
    }

    /// A value with a default.
    pub fn or<T: Setting>(&mut self, key: &'static str, default: T) -> T {
        self.describe(key, Some(&default), None, false);
        let Some(value) = self.take(key) else {
            return default;
        };
        self.reading
            .setting(&self.at(key), value)
            .unwrap_or(default)
    }

    /// A value with a default and bounds, both inclusive.
    pub fn within<T: Setting + PartialOrd>(
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
    pub fn required<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        self.describe::<T>(key, None, None, true);
        let Some(value) = self.take(key) else {
            self.violation(key, "is missing");
            return None;
        };
        self.reading.setting(&self.at(key), value)
    }

    /// A path, taken from the directory of the configuration file when it is relative.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.reading.environment.directory().join(path)
    }

    /// The text of the file that the key names, or None with the reason reported.
    pub fn contents(&self, key: &str, file: &Path) -> Option<String> {
        self.reading.file(&self.at(key), file)
    }

    /// Settings in a YAML file of their own, which the key names. `None` if it cannot be read,
    /// which has been reported.
    pub fn file<T>(
        &self,
        key: &str,
        file: &Path,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> Option<T> {
        let text = self.contents(key, file)?;
        match document(&text) {
            Ok(document) => {
                let path = self.at(key);
                Some(Section::enter(self.reading, path, Some(&document), read))
            }
            Err(error) => {
                for violation in error.violations {
                    self.violation(key, violation.message);
                }
                None
            }
        }
    }

    /// The text of a file that the program manages itself, which is no part of the configuration.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn contents_apart(&self, file: &Path) -> Result<String, String> {
        self.reading.file_apart(file)
    }

    /// Warns if the text of a key, as it was read, holds a reference that has not been replaced.
    pub fn doubt_references(&self, key: &str, text: &str) {
        self.reading
            .doubt(&self.at(key), self.written_text(key), text);
    }

    /// The current time.
    pub fn now(&self) -> SystemTime {
        self.reading.environment.now()
    }

    /// Reports what is wrong with a file that the program looks after by itself: a violation before
    /// it starts, and afterwards, when what was in the file before is still in use, a warning.
    pub fn fault_apart(&self, key: &str, message: impl fmt::Display) {
        self.reading.fault_apart(&self.at(key), message);
    }

    /// Whether an environment variable is set and not empty.
    pub fn is_set(&self, name: &str) -> bool {
        self.reading
            .variable(name)
            .is_some_and(|value| !value.is_empty())
    }

    /// An environment variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<String> {
        let value = self.reading.variable(name);
        value.filter(|value| !value.is_empty())
    }

    /// From here on ignores unset variables and empty secrets, until called with false.
    pub fn forgive_unset(&self, lenient: bool) {
        self.reading.lenient.set(lenient);
    }

    /// A section below this one; an absent one is read as if it were empty.
    pub fn nested<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let value = self.take(key);
        Section::enter(self.reading, self.at(key), value, read)
    }

    /// A list of sections; absent is empty.
    pub fn sections<T>(
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

    /// A mapping of known names to sections, in the order of the names; absent is empty. `read` is
    /// given each name with its section, also a name that was refused.
    pub fn named_sections<T>(
        &mut self,
        key: &'static str,
        names: &[&str],
        mut read: impl FnMut(&str, &mut Section<'_>) -> T,
    ) -> Vec<T> {
        let reading = self.reading;
        let path = self.at(key);
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let Value::Object(fields) = value else {
            self.violation(key, "must be a mapping of names to settings");
            return Vec::new();
        };
        fields
            .iter()
            .map(|(name, value)| {
                let path = format!("{path}.{name}");
                if !names.contains(&name.as_str()) {
                    reading.violation(&path, spelling::unknown(name, names));
                }
                Section::enter(reading, path, Some(value), |section| read(name, section))
            })
            .collect()
    }

    /// A list of single values; None when it is absent.
    pub fn optional_list<T: Setting>(&mut self, key: &'static str) -> Option<Vec<T>> {
        self.describe_as(key, list_of(&T::schema()), None);
        self.settings(key)
    }

    /// A list of single values with a default.
    pub fn list_or<T: Setting>(&mut self, key: &'static str, default: Vec<T>) -> Vec<T> {
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

    /// The text of a key as it stands in the file, references included.
    pub fn written_text(&self, key: &str) -> Option<&'r str> {
        self.written(key).and_then(Value::as_str)
    }

    fn written(&self, key: &str) -> Option<&'r Value> {
        self.fields?.get(key).filter(|value| !value.is_null())
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

    /// A mapping of free names to single values, each with its place.
    pub fn named<T: Setting>(&mut self, key: &'static str) -> Vec<(String, String, T)> {
        let path = self.at(key);
        let schema = json!({ "type": "object", "additionalProperties": T::schema() });
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
                let setting = self.reading.setting(&path, value)?;
                Some((path, name.clone(), setting))
            })
            .collect()
    }

    /// A mapping of free names to secrets, each with its place.
    pub fn named_secrets(&mut self, key: &'static str) -> Vec<(String, String, Secret)> {
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
                self.reading
                    .secret(&path, value)
                    .map(|secret| (path, name.clone(), secret))
            })
            .collect()
    }

    /// Reports a violation at a place given from the top.
    pub fn violation_at(&self, path: &str, message: impl fmt::Display) {
        self.reading.violation(path, message);
    }

    /// Warns about a place given from the top.
    pub fn warn_at(&self, path: &str, message: impl fmt::Display) {
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
                self.reading.unknown(&self.at(key), key, &self.known);
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
