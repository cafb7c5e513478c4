//! What a section holds besides single values: sections, lists and mappings.

use serde_json::{Value, json};

use super::{Section, list_of};
use crate::settings::setting::Setting;
use crate::settings::spelling;

impl<'r> Section<'r> {
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

    /// A mapping of free names to single values, each with its place.
    pub fn named<T: Setting>(&mut self, key: &'static str) -> Vec<(String, String, T)> {
        self.free_names(key, &T::schema(), |section, path, value| {
            section.reading.setting(path, value)
        })
    }

    /// A mapping of free names to values that `read` understands.
    pub(super) fn free_names<T>(
        &mut self,
        key: &'static str,
        schema: &Value,
        read: impl Fn(&Self, &str, &Value) -> Option<T>,
    ) -> Vec<(String, String, T)> {
        let path = self.at(key);
        let schema = json!({ "type": "object", "additionalProperties": schema });
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
                let value = read(self, &path, value)?;
                Some((path, name.clone(), value))
            })
            .collect()
    }

    pub(super) fn items(&mut self, key: &'static str) -> Option<Vec<(String, &'r Value)>> {
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
}
