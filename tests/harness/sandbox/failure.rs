//! JSON-RPC errors as Agave words them: code, message and, where clients read it, data.

use serde_json::{Value, json};

/// The `error` member of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub code: i64,
    pub message: String,
    pub data: Option<Value>,
}

impl Failure {
    /// An error without data.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// -32602 with what is wrong.
    pub fn params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }

    /// -32016: this node has not seen the slot the caller asked for.
    pub fn min_context_slot(slot: u64) -> Self {
        Self {
            data: Some(json!({ "contextSlot": slot })),
            ..Self::new(-32016, "Minimum context slot has not been reached")
        }
    }

    /// -32005, `behind` being unknown when the node does not hear the cluster at all.
    pub fn unhealthy(behind: Option<u64>) -> Self {
        let message = match behind {
            Some(slots) => format!("Node is behind by {slots} slots"),
            None => "Node is unhealthy".to_owned(),
        };
        Self {
            data: Some(json!({ "numSlotsBehind": behind })),
            ..Self::new(-32005, message)
        }
    }

    /// The error of this code as a node would word it when `slot` is its newest slot. For faults
    /// that give only a code.
    pub fn typical(code: i64, slot: u64) -> Self {
        let message = match code {
            -32700 => "Parse error".to_owned(),
            -32600 => "Invalid request".to_owned(),
            -32601 => "Method not found".to_owned(),
            -32602 => "Invalid params".to_owned(),
            -32603 => "Internal error".to_owned(),
            -32001 => format!(
                "Block {slot} cleaned up, does not exist on node. First available block: {slot}"
            ),
            -32002 => return Self::blockhash_not_found(),
            -32003 => "Transaction signature verification failure".to_owned(),
            -32004 => format!("Block not available for slot {slot}"),
            -32005 => return Self::unhealthy(Some(150)),
            -32006 => "Transaction precompile verification failure".to_owned(),
            -32007 => {
                format!("Slot {slot} was skipped, or missing due to ledger jump to recent snapshot")
            }
            -32008 => "No snapshot".to_owned(),
            -32009 => format!("Slot {slot} was skipped, or missing in long-term storage"),
            -32010 => "Key excluded from account secondary indexes; this RPC method unavailable \
                       for key"
                .to_owned(),
            -32011 => "Transaction history is not available from this node".to_owned(),
            -32012 => "Scan error: accumulated scan results exceeded the limit".to_owned(),
            -32013 => "Transaction signature length mismatch".to_owned(),
            -32014 => format!("Block status not yet available for slot {slot}"),
            -32015 => "Transaction version (0) is not supported by the requesting client. Please \
                       try the request again with the following configuration parameter: \
                       \"maxSupportedTransactionVersion\": 0"
                .to_owned(),
            -32016 => return Self::min_context_slot(slot),
            -32019 => "Failed to query long-term storage; please try again".to_owned(),
            -32020 => "Transaction not found".to_owned(),
            -32021 => "No slot history".to_owned(),
            -32429 => "rate limited".to_owned(),
            429 => "Too many requests for a specific RPC call".to_owned(),
            _ => format!("Server error {code}"),
        };
        Self::new(code, message)
    }

    /// -32002 with the whole simulation result, as a preflight answers it.
    pub fn blockhash_not_found() -> Self {
        let recorded: Value = serde_json::from_str(include_str!(
            "../../sandbox/answers/blockhash_not_found.json"
        ))
        .unwrap_or_default();
        Self {
            code: -32002,
            message: "Transaction simulation failed: Blockhash not found".to_owned(),
            data: recorded.get("data").cloned(),
        }
    }

    /// -32002 as a preflight answers a transaction that its bank has already processed.
    pub fn already_processed() -> Self {
        Self {
            code: -32002,
            message: "Transaction simulation failed: This transaction has already been processed"
                .to_owned(),
            data: Some(json!({
                "accounts": null,
                "err": "AlreadyProcessed",
                "innerInstructions": null,
                "loadedAccountsDataSize": 0,
                "logs": [],
                "replacementBlockhash": null,
                "returnData": null,
                "unitsConsumed": 0,
            })),
        }
    }

    /// The `error` member as JSON.
    pub fn json(&self) -> String {
        let mut text = format!(
            r#"{{"code":{},"message":{}"#,
            self.code,
            Value::from(self.message.as_str())
        );
        if let Some(data) = &self.data {
            text.push_str(r#","data":"#);
            text.push_str(&data.to_string());
        }
        text.push('}');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preflight_failure_carries_the_simulation() {
        let failure = Failure::typical(-32002, 7);
        assert_eq!(failure.data.unwrap()["err"], "BlockhashNotFound");
    }

    #[test]
    fn errors_are_written_in_agaves_order() {
        assert_eq!(
            Failure::min_context_slot(7).json(),
            r#"{"code":-32016,"message":"Minimum context slot has not been reached","data":{"contextSlot":7}}"#
        );
        assert_eq!(
            Failure::unhealthy(None).json(),
            r#"{"code":-32005,"message":"Node is unhealthy","data":{"numSlotsBehind":null}}"#
        );
    }
}
