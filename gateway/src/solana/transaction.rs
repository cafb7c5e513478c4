//! The first signature of a transaction, by which the cluster identifies it and which
//! `sendTransaction` returns. The gateway needs nothing else of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use perijove_core::Signature;
use serde::Deserialize;

/// A transaction with more signatures would not fit into a packet (1232 bytes / 64).
const MAX_SIGNATURES: u8 = 19;

/// The first byte of a version-1 transaction (SIMD-0385), whose signatures stand at its end. Their
/// number follows that byte.
const VERSION_1: u8 = 129;
/// Bytes of its header without the version.
const HEADER: usize = 3;
/// Bytes of a signature.
const SIGNATURE: usize = 64;

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
    let (first, rest) = wire.split_first()?;
    let signature = if *first == VERSION_1 {
        let count = usize::from(*rest.first()?);
        let from = rest
            .len()
            .checked_sub(count * SIGNATURE)
            .filter(|from| *from >= HEADER)?;
        rest.get(from..)?.first_chunk()?
    } else {
        // A compact-u16 count below 128 is one byte; signatures follow.
        let signature = rest.first_chunk()?;
        (1..=MAX_SIGNATURES).contains(first).then_some(signature)?
    };
    Some(Signature(*signature))
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

    /// A version-1 transaction with these signatures.
    fn version_1(count: u8, signatures: &[[u8; 64]]) -> Vec<u8> {
        let mut wire = vec![VERSION_1, count, 0, 1];
        wire.extend([9; 100]);
        wire.extend(signatures.concat());
        wire
    }

    #[test]
    fn the_signatures_of_version_1_stand_at_the_end() {
        let find = |wire: Vec<u8>| {
            let base64 = STANDARD.encode(wire);
            first_signature(format!(r#"["{base64}",{{"encoding":"base64"}}]"#).as_bytes())
        };
        let expected = Some(Signature([7; 64]));
        assert_eq!(find(version_1(1, &[[7; 64]])), expected);
        assert_eq!(find(version_1(2, &[[7; 64], [8; 64]])), expected);
        assert_eq!(find(version_1(0, &[])), None, "unsigned");
        assert_eq!(find(version_1(12, &[[7; 64]])), None, "too short");
        assert_eq!(find(vec![VERSION_1]), None);
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
