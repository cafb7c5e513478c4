//! Consumers: owners of API keys, or of certificates.

use std::collections::{HashMap, HashSet};

use perijove_core::Secret;
use perijove_core::settings::{Section, refuse_doubles, required_id};
use schemars::JsonSchema;

use super::{DEFAULT_PLAN, KeyHash, KeysFile, Plan};

/// A caller with keys or certificates of its own.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Consumer {
    /// Name in logs; unique.
    pub id: String,
    /// Any of these keys identifies the consumer; unique over all consumers.
    pub keys: Vec<Secret>,
    /// The same for keys that are not in the file: `sha256:` and 64 hexadecimal digits, as
    /// `perijove-gateway keys hash` prints them. At least one key, hash or certificate is needed.
    pub key_hashes: Vec<KeyHash>,
    /// Names in client certificates that identify the consumer where no key is shown: `CN=bot-1`
    /// (the subject's common name), `DNS:…`, `URI:…` or `EMAIL:…` (alternative names); unique over
    /// all consumers. For listeners with `client_ca`.
    pub certificates: Vec<String>,
    /// Its plan. Defaults to the plan `default`.
    pub plan: String,
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

/// The kinds of names in certificates.
const CERTIFICATE_NAMES: [&str; 4] = ["CN=", "DNS:", "URI:", "EMAIL:"];

/// Names of certificates, as they are written of those that clients show.
fn read_certificate_names(section: &mut Section<'_>) -> Vec<String> {
    let names: Vec<String> = section.list_or("certificates", Vec::new());
    for (index, name) in names.iter().enumerate() {
        let named = |kind: &&str| {
            name.strip_prefix(*kind)
                .is_some_and(|name| !name.is_empty())
        };
        if !CERTIFICATE_NAMES.iter().any(named) {
            section.violation(
                &format!("certificates[{index}]"),
                "must be CN=name, DNS:name, URI:name or EMAIL:name",
            );
        }
    }
    // Host names have no upper and lower case.
    let exact = |name: String| match name.strip_prefix("DNS:") {
        Some(host) => format!("DNS:{}", host.to_ascii_lowercase()),
        None => name,
    };
    names.into_iter().map(exact).collect()
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
        // The hash of a key is the same key.
        let mut keys: Vec<(String, KeyHash)> = Vec::new();
        let mut names: Vec<(String, String)> = Vec::new();
        let consumers = section.sections("consumers", |section| {
            let id = required_id(section);
            ids.push((section.at("id"), id.clone()));
            let others = section.has("key_hashes") || section.has("certificates");
            let own = Self::read_keys(section, !others && keys_file.is_none());
            let key_hashes: Vec<KeyHash> = section.list_or("key_hashes", Vec::new());
            let certificates = read_certificate_names(section);
            let written = own.iter();
            let hash = |key: &Secret| KeyHash::of(key.expose().as_bytes());
            keys.extend(written.map(|(path, key)| (path.clone(), hash(key))));
            let hashed = key_hashes.iter().enumerate();
            keys.extend(
                hashed.map(|(index, hash)| (section.at(&format!("key_hashes[{index}]")), *hash)),
            );
            let at = certificates.iter().enumerate();
            names.extend(at.map(|(index, name)| {
                (section.at(&format!("certificates[{index}]")), name.clone())
            }));
            let plan = plan_of(section, "plan", plans);
            Some(Self {
                id: id?,
                keys: own.into_iter().map(|(_, key)| key).collect(),
                key_hashes,
                certificates,
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
        refuse_doubles(
            section,
            names.iter().map(|(path, name)| (path.as_str(), Some(name))),
        );
        let mut consumers: Vec<Self> = consumers.into_iter().flatten().collect();
        if let Some(keys_file) = keys_file {
            Self::add_keys(keys_file, &mut consumers, plans, section);
        }
        consumers
    }

    /// Adds the file's keys to the consumers, and the consumers that exist only in it. A key that cannot
    /// be accepted is left out with a warning: it must not keep others from being revoked.
    fn add_keys(
        keys_file: &KeysFile,
        consumers: &mut Vec<Self>,
        plans: &[Plan],
        section: &Section<'_>,
    ) {
        let mut hashes: HashSet<KeyHash> = consumers.iter().flat_map(Self::hashes).collect();
        let numbered = consumers.iter().enumerate();
        let mut known: HashMap<String, usize> =
            numbered.map(|(at, one)| (one.id.clone(), at)).collect();
        for (index, key) in keys_file.keys.iter().enumerate() {
            let leave_out = |name: &str, message: &str| {
                let path = format!("keys_file.keys[{index}].{name}");
                section.warn(&path, format!("{message}; this key is not accepted"));
            };
            if let Some(plan) = &key.plan
                && !plans.iter().any(|one| one.id == *plan)
            {
                leave_out("plan", &Plan::none_of(plan, plans));
                continue;
            }
            let at = known.get(&key.consumer).copied();
            let own = at.and_then(|at| consumers.get(at));
            if own.is_some_and(|own| key.plan.as_ref().is_some_and(|plan| *plan != own.plan)) {
                leave_out("plan", "differs from the plan of the consumer's other keys");
                continue;
            }
            if !hashes.insert(key.hash) {
                leave_out("hash", "occurs twice, here or among the consumers' keys");
                continue;
            }
            if let Some(consumer) = at.and_then(|at| consumers.get_mut(at)) {
                consumer.key_hashes.push(key.hash);
            } else {
                known.insert(key.consumer.clone(), consumers.len());
                consumers.push(Self {
                    id: key.consumer.clone(),
                    keys: Vec::new(),
                    key_hashes: vec![key.hash],
                    certificates: Vec::new(),
                    plan: key.plan.clone().unwrap_or_else(|| DEFAULT_PLAN.to_owned()),
                });
            }
        }
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
