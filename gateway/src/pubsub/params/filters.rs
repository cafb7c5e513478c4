//! The filters of a program subscription, checked as a node checks them. A node compares bytes,
//! however they are written: here they are written in base58, which every node reads.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::values::{describe, invalid, whole};
use crate::jsonrpc::RpcError;

/// Most filters of a program subscription.
const MOST: usize = 4;
/// Bytes that one compares, at most, and the most characters they have in each encoding.
const MOST_BYTES: usize = 128;
const MOST_IN_BASE58: usize = 175;
const MOST_IN_BASE64: usize = 172;

/// Reads the filters of a configuration; none is the same as an empty list.
pub(super) fn read(config: &Map<String, Value>) -> Result<Option<Value>, RpcError> {
    let filters = match config.get("filters") {
        None => return Ok(None),
        Some(Value::Array(filters)) => filters,
        Some(other) => return Err(mistyped(other, "a sequence")),
    };
    let filters = filters.iter().map(filter).collect::<Result<Vec<_>, _>>()?;
    if filters.len() > MOST {
        return Err(invalid(format!(
            "Invalid params: Too many filters provided; max {MOST}"
        )));
    }
    Ok((!filters.is_empty()).then_some(Value::Array(filters)))
}

fn filter(filter: &Value) -> Result<Value, RpcError> {
    match filter {
        Value::String(name) if name == "tokenAccountState" => Ok(filter.clone()),
        Value::String(name) => Err(unknown(name)),
        Value::Object(named) if named.len() == 1 => {
            let mut members = named.iter();
            match members.next() {
                Some((name, size)) if name == "dataSize" => {
                    Ok(json!({ "dataSize": whole(size, "u64")? }))
                }
                Some((name, compared)) if name == "memcmp" => {
                    Ok(json!({ "memcmp": comparison(compared)? }))
                }
                Some((name, Value::Null)) if name == "tokenAccountState" => Ok(json!(name)),
                // Some providers have it.
                Some((name, Value::Object(_))) if name == "valueCmp" => Ok(filter.clone()),
                Some((name, _)) => Err(unknown(name)),
                None => Err(mistyped(filter, "map with a single key")),
            }
        }
        Value::Object(_) => Err(invalid(
            "Invalid params: invalid value: map, expected map with a single key.",
        )),
        other => Err(mistyped(other, "string or map")),
    }
}

fn comparison(compared: &Value) -> Result<Value, RpcError> {
    let Value::Object(compared) = compared else {
        return Err(mistyped(compared, "struct Memcmp"));
    };
    let missing = |field| invalid(format!("Invalid params: missing field `{field}`."));
    let offset = compared.get("offset").ok_or_else(|| missing("offset"))?;
    let offset = whole(offset, "usize")?;
    let bytes = compared.get("bytes").ok_or_else(|| missing("bytes"))?;
    let encoding = match compared.get("encoding") {
        None | Some(Value::Null) => "base58",
        Some(Value::String(name)) if ["base58", "base64", "bytes"].contains(&name.as_str()) => name,
        Some(Value::String(name)) => {
            return Err(invalid(format!(
                "Invalid params: unknown variant `{name}`, expected one of `base58`, `base64`, `bytes`."
            )));
        }
        Some(other) => return Err(mistyped(other, "string or map")),
    };
    let bytes = match bytes {
        Value::String(text) if encoding == "base64" => {
            is_short(text.len(), MOST_IN_BASE64)?;
            BASE64_STANDARD
                .decode(text)
                .map_err(|_invalid| wrong("Base64DecodeError"))?
        }
        Value::String(text) => {
            is_short(text.len(), MOST_IN_BASE58)?;
            bs58::decode(text)
                .into_vec()
                .map_err(|_invalid| wrong("Base58DecodeError"))?
        }
        Value::Array(bytes) => bytes
            .iter()
            .map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()))
            .collect::<Option<Vec<u8>>>()
            .ok_or_else(no_bytes)?,
        _ => return Err(no_bytes()),
    };
    is_short(bytes.len(), MOST_BYTES)?;
    Ok(json!({ "offset": offset, "bytes": bs58::encode(bytes).into_string() }))
}

fn is_short(length: usize, most: usize) -> Result<(), RpcError> {
    if length > most {
        return Err(wrong("DataTooLarge"));
    }
    Ok(())
}

fn wrong(reason: &str) -> RpcError {
    invalid(format!("Invalid params: Invalid param: {reason}"))
}

