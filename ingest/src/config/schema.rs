//! The JSON Schema of ingest's configuration file, and its keys for the reference.

use perijove_core::settings::{self, Key, KeyReference};
use serde_json::{Value, json};

use crate::config::Config;

/// The JSON Schema (draft 2020-12) of the configuration file.
pub fn schema() -> Value {
    settings::schema::<Config>(
        "Perijove ingest configuration",
        "What `perijove-ingest run --config FILE` reads.",
        &described(),
    )
}

/// Every key with its default and bounds, in the order of the settings.
pub fn reference() -> Vec<KeyReference> {
    settings::reference(described())
}

fn described() -> Vec<Key> {
    settings::described::<Config>(&json!({ "streams": [{}] }))
}
