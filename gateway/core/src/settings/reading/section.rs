//! One mapping of the file: its known keys, their values, and the unknown keys in it.

mod nesting;
mod secrets;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::settings::document::document;
use crate::settings::reading::{Key, Reading};
use crate::settings::setting::{Setting, plain};

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

    /// The text of a key as it stands in the file, references included.
    pub fn written_text(&self, key: &str) -> Option<&'r str> {
        self.written(key).and_then(Value::as_str)
    }

    fn written(&self, key: &str) -> Option<&'r Value> {
        self.fields?.get(key).filter(|value| !value.is_null())
    }

    /// Reports a violation at a place given from the top.
    pub fn violation_at(&self, path: &str, message: impl fmt::Display) {
        self.reading.violation(path, message);
    }

    /// Warns about a place given from the top.
    pub fn warn_at(&self, path: &str, message: impl fmt::Display) {
        self.reading.warn(path, message);
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