fn no_bytes() -> RpcError {
    invalid("Invalid params: data did not match any variant of untagged enum DataType.")
}

fn unknown(name: &str) -> RpcError {
    invalid(format!(
        "Invalid params: unknown variant `{name}`, expected one of `dataSize`, `memcmp`, `tokenAccountState`."
    ))
}

fn mistyped(found: &Value, expected: &str) -> RpcError {
    let found = describe(found);
    invalid(format!(
        "Invalid params: invalid type: {found}, expected {expected}."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(filters: &Value) -> Result<Option<Value>, String> {
        let config = json!({ "filters": filters });
        read(config.as_object().unwrap()).map_err(|error| {
            assert_eq!(error.code, -32602);
            error.message.into_owned()
        })
    }

    #[test]
    fn bytes_are_the_same_however_they_are_written() {
        let expected = json!([{"memcmp": {"offset": 4, "bytes": "Ldp"}}]);
        for spelling in [
            json!({"offset": 4, "bytes": "Ldp"}),
            json!({"offset": 4, "bytes": "Ldp", "encoding": null, "unknown": 1}),
            json!({"bytes": "Ldp", "encoding": "base58", "offset": 4}),
            json!({"bytes": "Ldp", "encoding": "bytes", "offset": 4}),
            json!({"offset": 4, "bytes": [1, 2, 3]}),
            json!({"offset": 4, "bytes": "AQID", "encoding": "base64"}),
        ] {
            let read = filters(&json!([{"memcmp": spelling}]));
            assert_eq!(read, Ok(Some(expected.clone())), "{spelling}");
        }
        let longest = json!([{"memcmp": {"offset": 0, "bytes": vec![255; 128]}}]);
        let read = filters(&longest).unwrap().unwrap();
        assert_eq!(filters(&read), Ok(Some(read)));
        assert_eq!(filters(&json!([])), Ok(None));
        let whole = json!([{"dataSize": 165}, "tokenAccountState"]);
        assert_eq!(filters(&whole), Ok(Some(whole)));
    }

    #[test]
    fn wrong_filters_are_refused() {
        let too_many = json!([{"dataSize": 1}, {"dataSize": 1}, {"dataSize": 1}, {"dataSize": 1}, {"dataSize": 1}]);
        for (wrong, words) in [
            (json!(5), "invalid type: integer `5`, expected a sequence"),
            (json!([5]), "invalid type: integer `5`"),
            (json!(["x"]), "unknown variant `x`"),
            (json!([{"x": 1}]), "unknown variant `x`"),
            (json!([{}]), "map with a single key"),
            (
                json!([{"dataSize": 1, "memcmp": {}}]),
                "map with a single key",
            ),
            (json!([{"dataSize": "165"}]), "invalid type: string \"165\""),
            (json!([{"dataSize": -1}]), "invalid value: integer `-1`"),
            (json!([{"memcmp": []}]), "invalid type: sequence"),
            (
                json!([{"memcmp": {"bytes": "1"}}]),
                "missing field `offset`",
            ),
            (json!([{"memcmp": {"offset": 0}}]), "missing field `bytes`"),
            (
                json!([{"memcmp": {"offset": 1.5, "bytes": "1"}}]),
                "floating point `1.5`",
            ),
            (json!([{"memcmp": {"offset": 0, "bytes": 1}}]), "DataType"),
            (
                json!([{"memcmp": {"offset": 0, "bytes": [256]}}]),
                "DataType",
            ),
            (
                json!([{"memcmp": {"offset": 0, "bytes": "0"}}]),
                "Base58DecodeError",
            ),
            (
                json!([{"memcmp": {"offset": 0, "bytes": "*", "encoding": "base64"}}]),
                "Base64DecodeError",
            ),
            (
                json!([{"memcmp": {"offset": 0, "bytes": "1", "encoding": "hex"}}]),
                "unknown variant `hex`",
            ),
            (
                json!([{"memcmp": {"offset": 0, "bytes": vec![0; 129]}}]),
                "DataTooLarge",
            ),
            (
                json!([{"memcmp": {"offset": 0, "bytes": "1".repeat(176)}}]),
                "DataTooLarge",
            ),
            (too_many, "Too many filters provided; max 4"),
        ] {
            let error = filters(&wrong).unwrap_err();
            assert!(error.starts_with("Invalid params: "), "{error}");
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }
}
