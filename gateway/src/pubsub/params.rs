//! The parameters of a subscription, checked as Agave checks them, and their canonical form:
//! clients with equal subscriptions share one.

use std::borrow::Cow;

use perijove_core::{Commitment, Pubkey, Signature};
use serde_json::{Map, Value, json};

use super::subscription_kind::SubscriptionKind;
use crate::jsonrpc::RpcError;

mod filters;
#[cfg(test)]
mod tests;

const ACCOUNT_ENCODINGS: [&str; 5] = ["binary", "base58", "base64", "jsonParsed", "base64+zstd"];
const BLOCK_ENCODINGS: [&str; 5] = ["binary", "base64", "base58", "json", "jsonParsed"];
const DETAILS: [&str; 4] = ["full", "signatures", "none", "accounts"];

/// A subscription as it is made upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SubscriptionSpec {
    pub(super) kind: SubscriptionKind,
    /// The canonical parameters, a JSON array; defaults are either left out or written out, but
    /// always in the same way.
    pub(super) params: String,
    /// Account, program, or signature.
    pub(super) subject: Option<String>,
    pub(super) commitment: Commitment,
}

impl SubscriptionSpec {
    /// The gateway's own subscription on each socket.
    pub(super) fn beacon() -> Self {
        Self::bare(SubscriptionKind::Slot)
    }

    fn bare(kind: SubscriptionKind) -> Self {
        Self {
            kind,
            params: "[]".to_owned(),
            subject: None,
            commitment: Commitment::Processed,
        }
    }

    /// Parses the raw parameters of a call.
    ///
    /// # Errors
    /// The error that a node returns.
    pub(super) fn read(kind: SubscriptionKind, params: Option<&[u8]>) -> Result<Self, RpcError> {
        let params = arguments(params)?;
        match kind {
            SubscriptionKind::Slot
            | SubscriptionKind::Root
            | SubscriptionKind::Vote
            | SubscriptionKind::SlotsUpdates => {
                if params.is_empty() {
                    Ok(Self::bare(kind))
                } else {
                    Err(RpcError {
                        data: Some(format!("\"Got: {} params\"", params.len()).into()),
                        ..RpcError::new(-32602, "Invalid parameters: No parameters were expected")
                    })
                }
            }
            SubscriptionKind::Account => account(&params),
            SubscriptionKind::Program => program(&params),
            SubscriptionKind::Signature => signature(&params),
            SubscriptionKind::Logs => logs(&params),
            SubscriptionKind::Block => block(&params),
        }
    }

    /// The configuration given by the client.
    pub(super) fn config(&self) -> Map<String, Value> {
        let params: Vec<Value> = serde_json::from_str(&self.params).unwrap_or_default();
        match params.into_iter().nth(1) {
            Some(Value::Object(config)) => config,
            _ => Map::new(),
        }
    }
}

/// The number in an unsubscription.
///
/// # Errors
/// The error that a node returns.
pub(super) fn subscription_id(params: Option<&[u8]>) -> Result<u64, RpcError> {
    let params = arguments(params)?;
    between(&params, 1, 1)?;
    params.first().and_then(Value::as_u64).ok_or_else(|| {
        let text = params.first().map_or_else(String::new, describe);
        invalid(format!(
            "Invalid params: invalid type: {text}, expected u64."
        ))
    })
}

fn arguments(params: Option<&[u8]>) -> Result<Vec<Value>, RpcError> {
    let Some(params) = params else {
        return Ok(Vec::new());
    };
    serde_json::from_slice(params)
        .map_err(|_object| RpcError::new(-32602, "`params` should be an array"))
}

fn invalid(message: impl Into<Cow<'static, str>>) -> RpcError {
    RpcError {
        code: -32602,
        message: message.into(),
        data: None,
    }
}

