//! The values in the parameters of subscriptions, read as serde reads them in a node, with its errors.

use std::borrow::Cow;

use perijove_core::Commitment;
use serde_json::{Map, Value, json};

use crate::jsonrpc::RpcError;

pub(super) fn arguments(params: Option<&[u8]>) -> Result<Vec<Value>, RpcError> {
    let Some(params) = params else {
        return Ok(Vec::new());
    };
    serde_json::from_slice(params)
        .map_err(|_object| RpcError::new(-32602, "`params` should be an array"))
}

pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> RpcError {
    RpcError {
        code: -32602,
        message: message.into(),
        data: None,
    }
}

pub(super) fn between(params: &[Value], least: usize, most: usize) -> Result<(), RpcError> {
    if params.len() < least {
        return Err(invalid(format!(
            "`params` should have at least {least} argument(s)"
        )));
    }
    if params.len() > most {
        let expected = if least == most {
            format!("Invalid parameters: Expected {most} parameters.")
        } else {
            format!("Invalid parameters: Expected from {least} to {most} parameters.")
        };
        return Err(RpcError {
            data: Some(format!("\"Got: {}\"", params.len()).into()),
            ..invalid(expected)
        });
    }
    Ok(())
}

/// A value as serde's errors describe it.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("boolean `{value}`"),
        Value::Number(number) if number.is_f64() => format!("floating point `{number}`"),
        Value::Number(number) => format!("integer `{number}`"),
        Value::String(text) => format!("string {text:?}"),
        Value::Array(_) => "sequence".to_owned(),
        Value::Object(_) => "map".to_owned(),
    }
}

pub(super) fn text(value: Option<&Value>) -> Result<&str, RpcError> {
    match value {
        Some(Value::String(text)) => Ok(text),
        other => {
            let found = describe(other.unwrap_or(&Value::Null));
            Err(invalid(format!(
                "Invalid params: invalid type: {found}, expected a string."
            )))
        }
    }
}

/// The configuration that may follow the subject. Members that are null count as absent, and
/// unknown ones are ignored, as by a node.
pub(super) fn config(params: &[Value]) -> Result<Map<String, Value>, RpcError> {
    match params.get(1) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(config)) => Ok(config
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()),
        Some(other) => Err(invalid(format!(
            "Invalid params: invalid type: {}, expected a configuration.",
            describe(other)
        ))),
    }
}

/// An unknown level counts as absent, which means finalized.
pub(super) fn commitment(config: &Map<String, Value>) -> Commitment {
    let named = config.get("commitment").and_then(Value::as_str);
    named.and_then(Commitment::parse).unwrap_or_default()
}

pub(super) fn word(
    config: &Map<String, Value>,
    key: &str,
    known: &[&str],
    default: &str,
) -> Result<String, RpcError> {
    let Some(value) = config.get(key) else {
        return Ok(default.to_owned());
    };
    let word = text(Some(value))?;
    if known.contains(&word) {
        return Ok(word.to_owned());
    }
    let quoted: Vec<_> = known.iter().map(|word| format!("`{word}`")).collect();
    Err(invalid(format!(
        "Invalid params: unknown variant `{word}`, expected one of {}.",
        quoted.join(", ")
    )))
}

pub(super) fn flag(config: &Map<String, Value>, key: &str) -> Result<bool, RpcError> {
    match config.get(key) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(invalid(format!(
            "Invalid params: invalid type: {}, expected a boolean.",
            describe(other)
        ))),
    }
}

/// A number without sign and fraction, of the type that a node has for it.
pub(super) fn whole(value: &Value, expected: &str) -> Result<u64, RpcError> {
    let number = match expected {
        "u8" => value.as_u64().filter(|number| *number <= u8::MAX.into()),
        _ => value.as_u64(),
    };
    number.ok_or_else(|| {
        // A number, but none of these.
        let wrong = if value.is_i64() || value.is_u64() {
            "value"
        } else {
            "type"
        };
        invalid(format!(
            "Invalid params: invalid {wrong}: {}, expected {expected}.",
            describe(value)
        ))
    })
}

/// A node ignores it, but reads it.
pub(super) fn ignored(config: &Map<String, Value>) -> Result<(), RpcError> {
    let slot = config.get("minContextSlot");
    slot.map_or(Ok(()), |slot| whole(slot, "u64").map(drop))
}

/// As an object, or as a list of its two members.
pub(super) fn slice(config: &Map<String, Value>) -> Result<Option<Value>, RpcError> {
    let (offset, length) = match config.get("dataSlice") {
        None => return Ok(None),
        Some(Value::Object(slice)) => {
            let member = |key| {
                let missing = || invalid(format!("Invalid params: missing field `{key}`."));
                slice.get(key).ok_or_else(missing)
            };
            (member("offset")?, member("length")?)
        }
        Some(Value::Array(members)) => match members.as_slice() {
            [offset, length] => (offset, length),
            members => {
                return Err(invalid(format!(
                    "Invalid params: invalid length {}, expected struct UiDataSliceConfig with 2 elements.",
                    members.len()
                )));
            }
        },
        Some(other) => {
            return Err(invalid(format!(
                "Invalid params: invalid type: {}, expected struct UiDataSliceConfig.",
                describe(other)
            )));
        }
    };
    let (offset, length) = (whole(offset, "usize")?, whole(length, "usize")?);
    Ok(Some(json!({ "offset": offset, "length": length })))
}

pub(super) fn key<T: std::str::FromStr>(text: &str, thing: &str) -> Result<(), RpcError> {
    let wrong = |_| invalid(format!("Invalid Request: Invalid {thing} provided"));
    text.parse::<T>().map(drop).map_err(wrong)
}
