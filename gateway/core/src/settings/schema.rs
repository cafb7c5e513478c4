//! The JSON Schema of a configuration file: structure and descriptions from the types, defaults
//! and bounds from reading, so that neither is written down twice.

use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::settings::configuration::Configuration;
use crate::settings::environment::Environment;
use crate::settings::reading::{Key, Reading};
use crate::settings::setting::plain;

/// One key of the configuration file.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyReference {
    /// Such as `upstreams[].timeouts.connect`; `*` is any name.
    pub path: String,
    /// As one would write it; None when there is no single default.
    pub default: Option<String>,
    /// The least and the most, both allowed.
    pub bounds: Option<(String, String)>,
    pub required: bool,
}

/// The JSON Schema (draft 2020-12) of the configuration file, from its type and from what
/// [`described`] says of its keys.
pub fn schema<C: JsonSchema>(title: &str, description: &str, keys: &[Key]) -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<C>()
        .to_value();
    close_objects(&mut schema);
    for key in keys {
        complete(&mut schema, key);
    }
    for (key, text) in [("title", title), ("description", description)] {
        insert(&mut schema, key, text.into());
    }
    schema
}

/// The keys as a person reads of them, in the order of the settings.
pub fn reference(keys: Vec<Key>) -> Vec<KeyReference> {
    let show = |value: &Value| match value {
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        value => plain(value),
    };
    keys.into_iter()
        .map(|key| KeyReference {
            path: key.path,
            default: key.default.as_ref().map(show),
            bounds: key
                .bounds
                .map(|(least, most)| (plain(&least), plain(&most))),
            required: key.required,
        })
        .collect()
}

/// Surroundings in which there is nothing.
struct Nowhere;

impl Environment for Nowhere {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn directory(&self) -> &Path {
        Path::new("")
    }
}

/// Reads a document with one item in each list, and one named `*` in each mapping of names, only for
/// what reading says about itself: every key with its default and bounds.
pub fn described<C: Configuration>(document: &Value) -> Vec<Key> {
    let reading = Reading::new(&Nowhere);
    drop(reading.root(document, C::read));
    let mut keys = reading.keys.take();
    for key in &mut keys {
        key.path = key.path.replace("[0]", "[]");
    }
    keys
}

/// Refuses keys that are not listed. Which ones are required is said by reading.
fn close_objects(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(close_objects);
            if fields.get("properties").is_some_and(Value::is_object) {
                fields.insert("additionalProperties".to_owned(), Value::Bool(false));
                fields.remove("required");
                // `section:` with nothing below it is an empty section.
                fields.insert("type".to_owned(), json!(["object", "null"]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close_objects),
        _ => {}
    }
}

/// Puts what reading said about a key into the schema.
fn complete(schema: &mut Value, key: &Key) {
    let (parent, name) = key.path.rsplit_once('.').unwrap_or(("", &key.path));
    let Some(parent) = find(schema, parent).and_then(Value::as_object_mut) else {
        return;
    };
    if key.required
        && let Some(required) = parent
            .entry("required")
            .or_insert_with(|| json!([]))
            .as_array_mut()
    {
        required.push(name.into());
    }
    let Some(properties) = parent.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    let old = properties.get(name).and_then(|old| old.get("description"));
    let old = old
        .and_then(Value::as_str)
        .map(|text| Value::from(text.replace('\n', " ")));
    let mut property = key.schema.as_object().cloned().unwrap_or_default();
    property.extend(old.map(|text| ("description".to_owned(), text)));
    property.extend(
        key.default
            .clone()
            .map(|value| ("default".to_owned(), value)),
    );
    if let Some((least, most)) = &key.bounds {
        bound(&mut property, least, most);
    }
    properties.insert(name.to_owned(), Value::Object(property));
}

/// Bounds of numbers are schema keywords, other bounds are part of the description.
fn bound(property: &mut Map<String, Value>, least: &Value, most: &Value) {
    if least.is_number() && most.is_number() {
        property.insert("minimum".to_owned(), least.clone());
        property.insert("maximum".to_owned(), most.clone());
        return;
    }
    let text = property
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let text = format!("{text} From {} to {}.", plain(least), plain(most));
    property.insert("description".to_owned(), text.trim_start().into());
}

/// The schema of the section at a path.
fn find<'s>(schema: &'s mut Value, path: &str) -> Option<&'s mut Value> {
    let steps = path.split('.').filter(|step| !step.is_empty());
    steps.into_iter().try_fold(schema, |schema, step| {
        if step == "*" {
            return schema.get_mut("additionalProperties");
        }
        let name = step.trim_end_matches("[]");
        let property = schema.get_mut("properties")?.get_mut(name)?;
        if name.len() < step.len() {
            property.get_mut("items")
        } else {
            Some(property)
        }
    })
}

fn insert(schema: &mut Value, key: &str, value: Value) {
    if let Some(fields) = schema.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}
