//! The parameters of a subscription, checked as Agave checks them, and their canonical form:
//! clients with equal subscriptions share one.

use perijove_core::{Commitment, Pubkey, Signature};
use serde_json::{Map, Value, json};

use self::values::{
    arguments, between, commitment, config, describe, flag, ignored, invalid, key, slice, text,
    whole, word,
};
use super::subscription_kind::SubscriptionKind;
use crate::jsonrpc::RpcError;

mod filters;
#[cfg(test)]
mod tests;
mod values;
#[cfg(test)]
mod word_tests;

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
        Value::Object(filter) if is_word(filter, "all") => json!("all"),
        Value::Object(filter) if is_word(filter, "allWithVotes") => json!("allWithVotes"),
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

/// Whether a map stands for this word, as a node reads it.
fn is_word(map: &Map<String, Value>, word: &str) -> bool {
    map.get(word).is_some_and(Value::is_null)
}

fn block(params: &[Value]) -> Result<SubscriptionSpec, RpcError> {
    between(params, 1, 2)?;
    let subject = match params.first().unwrap_or(&Value::Null) {
        Value::String(all) if all == "all" => json!(all),
        Value::Object(filter) if filter.len() == 1 && is_word(filter, "all") => json!("all"),
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
