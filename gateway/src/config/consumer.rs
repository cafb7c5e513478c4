//! Consumers: owners of API keys.

use perijove_core::Secret;
use perijove_core::settings::serde_json::{Value, json};
use perijove_core::settings::{Section, Setting, refuse_doubles, required_id};
use schemars::JsonSchema;
use sha2::{Digest, Sha256};

use super::{DEFAULT_PLAN, KeysFile, Plan};

/// A caller with keys of its own.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Consumer {
    /// Name in logs; unique.
    pub id: String,
    /// Any of these keys identifies the consumer; unique over all consumers.
    pub keys: Vec<Secret>,
    /// The same for keys that are not in the file: `sha256:` and 64 hexadecimal digits, as
    /// `perijove-gateway keys hash` prints them. At least one key or hash is needed.
    pub key_hashes: Vec<KeyHash>,
    /// Its plan. Defaults to the plan `default`.
    pub plan: String,
}

/// The SHA-256 of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// That of a key.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

impl std::fmt::Display for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl Setting for KeyHash {
    const EXPECTED: &'static str = "sha256: and 64 hexadecimal digits, as `keys hash` prints them";

    fn from_text(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text.strip_prefix("sha256:")?, &mut hash).ok()?;
        Some(Self(hash))
    }

    fn show(&self) -> Value {
        json!(self.to_string())
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^sha256:[0-9a-fA-F]{64}$" })
    }
}

/// The id of a plan, which must exist.
pub(super) fn plan_of(
    section: &mut Section<'_>,
    key: &'static str,
    plans: &[Plan],
) -> Option<String> {
    let name: String = section.optional(key)?;
    if !plans.iter().any(|plan| plan.id == name) {
        section.violation(key, Plan::none_of(&name, plans));
    }
    Some(name)
}

/// Keys shorter than this can be guessed.
const WEAK_KEY: usize = 16;

impl Consumer {
    /// A consumer may be without keys only if a `keys_file` may hold some.
    pub(super) fn read_all(
        section: &mut Section<'_>,
        plans: &[Plan],
        keys_file: Option<&KeysFile>,
    ) -> Vec<Self> {
        let mut ids = Vec::new();
        let mut keys: Vec<(String, Secret)> = Vec::new();
        let consumers = section.sections("consumers", |section| {
            let id = required_id(section);
            ids.push((section.at("id"), id.clone()));
            let needed = !section.has("key_hashes") && keys_file.is_none();
            let own = Self::read_keys(section, needed);
            let key_hashes = section.list_or("key_hashes", Vec::new());
            keys.extend(own.iter().cloned());
            let plan = plan_of(section, "plan", plans);
            Some(Self {
                id: id?,
                keys: own.into_iter().map(|(_, key)| key).collect(),
                key_hashes,
                plan: plan.unwrap_or_else(|| DEFAULT_PLAN.to_owned()),
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
        let mut consumers: Vec<Self> = consumers.into_iter().flatten().collect();
        if let Some(keys_file) = keys_file {
            keys_file.add_to(&mut consumers, plans, section);
        }
        consumers
    }

    /// The hashes of all its keys.
    pub fn hashes(&self) -> impl Iterator<Item = KeyHash> {
        let written = self.keys.iter();
        let written = written.map(|key| KeyHash::of(key.expose().as_bytes()));
        written.chain(self.key_hashes.iter().copied())
    }

    fn read_keys(section: &mut Section<'_>, needed: bool) -> Vec<(String, Secret)> {
        let keys = section.secrets("keys");
        if needed && section.is_empty_list("keys") {
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
