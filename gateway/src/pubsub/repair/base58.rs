//! Accounts in base58. A node notifies accounts whose data is too long for it, with a word in place of
//! the data, but refuses to read them: they are read in base64, and told as the node would. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Most bytes that a node gives in base58, and what it says of more.
const MOST: usize = 128;
/// As many take at most so many characters in base64. Longer ones need not be decoded.
const MOST_IN_BASE64: usize = MOST.div_ceil(3) * 4;
const TOO_LARGE: &str = "error: data too large for bs58 encoding";

/// How the data of an account is written in base58.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base58Form {
    /// A text alone, the default of old.
    Bare,
    /// A text and the name of the encoding.
    Named,
}

impl Base58Form {
    /// That of a subscription with this configuration; `None`: its encoding is another one.
    pub(super) fn of(config: &Map<String, Value>) -> Option<Self> {
        match config.get("encoding").and_then(Value::as_str) {
            None | Some("binary") => Some(Self::Bare),
            Some("base58") => Some(Self::Named),
            Some(_) => None,
        }
    }

    /// An account that was read in base64, or with its key one of a program. What does not exist remains
    /// `null`; `None`: it is not in base64.
    pub(super) fn told(self, read: &Bytes) -> Option<Bytes> {
        let mut value: Value = serde_json::from_slice(read).ok()?;
        if value.is_null() {
            return Some(read.clone());
        }
        let account = match value.get_mut("account") {
            Some(account) => account,
            None => &mut value,
        };
        let data = account.get_mut("data")?;
        let read = data.get(0)?.as_str()?;
        let bytes = match read.len() {
            0..=MOST_IN_BASE64 => Some(STANDARD.decode(read).ok()?),
            _ => None,
        };
        let text = match bytes.filter(|bytes| bytes.len() <= MOST) {
            Some(bytes) => bs58::encode(bytes).into_string(),
            None => TOO_LARGE.to_owned(),
        };
        *data = match self {
            Self::Bare => json!(text),
            Self::Named => json!([text, "base58"]),
        };
        Some(Bytes::from(value.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_in_base64_is_told_in_base58_as_a_node_does() {
        let long = STANDARD.encode([7; MOST + 1]);
        for (data, text) in [
            (STANDARD.encode("hello"), "Cn8eVZg"),
            (String::new(), ""),
            (long, TOO_LARGE),
        ] {
            let account = |data: Value| json!({"lamports": u64::MAX, "data": data, "space": 5});
            let read = account(json!([data, "base64"]));
            for (form, told) in [
                (Base58Form::Bare, json!(text)),
                (Base58Form::Named, json!([text, "base58"])),
            ] {
                for (read, expected) in [
                    (read.clone(), account(told.clone())),
                    (
                        json!({"pubkey": "key", "account": read}),
                        json!({"pubkey": "key", "account": account(told.clone())}),
                    ),
                ] {
                    let told = form.told(&Bytes::from(read.to_string())).unwrap();
                    let told: Value = serde_json::from_slice(&told).unwrap();
                    assert_eq!(told, expected);
                }
            }
        }
        let none = Bytes::from_static(b"null");
        assert_eq!(Base58Form::Bare.told(&none).as_deref(), Some(&b"null"[..]));
        let parsed = Bytes::from_static(br#"{"data":{"parsed":{}}}"#);
        assert_eq!(Base58Form::Bare.told(&parsed), None);
    }

    #[test]
    fn the_default_is_base58() {
        for (encoding, form) in [
            (json!({}), Some(Base58Form::Bare)),
            (json!({"encoding": "binary"}), Some(Base58Form::Bare)),
            (json!({"encoding": "base58"}), Some(Base58Form::Named)),
            (json!({"encoding": "base64"}), None),
            (json!({"encoding": "jsonParsed"}), None),
        ] {
            let config = encoding.as_object().unwrap();
            assert_eq!(Base58Form::of(config), form, "{encoding}");
        }
    }
}