fn between(params: &[Value], least: usize, most: usize) -> Result<(), RpcError> {
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
fn describe(value: &Value) -> String {
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

fn text(value: Option<&Value>) -> Result<&str, RpcError> {
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
fn config(params: &[Value]) -> Result<Map<String, Value>, RpcError> {
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
fn commitment(config: &Map<String, Value>) -> Commitment {
    let named = config.get("commitment").and_then(Value::as_str);
    named.and_then(Commitment::parse).unwrap_or_default()
}

fn word(
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

fn flag(config: &Map<String, Value>, key: &str) -> Result<bool, RpcError> {
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
fn whole(value: &Value, expected: &str) -> Result<u64, RpcError> {
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
fn ignored(config: &Map<String, Value>) -> Result<(), RpcError> {
    let slot = config.get("minContextSlot");
    slot.map_or(Ok(()), |slot| whole(slot, "u64").map(drop))
}

/// As an object, or as a list of its two members.
fn slice(config: &Map<String, Value>) -> Result<Option<Value>, RpcError> {
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

fn key<T: std::str::FromStr>(text: &str, thing: &str) -> Result<(), RpcError> {
    let wrong = |_| invalid(format!("Invalid Request: Invalid {thing} provided"));
    text.parse::<T>().map(drop).map_err(wrong)
}

fn spelled(
    kind: SubscriptionKind,
    subject: &Value,
    config: Option<Value>,
    commitment: Commitment,
) -> SubscriptionSpec {
    let params = match config {
        Some(config) => json!([subject, config]),
        None => json!([subject]),
    };
    SubscriptionSpec {
        kind,
        params: params.to_string(),
        subject: subject.as_str().map(str::to_owned),
        commitment,
    }
}

fn account(params: &[Value]) -> Result<SubscriptionSpec, RpcError> {
    between(params, 1, 2)?;
    let pubkey = text(params.first())?;
    let config = config(params)?;
    let encoding = word(&config, "encoding", &ACCOUNT_ENCODINGS, "binary")?;
    let slice = slice(&config)?;
    let commitment = commitment(&config);
    ignored(&config)?;
    key::<Pubkey>(pubkey, "pubkey")?;
    let mut canonical = json!({ "commitment": commitment, "encoding": encoding });
    put(&mut canonical, "dataSlice", slice);
    Ok(spelled(
        SubscriptionKind::Account,
        &json!(pubkey),
        Some(canonical),
        commitment,
    ))
}

fn program(params: &[Value]) -> Result<SubscriptionSpec, RpcError> {
    between(params, 1, 2)?;
    let pubkey = text(params.first())?;
    let config = config(params)?;
    let encoding = word(&config, "encoding", &ACCOUNT_ENCODINGS, "binary")?;
    let slice = slice(&config)?;
    let commitment = commitment(&config);
    let with_context = flag(&config, "withContext")?;
    ignored(&config)?;
    flag(&config, "sortResults")?;
    let filters = filters::read(&config)?;
    key::<Pubkey>(pubkey, "pubkey")?;
    let mut canonical = json!({ "commitment": commitment, "encoding": encoding });
    put(&mut canonical, "dataSlice", slice);
    put(&mut canonical, "filters", filters);
    put(
        &mut canonical,
        "withContext",
        with_context.then_some(Value::Bool(true)),
    );
    Ok(spelled(
        SubscriptionKind::Program,
        &json!(pubkey),
        Some(canonical),
        commitment,
    ))
}

fn signature(params: &[Value]) -> Result<SubscriptionSpec, RpcError> {
    between(params, 1, 2)?;
    let signature = text(params.first())?;
    let config = config(params)?;
    let commitment = commitment(&config);
    let received = flag(&config, "enableReceivedNotification")?;
    key::<Signature>(signature, "signature")?;
    let mut canonical = json!({ "commitment": commitment });
    put(
        &mut canonical,
        "enableReceivedNotification",
        received.then_some(Value::Bool(true)),
    );
    Ok(spelled(
        SubscriptionKind::Signature,
        &json!(signature),
        Some(canonical),
        commitment,
    ))
}

fn logs(params: &[Value]) -> Result<SubscriptionSpec, RpcError> {
    between(params, 1, 2)?;
    let filter = params.first().unwrap_or(&Value::Null);
    let subject = match filter {
        Value::String(all) if all == "all" || all == "allWithVotes" => json!(all),
        Value::String(other) => {
            return Err(invalid(format!(
                "Invalid params: unknown variant `{other}`, expected one of `all`, `allWithVotes`, `mentions`."
            )));
        }
        Value::Object(filter) if filter.len() > 1 => {
            return Err(invalid(
                "Invalid params: invalid value: map, expected map with a single key.",
            ));
        }
        Value::Object(filter) => match filter.get("mentions") {
            Some(Value::Array(keys)) if keys.len() == 1 => {
                let mentioned = text(keys.first())?;
                key::<Pubkey>(mentioned, "mentions")?;
                json!({ "mentions": [mentioned] })
            }
            Some(Value::Array(keys)) => {
                for key in keys {
                    text(Some(key))?;
                }
                return Err(invalid("Invalid Request: Only 1 address supported"));
            }
            _ => return Err(invalid("Invalid params: missing field `mentions`.")),
        },
        other => {
            return Err(invalid(format!(
                "Invalid params: invalid type: {}, expected string or map.",
                describe(other)
            )));
        }
    };
    let commitment = commitment(&config(params)?);
    let canonical = json!({ "commitment": commitment });
    Ok(spelled(
        SubscriptionKind::Logs,
        &subject,
        Some(canonical),
        commitment,
    ))
}

fn block(params: &[Value]) -> Result<SubscriptionSpec, RpcError> {
    between(params, 1, 2)?;
    let subject = match params.first().unwrap_or(&Value::Null) {
        Value::String(all) if all == "all" => json!(all),
        Value::Object(filter)
            if filter.len() == 1 && filter.contains_key("mentionsAccountOrProgram") =>
        {
            let mentioned = text(filter.get("mentionsAccountOrProgram"))?;
            key::<Pubkey>(mentioned, "mentions_account_or_program")?;
            json!({ "mentionsAccountOrProgram": mentioned })
        }
        other => {
            return Err(invalid(format!(
                "Invalid params: invalid type: {}, expected `all` or `mentionsAccountOrProgram`.",
                describe(other)
            )));
        }
    };
    let config = config(params)?;
    let commitment = commitment(&config);
    if commitment == Commitment::Processed {
        return Err(invalid(
            "Method does not support commitment below `confirmed`",
        ));
    }
    let encoding = word(&config, "encoding", &BLOCK_ENCODINGS, "base64")?;
    let details = word(&config, "transactionDetails", &DETAILS, "full")?;
    let mut canonical = json!({
        "commitment": commitment,
        "encoding": encoding,
        "transactionDetails": details,
        "showRewards": flag(&config, "showRewards")?,
    });
    let version = config.get("maxSupportedTransactionVersion");
    let version = version.map(|version| whole(version, "u8")).transpose()?;
    put(
        &mut canonical,
        "maxSupportedTransactionVersion",
        version.map(Value::from),
    );
    Ok(spelled(
        SubscriptionKind::Block,
        &subject,
        Some(canonical),
        commitment,
    ))
}

fn put(config: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(config), Some(value)) = (config.as_object_mut(), value) {
        config.insert(key.to_owned(), value);
    }
}
