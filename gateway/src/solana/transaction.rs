//! The first signature of a transaction, by which the cluster identifies it and which
//! `sendTransaction` returns. The gateway needs nothing else of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use perijove_core::Signature;
use serde::Deserialize;

/// A transaction with more signatures would not fit into a packet (1232 bytes / 64).
const MAX_SIGNATURES: u8 = 19;

#[derive(Deserialize)]
struct SendOptions {
    #[serde(default)]
    encoding: Option<String>,
}

/// The first signature of the transaction in `sendTransaction`'s parameters, which may be base58
/// (the default) or base64. `None` for anything that is not a signed transaction.
pub fn first_signature(params: &[u8]) -> Option<Signature> {
    let (encoded, options) = match serde_json::from_slice::<(String, Option<SendOptions>)>(params) {
        Ok(both) => both,
        Err(_one_parameter) => (serde_json::from_slice::<(String,)>(params).ok()?.0, None),
    };
    let base64 = options
        .and_then(|options| options.encoding)
        .is_some_and(|e| e == "base64");
    let wire = if base64 {
        STANDARD.decode(encoded).ok()?
    } else {
        bs58::decode(encoded).into_vec().ok()?
    };
    // A compact-u16 count below 128 is one byte; signatures follow.
    let (count, rest) = wire.split_first()?;
    let signature = rest.first_chunk::<64>()?;
    (1..=MAX_SIGNATURES)
        .contains(count)
        .then_some(Signature(*signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(count: u8) -> Vec<u8> {
        let mut wire = vec![count];
        wire.extend([7; 64]);
        wire.extend([1, 2, 3]);
        wire
    }

    #[test]
    fn the_signature_is_found_in_both_encodings() {
        let expected = Some(Signature([7; 64]));
        let base58 = bs58::encode(wire(1)).into_string();
        let base64 = STANDARD.encode(wire(1));
        for params in [
            format!(r#"["{base58}"]"#),
            format!(r#"["{base58}",null]"#),
            format!(r#"["{base58}",{{"skipPreflight":true}}]"#),
            format!(r#"["{base58}",{{"encoding":"base58"}}]"#),
            format!(r#"["{base64}",{{"encoding":"base64","maxRetries":0}}]"#),
        ] {
            assert_eq!(first_signature(params.as_bytes()), expected, "{params}");
        }
    }

    #[test]
    fn what_is_no_transaction_has_no_signature() {
        let unsigned = bs58::encode(wire(0)).into_string();
        for params in [
            "[]",
            "[5]",
            r#"["!!!"]"#,
            r#"["3mJr"]"#,
            &format!(r#"["{unsigned}"]"#),
        ] {
            assert_eq!(first_signature(params.as_bytes()), None, "{params}");
        }
    }
}
