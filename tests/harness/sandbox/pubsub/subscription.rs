//! What a client subscribes to, read and refused as Agave does it.

use serde_json::{Value, json};

use super::Offer;
use crate::sandbox::answer::filters;
use crate::sandbox::failure::Failure;
use crate::sandbox::params::Params;
use crate::sandbox::sight::Level;

/// What is followed, and at which commitment.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    pub subject: Subject,
    pub level: Level,
}

/// What is followed.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// An account, with the configuration `getAccountInfo` takes.
    Account {
        key: String,
        config: Value,
    },
    /// The accounts of a program, with the configuration `getProgramAccounts` takes.
    Program {
        key: String,
        config: Value,
    },
    /// The logs of transactions, of all or of those that name an account.
    Logs {
        mentions: Option<String>,
        votes: bool,
    },
    /// The fate of a transaction.
    Signature {
        signature: String,
        received: bool,
    },
    Slot,
    SlotsUpdates,
    Root,
    /// Blocks, all or those with transactions that name an account.
    Block {
        mentions: Option<String>,
        config: Value,
    },
    Vote,
}

/// The methods that subscribe, what they are called without the ending.
const STEMS: [&str; 9] = [
    "account",
    "program",
    "logs",
    "signature",
    "slot",
    "slotsUpdates",
    "root",
    "block",
    "vote",
];

/// What a method asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Subscribe,
    Unsubscribe,
}

/// Reads the name of a method: what is asked for, and the stem; `None` if it is another one.
pub fn order(method: &str) -> Option<(Order, &'static str)> {
    STEMS
        .into_iter()
        .find_map(|stem| match method.strip_prefix(stem)? {
            "Subscribe" => Some((Order::Subscribe, stem)),
            "Unsubscribe" => Some((Order::Unsubscribe, stem)),
            _ => None,
        })
}

/// Whether a node with this offer knows the method.
pub fn offered(stem: &str, offer: Offer) -> Result<(), Failure> {
    let known = match stem {
        "block" => offer.blocks,
        "vote" => offer.votes,
        _ => true,
    };
    if known {
        return Ok(());
    }
    Err(Failure::new(-32601, "Method not found"))
}

impl Subscription {
    /// Reads the params of a call that subscribes.
    pub fn read(stem: &str, params: &Params) -> Result<Self, Failure> {
        let level = params.level(Level::Finalized);
        let subject = match stem {
            "account" => Subject::Account {
                key: key(params, "pubkey")?,
                config: config(params, level, &["encoding", "dataSlice"])?,
            },
            "program" => {
                let list = params.option("filters").and_then(Value::as_array);
                filters::verify(list.map_or(&[][..], Vec::as_slice))?;
                Subject::Program {
                    key: key(params, "pubkey")?,
                    config: config(params, level, &["encoding", "dataSlice", "filters"])?,
                }
            }
            "logs" => logs(params)?,
            "signature" => Subject::Signature {
                signature: signature(params)?,
                received: params.option("enableReceivedNotification") == Some(&json!(true)),
            },
            "block" => {
                params.level_of_history()?;
                block(params, level)?
            }
            other => plain(other, params)?,
        };
        Ok(Self { subject, level })
    }

    /// Equal subscriptions have equal keys.
    pub fn key(&self) -> String {
        match self.subject {
            Subject::Slot | Subject::SlotsUpdates | Subject::Root | Subject::Vote => {
                format!("{:?}", self.subject)
            }
            _ => format!("{:?} {:?}", self.level, self.subject),
        }
    }
}

/// Subscriptions without parameters.
fn plain(stem: &str, params: &Params) -> Result<Subject, Failure> {
    if !params.is_empty() {
        return Err(Failure::params(
            "Invalid parameters: No parameters were expected",
        ));
    }
    match stem {
        "slot" => Ok(Subject::Slot),
        "slotsUpdates" => Ok(Subject::SlotsUpdates),
        "root" => Ok(Subject::Root),
        "vote" => Ok(Subject::Vote),
        _ => Err(Failure::new(-32601, "Method not found")),
    }
}

fn invalid(thing: &str) -> Failure {
    Failure::params(format!("Invalid Request: Invalid {thing} provided"))
}

fn checked(key: &str, thing: &str) -> Result<String, Failure> {
    match Params::check_key(key) {
        Ok(()) => Ok(key.to_owned()),
        Err(_) => Err(invalid(thing)),
    }
}

fn key(params: &Params, thing: &str) -> Result<String, Failure> {
    checked(params.text(0)?, thing)
}

fn signature(params: &Params) -> Result<String, Failure> {
    let text = params.text(0)?;
    let bytes = (text.len() <= 88).then(|| bs58::decode(text).into_vec());
    match bytes {
        Some(Ok(bytes)) if bytes.len() == 64 => Ok(text.to_owned()),
        _ => Err(invalid("signature")),
    }
}

