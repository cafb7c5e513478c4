//! The hash by which a key is known that is not written down.

use perijove_core::settings::Setting;
use perijove_core::settings::serde_json::{Value, json};
use schemars::JsonSchema;
use sha2::{Digest, Sha256};

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
