//! The filters of a program's accounts: which of them Agave takes, and which accounts they keep.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::sandbox::failure::Failure;

/// Most filters of one call, and most bytes one compares.
const MOST: usize = 4;
const LONGEST: usize = 128;

/// Refuses what a node refuses.
pub(in crate::sandbox) fn verify(filters: &[Value]) -> Result<(), Failure> {
    if filters.len() > MOST {
        return Err(Failure::params("Too many filters provided; max 4"));
    }
    for filter in filters {
        let known = filter == "tokenAccountState"
            || filter.get("dataSize").is_some_and(Value::is_u64)
            || filter.get("memcmp").is_some();
        if !known {
            return Err(Failure::params(
                "Invalid params: unknown variant, expected one of `dataSize`, `memcmp`, \
                 `tokenAccountState`.",
            ));
        }
        if let Some(compared) = filter.get("memcmp") {
            let bytes = bytes(compared)
                .ok_or_else(|| Failure::params("invalid base58 or base64 encoding of bytes"))?;
            if bytes.len() > LONGEST {
                return Err(Failure::params(
                    "encoded binary data should be less than 129 bytes",
                ));
            }
        }
    }
    Ok(())
}

/// Whether an account with this data passes all filters.
pub(in crate::sandbox) fn keep(filters: &[Value], data: &[u8]) -> bool {
    filters.iter().all(|filter| {
        if let Some(size) = filter.get("dataSize").and_then(Value::as_u64) {
            return size == data.len() as u64;
        }
        // No account of the sandbox is a token account.
        filter
            .get("memcmp")
            .is_some_and(|compared| compare(compared, data))
    })
}

fn compare(compared: &Value, data: &[u8]) -> bool {
    let offset = compared.get("offset").and_then(Value::as_u64);
    let offset = offset.and_then(|offset| usize::try_from(offset).ok());
    let (Some(offset), Some(bytes)) = (offset, bytes(compared)) else {
        return false;
    };
    data.get(offset..)
        .is_some_and(|rest| rest.starts_with(&bytes))
}

/// The bytes to compare with: base58 unless the filter says otherwise, or an array of numbers.
fn bytes(compared: &Value) -> Option<Vec<u8>> {
    match compared.get("bytes")? {
        Value::String(text) if compared.get("encoding") == Some(&Value::from("base64")) => {
            STANDARD.decode(text).ok()
        }
        Value::String(text) => bs58::decode(text).into_vec().ok(),
        Value::Array(list) => list
            .iter()
            .map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()))
            .collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_compare_sizes_and_bytes() {
        let data = [1, 2, 3, 4];
        let two_three = bs58::encode([2, 3]).into_string();
        let at = |offset: u64| json!([{"memcmp": {"offset": offset, "bytes": two_three}}]);
        for (filters, kept) in [
            (json!([]), true),
            (json!([{"dataSize": 4}]), true),
            (json!([{"dataSize": 5}]), false),
            (at(1), true),
            (at(2), false),
            (at(9), false),
            (
                json!([{"memcmp": {"offset": 0, "bytes": "AQI=", "encoding": "base64"}}]),
                true,
            ),
            (
                json!([{"memcmp": {"offset": 3, "bytes": [4]}}, {"dataSize": 4}]),
                true,
            ),
            (json!(["tokenAccountState"]), false),
        ] {
            let filters = filters.as_array().unwrap();
            assert!(verify(filters).is_ok());
            assert_eq!(keep(filters, &data), kept, "{filters:?}");
        }
    }

    #[test]
    fn what_a_node_does_not_take_is_refused() {
        let long = bs58::encode([7; 129]).into_string();
        for filters in [
            json!([{"dataSize": 1}, {"dataSize": 1}, {"dataSize": 1}, {"dataSize": 1}, {"dataSize": 1}]),
            json!([{"datasize": 1}]),
            json!([{"memcmp": {"offset": 0, "bytes": "0OIl"}}]),
            json!([{"memcmp": {"offset": 0, "bytes": long}}]),
        ] {
            assert!(verify(filters.as_array().unwrap()).is_err(), "{filters}");
        }
    }
}