/// The members of the configuration that matter, with the commitment in words.
fn config(params: &Params, level: Level, names: &[&str]) -> Result<Value, Failure> {
    if let Some(encoding) = params.encoding() {
        let known = ["binary", "base58", "base64", "jsonParsed", "base64+zstd"];
        if !known.contains(&encoding) {
            return Err(Failure::params(format!(
                "Invalid params: unknown variant `{encoding}`, expected one of `binary`, `base64`, \
                 `base58`, `jsonParsed`, `base64+zstd`."
            )));
        }
    }
    let mut config = json!({ "commitment": level.label() });
    for name in names {
        if let (Some(value), Some(members)) = (params.option(name), config.as_object_mut()) {
            members.insert((*name).to_owned(), value.clone());
        }
    }
    Ok(config)
}

fn logs(params: &Params) -> Result<Subject, Failure> {
    let Some(filter) = params.get(0) else {
        return Err(params.missing_first());
    };
    let (mentions, votes) = match filter.as_str() {
        Some("all") => (None, false),
        Some("allWithVotes") => (None, true),
        Some(other) => {
            return Err(Failure::params(format!(
                "Invalid params: unknown variant `{other}`, expected one of `all`, `allWithVotes`, \
                 `mentions`."
            )));
        }
        None => {
            let list = filter.get("mentions").and_then(Value::as_array);
            let Some(list) = list else {
                return Err(Failure::params(
                    "Invalid params: expected a filter of logs.",
                ));
            };
            let [only] = list.as_slice() else {
                return Err(Failure::params("Invalid Request: Only 1 address supported"));
            };
            let key = only.as_str().ok_or_else(|| invalid("mentions"))?;
            (Some(checked(key, "mentions")?), false)
        }
    };
    Ok(Subject::Logs { mentions, votes })
}

fn block(params: &Params, level: Level) -> Result<Subject, Failure> {
    let Some(filter) = params.get(0) else {
        return Err(params.missing_first());
    };
    let mentions = if filter == "all" {
        None
    } else {
        let thing = "mentions_account_or_program";
        let key = filter
            .get("mentionsAccountOrProgram")
            .and_then(Value::as_str);
        let key = key.ok_or_else(|| {
            Failure::params(
                "Invalid params: unknown variant, expected one of `all`, \
                 `mentionsAccountOrProgram`.",
            )
        })?;
        Some(checked(key, thing)?)
    };
    let mut config = json!({ "commitment": level.label(), "encoding": "base64" });
    for (from, to) in [
        ("encoding", "encoding"),
        ("transactionDetails", "transactionDetails"),
        ("showRewards", "rewards"),
        (
            "maxSupportedTransactionVersion",
            "maxSupportedTransactionVersion",
        ),
    ] {
        // The filter is an object too: the configuration comes after it.
        let value = params.get(1).and_then(|own| own.get(from));
        if let (Some(value), Some(members)) = (value, config.as_object_mut()) {
            members.insert(to.to_owned(), value.clone());
        }
    }
    Ok(Subject::Block { mentions, config })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "3qri489hLgWkzeAw76pCNPwRF2RiCmi5iQgKpLioeJz2";

    fn read(stem: &str, params: &Value) -> Result<Subscription, Failure> {
        Subscription::read(stem, &Params::parse(Some(&params.to_string())).unwrap())
    }

    #[test]
    fn names_are_read_whole() {
        assert_eq!(order("slotSubscribe"), Some((Order::Subscribe, "slot")));
        assert_eq!(
            order("slotsUpdatesUnsubscribe"),
            Some((Order::Unsubscribe, "slotsUpdates"))
        );
        assert_eq!(order("slotsubscribe"), None);
        assert_eq!(order("getSlot"), None);
    }

    #[test]
    fn errors_are_agaves() {
        for (stem, params, message) in [
            (
                "account",
                json!(["x"]),
                "Invalid Request: Invalid pubkey provided",
            ),
            (
                "account",
                json!([]),
                "`params` should have at least 1 argument(s)",
            ),
            (
                "signature",
                json!([KEY]),
                "Invalid Request: Invalid signature provided",
            ),
            (
                "logs",
                json!([{"mentions": [KEY, KEY]}]),
                "Invalid Request: Only 1 address supported",
            ),
            (
                "logs",
                json!([{"mentions": ["x"]}]),
                "Invalid Request: Invalid mentions provided",
            ),
            (
                "block",
                json!(["all", {"commitment": "processed"}]),
                "Method does not support commitment below `confirmed`",
            ),
            (
                "slot",
                json!([1]),
                "Invalid parameters: No parameters were expected",
            ),
        ] {
            let failure = read(stem, &params).unwrap_err();
            assert_eq!((failure.code, failure.message.as_str()), (-32602, message));
        }
    }

    #[test]
    fn equal_subscriptions_are_known_as_such_however_they_are_spelt() {
        let key = |params: Value| read("account", &params).unwrap().key();
        let plain = key(json!([KEY]));
        assert_eq!(plain, key(json!([KEY, null])));
        assert_eq!(
            plain,
            key(json!([KEY, {"commitment": "finalized", "encoding": null}]))
        );
        assert_eq!(plain, key(json!([KEY, {"minContextSlot": 5}])));
        assert_ne!(plain, key(json!([KEY, {"commitment": "confirmed"}])));
        assert_ne!(plain, key(json!([KEY, {"encoding": "base64"}])));
    }
}
