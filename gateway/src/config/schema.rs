//! The JSON Schema of the gateway's configuration file, and its keys for the reference.

use perijove_core::settings::{self, Key, KeyReference};
use serde_json::{Value, json};

use crate::config::Config;

/// The JSON Schema (draft 2020-12) of the configuration file.
pub fn schema() -> Value {
    settings::schema::<Config>(
        "Perijove gateway configuration",
        "What `perijove-gateway run --config FILE` reads.",
        &described(),
    )
}

/// Every key with its default and bounds, in the order of the settings.
pub fn reference() -> Vec<KeyReference> {
    settings::reference(described())
}

/// A file in which every list and every mapping of free names has one item.
pub(super) fn of_every_list() -> Value {
    json!({
        "listen": { "tls": [{}] },
        "admin": { "tls": {} },
        "telemetry": { "otlp": {} },
        "consumers": [{}],
        "jwt": {},
        "plans": [{}],
        "upstreams": [{ "budget": { "groups": [{}] } }],
        "cache": { "methods": { "*": {} } },
        "jupiter": { "upstreams": [{ "budget": {} }], "referral": { "fee_accounts": [{}] } },
    })
}

fn described() -> Vec<Key> {
    let mut keys = settings::described::<Config>(&of_every_list());
    // The document has `listen.tls`, which changes this default; see `Listen::read`.
    for key in keys.iter_mut().filter(|key| key.path == "listen.rpc") {
        key.default = Some(json!(Config::default().listen.rpc));
    }
    keys
}
