//! The notifications that an event causes for a subscription, word for word.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::feed::Event;
use super::subscription::{Subject, Subscription};
use crate::sandbox::accounts;
use crate::sandbox::chain;
use crate::sandbox::sight::Level;
use crate::sandbox::transaction::Transaction;
use crate::sandbox::validator::Cluster;

/// The made-up accounts that the blocks of a moving cluster take turns in mentioning.
const MENTIONED: u64 = 16;

/// The logs of whatever the sandbox did not execute.
const LOGS: [&str; 2] = [
    "Program 11111111111111111111111111111111 invoke [1]",
    "Program 11111111111111111111111111111111 success",
];

/// A transaction of a block.
#[derive(Debug)]
struct Entry {
    signature: String,
    err: Value,
    accounts: Vec<String>,
}

/// The account that the block of this slot mentions in a moving cluster.
pub fn mentioned_in(slot: u64) -> String {
    accounts::made_up(slot % MENTIONED)
}

/// The results that the notifications of a subscription carry for an event. A subscription to a
/// signature has no part in it: its transaction may have landed before.
pub(super) fn results(cluster: &Cluster, of: &Subscription, event: &Event) -> Vec<Value> {
    let slot = event.moment.slot;
    match &of.subject {
        Subject::Slot if event.level == Level::Processed => {
            vec![json!({ "parent": event.parent, "root": event.root, "slot": slot })]
        }
        Subject::Root if event.level == Level::Finalized => vec![json!(slot)],
        Subject::SlotsUpdates => updates(event),
        Subject::Vote if event.level == Level::Processed => vec![vote(event)],
        Subject::Account { key, config } if event.level == of.level => {
            account(cluster, event, key, config)
        }
        Subject::Program { key, config } if event.level == of.level => {
            program(cluster, event, key, config)
        }
        Subject::Logs { mentions, .. } if event.level == of.level => {
            let entries = entries(cluster, slot).into_iter();
            let wanted = entries.filter(|entry| {
                mentions
                    .as_ref()
                    .is_none_or(|key| entry.accounts.contains(key))
            });
            wanted
                .map(|entry| {
                    let value = json!({
                        "err": entry.err,
                        "logs": LOGS,
                        "signature": entry.signature,
                    });
                    in_context(slot, &value)
                })
                .collect()
        }
        Subject::Block { mentions, config } if event.level == of.level => {
            block(cluster, event, mentions.as_deref(), config)
        }
        _ => Vec::new(),
    }
}

/// What a subscription to a signature is notified of.
pub(super) fn signature_result(slot: u64, err: Option<&Value>) -> Value {
    in_context(slot, &json!({ "err": err }))
}

/// The notification that a node has received the transaction.
pub(super) fn signature_received(slot: u64) -> Value {
    in_context(slot, &json!("receivedSignature"))
}

fn in_context(slot: u64, value: &Value) -> Value {
    json!({ "context": { "slot": slot }, "value": value })
}

fn account(cluster: &Cluster, event: &Event, key: &str, config: &Value) -> Vec<Value> {
    let params = json!([key, config]).to_string();
    let said = |slot| {
        let moment = chain::Moment {
            slot,
            ..event.moment
        };
        let said = cluster.said_at(moment, "getAccountInfo", Some(&params));
        said.ok()
            .and_then(|said| said.get("value").cloned())
            .unwrap_or_default()
    };
    let slot = event.moment.slot;
    let now = said(slot);
    if now == said(event.parent) && !touched(cluster, key, event) {
        return Vec::new();
    }
    let value = if now.is_null() { closed(config) } else { now };
    vec![in_context(slot, &value)]
}

/// Whether lamports came since the block before.
fn touched(cluster: &Cluster, key: &str, event: &Event) -> bool {
    let since = event.parent.saturating_add(1)..=event.moment.slot;
    since
        .into_iter()
        .any(|slot| cluster.ledger.touched(key, slot))
}

