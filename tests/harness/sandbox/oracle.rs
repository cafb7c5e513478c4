//! The expected answers: those of a validator without faults at any slot, past ones too. Every
//! answer of a moving cluster follows from the slot at the commitment of the call, so a test that
//! knows the slot can tell whether the answer is right.

use serde_json::Value;

use super::afflictions::Distortion;
use super::answer::Node;
use super::chain::Moment;
use super::failure::Failure;
use super::sight::Sight;
use super::validator::Cluster;

impl Cluster {
    /// The result a call had when its commitment was at this slot. `params` is their JSON text.
    ///
    /// Only for methods that do not tell of the node itself.
    pub fn said_at(
        &self,
        moment: Moment,
        method: &str,
        params: Option<&str>,
    ) -> Result<Value, Failure> {
        let node = Node {
            index: 0,
            validators: self.size,
            sight: Sight::exactly(moment),
            tip: moment.slot,
            distortion: Distortion::default(),
            ledger: &self.ledger,
            accounts: self.accounts,
        };
        let mut body = node.answer(method, params)?;
        let mut text = Vec::new();
        while !body.is_empty() {
            text.extend_from_slice(&body.take(64 * 1024));
        }
        serde_json::from_slice(&text).map_err(|error| Failure::new(-32603, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::sandbox::accounts::{Accounts, Nature, keys};
    use crate::sandbox::chain::{self, Line};
    use crate::sandbox::clock::Clock;
    use crate::sandbox::ledger::Ledger;

    fn cluster() -> Cluster {
        Cluster {
            clock: Clock::start(300_000_000, Duration::from_millis(400)),
            ledger: Ledger::default(),
            accounts: Accounts::Moving,
            size: 3,
        }
    }

    fn said(cluster: &Cluster, line: Line, slot: u64, method: &str, params: &Value) -> Value {
        let moment = Moment { slot, line };
        let said = cluster.said_at(moment, method, Some(&params.to_string()));
        said.unwrap_or_else(|failure| panic!("{method}: {failure:?}"))
    }

    /// Reads at the head of the chain, all of which change with every slot.
    fn head_reads() -> Vec<(&'static str, Value)> {
        let moving = keys(Nature::Moving, 1);
        let key = moving.first().unwrap();
        let mut all: Vec<_> = [
            "getBalance",
            "getAccountInfo",
            "getTokenAccountBalance",
            "getTokenSupply",
            "getTokenLargestAccounts",
            "getProgramAccounts",
            "getSignaturesForAddress",
        ]
        .map(|method| (method, json!([key, {"commitment": "confirmed"}])))
        .into();
        all.extend(
            [
                "getSlot",
                "getTransactionCount",
                "getEpochInfo",
                "getBlockProduction",
                "getVoteAccounts",
                "getSupply",
                "getLargestAccounts",
                "getRecentPrioritizationFees",
                "getRecentPerformanceSamples",
            ]
            .map(|method| (method, json!([]))),
        );
        all.push(("getMultipleAccounts", json!([keys(Nature::Moving, 3)])));
        let config = json!({"commitment": "confirmed"});
        let held = json!([key, {"mint": key}, config]);
        all.push(("getTokenAccountsByOwner", held));
        all.push(("getFeeForMessage", json!(["AQ=="])));
        all
    }

    #[test]
    fn whatever_moves_says_something_else_at_every_slot() {
        let cluster = cluster();
        for (method, params) in head_reads() {
            let answers: HashSet<_> = (0..60)
                .map(|age| {
                    let slot = 300_000_060 - age;
                    let mut said = said(&cluster, Line::MAIN, slot, method, &params);
                    // The values are to differ, not only the slot they are said to be of.
                    if let Some(context) = said.get_mut("context") {
                        assert_eq!(context["slot"], slot, "{method}");
                        *context = Value::Null;
                    }
                    said.to_string()
                })
                .collect();
            // Blocks and pages of signatures are about blocks, and some slots have none.
            assert!(answers.len() >= 57, "{method}: {} of 60", answers.len());
        }
    }

    #[test]
    fn a_fork_says_something_else_about_what_is_processed() {
        let cluster = cluster();
        let fork = Line::fork(300_000_050);
        let moving = keys(Nature::Moving, 1);
        let processed = json!({"commitment": "processed"});
        for (method, params) in [
            ("getBalance", json!([moving[0], processed])),
            ("getAccountInfo", json!([moving[0], processed])),
            ("getLatestBlockhash", json!([processed])),
            ("getBlockTime", json!([300_000_055_u64])),
        ] {
            let on = |line| said(&cluster, line, 300_000_060, method, &params);
            assert_ne!(on(fork), on(Line::MAIN), "{method}");
        }
        let hash = json!([fork.blockhash(300_000_055), processed]);
        let valid = |line| said(&cluster, line, 300_000_060, "isBlockhashValid", &hash);
        assert_eq!(valid(fork)["value"], true);
        assert_eq!(valid(Line::MAIN)["value"], false);
        let skipped = (300_000_051..300_000_099)
            .find(|slot| chain::skipped(*slot))
            .unwrap();
        let moment = |line| Moment {
            slot: 300_000_099,
            line,
        };
        let time = |line| {
            let params = json!([skipped]).to_string();
            cluster.said_at(moment(line), "getBlockTime", Some(&params))
        };
        assert!(time(fork).is_ok());
        assert_eq!(time(Line::MAIN).unwrap_err().code, -32007);
    }

    #[test]
    fn an_account_is_the_same_however_it_is_asked_for() {
        use base64::Engine;
        let cluster = cluster();
        let key = keys(Nature::Moving, 1).pop().unwrap();
        let ask = |method: &str, params: Value| {
            let said = said(&cluster, Line::MAIN, 300_000_060, method, &params);
            said["value"].clone()
        };
        let whole = ask("getAccountInfo", json!([key, {"encoding": "base64"}]));
        assert_eq!(ask("getBalance", json!([key])), whole["lamports"]);
        let many = ask("getMultipleAccounts", json!([[key, key]]));
        assert_eq!(many, json!([whole, whole]));
        let bytes = |data: &Value| {
            let text = data.as_str().unwrap();
            base64::engine::general_purpose::STANDARD
                .decode(text)
                .unwrap()
        };
        let all = bytes(&whole["data"][0]);
        let config = json!({"encoding": "base64", "dataSlice": {"offset": 8, "length": 16}});
        let slice = ask("getAccountInfo", json!([key, config]));
        assert_eq!(bytes(&slice["data"][0]), all[8..24]);
        let legacy = ask("getAccountInfo", json!([key]));
        let decoded = bs58::decode(legacy["data"].as_str().unwrap()).into_vec();
        assert_eq!(decoded.unwrap(), all);
        let packed = ask("getAccountInfo", json!([key, {"encoding": "base64+zstd"}]));
        assert!(bytes(&packed["data"][0]).ends_with(&all));
    }
}
