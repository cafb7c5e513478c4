//! The keys file: hashes of consumers' keys, in a file that the command `keys` writes and that is
//! read again when it changes.

use perijove_core::settings::{Configuration, Reading, Section, required_name};

use super::KeyHash;

const HEAD: &str = "\
# Keys of consumers, each as its hash. Written by `perijove-gateway keys new` and `keys revoke`, which
# keep no comments. Name it under `keys_file` in the gateway's configuration.
";

/// All keys in such a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysFile {
    pub keys: Vec<IssuedKey>,
}

/// One issued key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedKey {
    pub hash: KeyHash,
    /// Its consumer: one of the configuration, or one that exists only in this file.
    pub consumer: String,
    /// The id of a plan; by default that of the consumer's other keys, or `default`.
    pub plan: Option<String>,
    /// When it was created: RFC 3339, for people who read the file.
    pub created: Option<String>,
}

impl KeysFile {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let keys = section.sections("keys", IssuedKey::read);
        Self {
            keys: keys.into_iter().flatten().collect(),
        }
    }

    /// Its text.
    pub fn render(&self) -> String {
        let mut lines = Vec::new();
        for key in &self.keys {
            // All values are free of characters that need escaping: see `read`.
            lines.push(format!("  - hash: {}", key.hash));
            lines.push(format!("    consumer: \"{}\"", key.consumer));
            let further = [("plan", &key.plan), ("created", &key.created)];
            for (name, value) in further {
                if let Some(value) = value {
                    lines.push(format!("    {name}: \"{value}\""));
                }
            }
        }
        let first = if lines.is_empty() {
            "keys: []"
        } else {
            "keys:"
        };
        lines.insert(0, first.to_owned());
        format!("{HEAD}{}\n", lines.join("\n"))
    }
}

impl IssuedKey {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let hash = section.required("hash");
        let consumer = required_name(section, "consumer");
        let plan = section.has("plan").then(|| required_name(section, "plan"));
        let created: Option<String> = section.optional("created");
        if let Some(created) = &created
            && humantime::parse_rfc3339_weak(created).is_err()
        {
            section.violation("created", "must be a time such as 2026-01-31T12:00:00Z");
        }
        let plan = match plan {
            None => {
                let _unset: Option<String> = section.optional("plan");
                None
            }
            Some(plan) => Some(plan?),
        };
        Some(Self {
            hash: hash?,
            consumer: consumer?,
            plan,
            created,
        })
    }
}

/// So that the command `keys` can read it alone.
impl Configuration for KeysFile {
    fn read(section: &mut Section<'_>) -> Self {
        Self::read(section)
    }

    fn look_for_doubts(&self, _reading: &Reading<'_>) {}
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use perijove_core::settings::{self, ProcessEnvironment};

    use super::*;

    fn parse(text: &str) -> Result<KeysFile, String> {
        let environment = ProcessEnvironment::new(Path::new(""));
        let loaded = settings::parse(text, &environment);
        loaded
            .map(|loaded| loaded.config)
            .map_err(|error| error.to_string())
    }

    fn key(name: &str, plan: Option<&str>, created: Option<&str>) -> IssuedKey {
        IssuedKey {
            hash: KeyHash::of(name.as_bytes()),
            consumer: name.to_owned(),
            plan: plan.map(str::to_owned),
            created: created.map(str::to_owned),
        }
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let keys = vec![
            key("bots", Some("small"), Some("2026-01-31T12:00:00Z")),
            key("0x10", None, None),
            key("null", Some("1e3"), None),
        ];
        for keys in [Vec::new(), keys] {
            let file = KeysFile { keys };
            assert_eq!(parse(&file.render()), Ok(file));
        }
    }

    #[test]
    fn what_is_no_keys_file_is_refused_with_its_place() {
        for (text, said) in [
            (
                "keys: [{hash: \"sha256:12\", consumer: a}]",
                "keys[0].hash: must be sha256:",
            ),
            ("keys: [{consumer: a}]", "keys[0].hash: is missing"),
            (
                "keys: [{hash: x, consumer: \"a b\"}]",
                "keys[0].consumer: must be 1 to 64",
            ),
            (
                "keys: [{hash: x, consumer: a, created: soon}]",
                "keys[0].created: must be a time",
            ),
            ("keys: [{hash: x, consumer: a, note: b}]", "keys[0].note: "),
            ("key: []", "key: "),
            ("keys: [", "not valid YAML"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