/// What a node answers for an account that no longer exists.
fn closed(config: &Value) -> Value {
    let encoding = config.get("encoding").and_then(Value::as_str);
    let data = match encoding {
        None | Some("binary") => json!(""),
        Some("jsonParsed") => json!(["", "base64"]),
        Some(other) => json!(["", other]),
    };
    json!({
        "data": data,
        "executable": false,
        "lamports": 0,
        "owner": "11111111111111111111111111111111",
        "rentEpoch": 0,
        "space": 0,
    })
}

fn program(cluster: &Cluster, event: &Event, key: &str, config: &Value) -> Vec<Value> {
    let params = json!([key, config]).to_string();
    let said = |slot| {
        let moment = chain::Moment {
            slot,
            ..event.moment
        };
        let said = cluster.said_at(moment, "getProgramAccounts", Some(&params));
        match said {
            Ok(Value::Array(list)) => list,
            _ => Vec::new(),
        }
    };
    let before = said(event.parent);
    let key_of = |one: &Value| one.get("pubkey").and_then(Value::as_str).map(str::to_owned);
    let before: HashMap<_, _> = before.iter().map(|one| (key_of(one), one)).collect();
    let now = said(event.moment.slot);
    now.iter()
        .filter(|one| {
            let key = key_of(one);
            let moved = key
                .as_deref()
                .is_some_and(|key| touched(cluster, key, event));
            moved || before.get(&key) != Some(one)
        })
        .map(|one| in_context(event.moment.slot, one))
        .collect()
}

/// The transactions of a slot: in a moving cluster each block has one of its own, and what clients
/// sent comes after it.
fn entries(cluster: &Cluster, slot: u64) -> Vec<Entry> {
    let own = cluster.accounts.moves().then(|| Entry {
        signature: chain::hash64(slot, 0x7369_676e),
        err: Value::Null,
        accounts: vec![mentioned_in(slot)],
    });
    let landed = cluster.ledger.landed_in(slot).into_iter();
    let sent = landed.map(|(signature, landed)| {
        let bytes = landed.bytes();
        Entry {
            signature,
            err: landed.err.unwrap_or_default(),
            accounts: Transaction::read(&bytes).map_or_else(Vec::new, |read| read.accounts),
        }
    });
    own.into_iter().chain(sent).collect()
}

fn block(cluster: &Cluster, event: &Event, mentions: Option<&str>, config: &Value) -> Vec<Value> {
    let slot = event.moment.slot;
    if let Some(key) = mentions {
        let named = |entry: &Entry| entry.accounts.iter().any(|one| one == key);
        if !entries(cluster, slot).iter().any(named) {
            return Vec::new();
        }
    }
    let params = json!([slot, config]).to_string();
    let value = match cluster.said_at(event.moment, "getBlock", Some(&params)) {
        Ok(block) => json!({ "block": block, "err": null, "slot": slot }),
        Err(failure) => json!({ "block": null, "err": failure.message, "slot": slot }),
    };
    vec![in_context(slot, &value)]
}

fn updates(event: &Event) -> Vec<Value> {
    let slot = event.moment.slot;
    let timestamp = chain::time(slot).saturating_mul(1_000);
    let plain = |kind: &str| json!({ "slot": slot, "timestamp": timestamp, "type": kind });
    match event.level {
        Level::Processed => vec![
            plain("firstShredReceived"),
            json!({
                "parent": event.parent,
                "slot": slot,
                "timestamp": timestamp,
                "type": "createdBank",
            }),
            plain("completed"),
            json!({
                "slot": slot,
                "stats": {
                    "maxTransactionsPerEntry": 64,
                    "numFailedTransactions": 0,
                    "numSuccessfulTransactions": 1,
                    "numTransactionEntries": 1,
                },
                "timestamp": timestamp,
                "type": "frozen",
            }),
        ],
        Level::Confirmed => vec![plain("optimisticConfirmation")],
        Level::Finalized => vec![plain("root")],
    }
}

fn vote(event: &Event) -> Value {
    let slot = event.moment.slot;
    json!({
        "hash": event.moment.line.blockhash(slot),
        "signature": chain::hash64(slot, 0x766f_7465),
        "slots": [event.parent, slot],
        "timestamp": null,
        "votePubkey": chain::identity(0),
    })
}

#[cfg(test)]
mod tests;
