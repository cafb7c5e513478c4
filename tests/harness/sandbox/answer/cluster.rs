//! Methods about the node itself, the cluster and its rules.

use serde_json::{Value, json};

use super::{API_VERSION, Found, Node, recorded};
use crate::sandbox::chain;
use crate::sandbox::clock::FINALIZED_DISTANCE;
use crate::sandbox::failure::Failure;
use crate::sandbox::params::Params;
use crate::sandbox::sight::Level;

/// How far a node may trail before its own `getHealth` says so (Agave's default).
const HEALTH_DISTANCE: u64 = 128;

pub(super) fn answer(node: &Node<'_>, method: &str, params: &Params) -> Found {
    Some(match method {
        "getIdentity" => Ok(json!({ "identity": chain::identity(node.index) })),
        "getVersion" => Ok(json!({ "feature-set": 565_236_538, "solana-core": API_VERSION })),
        "getHealth" => node.health().map(|()| json!("ok")),
        "getGenesisHash" if node.distortion.wrong_genesis => Ok(json!(chain::OTHER_GENESIS)),
        "getGenesisHash" => Ok(json!(chain::GENESIS)),
        "getClusterNodes" => Ok(cluster_nodes(node)),
        "getVoteAccounts" => Ok(vote_accounts(node, params)),
        "getRecentPerformanceSamples" => performance(node, params),
        "getEpochSchedule" => Ok(recorded(include_str!(
            "../../../sandbox/answers/getEpochSchedule.json"
        ))),
        "getInflationGovernor" => Ok(recorded(include_str!(
            "../../../sandbox/answers/getInflationGovernor.json"
        ))),
        "getInflationRate" => Ok(recorded(include_str!(
            "../../../sandbox/answers/getInflationRate.json"
        ))),
        "getInflationReward" => inflation_reward(node, params),
        "getAgGenesisCert" => Ok(Value::Null),
        "getRankMap" => node.wrapped(params, json!([])),
        _ => return None,
    })
}

impl Node<'_> {
    /// What the node's own health check says. Like Agave's it forgives a lag of 128 slots.
    pub fn health(&self) -> Result<(), Failure> {
        let behind = self.tip.saturating_sub(self.sight.processed);
        match self.distortion.health.as_deref() {
            Some("ok") => Ok(()),
            Some("unknown") => Err(Failure::unhealthy(None)),
            Some(_) => Err(Failure::unhealthy(Some(behind.max(HEALTH_DISTANCE + 1)))),
            None if behind > HEALTH_DISTANCE => Err(Failure::unhealthy(Some(behind))),
            None => Ok(()),
        }
    }

    /// The word `GET /health` answers.
    pub fn health_word(&self) -> &'static str {
        match self.health() {
            Ok(()) => "ok",
            Err(failure) if failure.message == "Node is unhealthy" => "unknown",
            Err(_) => "behind",
        }
    }
}

fn cluster_nodes(node: &Node<'_>) -> Value {
    let recorded = recorded(include_str!(
        "../../../sandbox/answers/getClusterNodes.json"
    ));
    let nodes: Vec<_> = (0..node.validators)
        .filter_map(|index| {
            let mut one = recorded.get(0)?.clone();
            super::set(&mut one, "pubkey", chain::identity(index));
            super::set(&mut one, "version", API_VERSION);
            Some(one)
        })
        .collect();
    json!(nodes)
}

fn vote_accounts(node: &Node<'_>, params: &Params) -> Value {
    let newest = node.newest(Level::Processed, params);
    let root = if node.accounts.moves() {
        newest.saturating_sub(FINALIZED_DISTANCE)
    } else {
        node.sight.at(Level::Finalized)
    };
    let epoch = newest / chain::SLOTS_PER_EPOCH;
    let current: Vec<_> = (0..node.validators)
        .map(|index| {
            json!({
                "activatedStake": 42_000_000_000_000_u64,
                "commission": 0,
                "epochCredits": [[epoch, 64, 0]],
                "epochVoteAccount": true,
                "lastVote": newest,
                "nodePubkey": chain::identity(index),
                "rootSlot": root,
                "votePubkey": chain::identity(1_000 + index),
            })
        })
        .collect();
    json!({ "current": current, "delinquent": [] })
}

fn performance(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let limit = params.get(0).and_then(Value::as_u64).unwrap_or(720);
    if limit > 720 {
        return Err(Failure::params("Invalid limit; max 720"));
    }
    let newest = node.sight.at(Level::Finalized);
    let samples: Vec<_> = (0..limit)
        .map(|age| {
            json!({
                "numNonVoteTransactions": 40_000,
                "numSlots": 150,
                "numTransactions": 180_000,
                "samplePeriodSecs": 60,
                "slot": newest.saturating_sub(age * 150),
            })
        })
        .collect();
    Ok(json!(samples))
}

fn inflation_reward(node: &Node<'_>, params: &Params) -> Result<Value, Failure> {
    let addresses = params.texts(0)?;
    let past = (node.slot(params) / chain::SLOTS_PER_EPOCH).saturating_sub(1);
    let epoch = params
        .option("epoch")
        .and_then(Value::as_u64)
        .unwrap_or(past);
    let rewards: Vec<_> = addresses
        .iter()
        .map(|_| {
            json!({
                "amount": 2_500,
                "commission": null,
                "effectiveSlot": epoch.saturating_add(1).saturating_mul(chain::SLOTS_PER_EPOCH),
                "epoch": epoch,
                "postBalance": 499_999_442_500_u64,
            })
        })
        .collect();
    Ok(json!(rewards))
}
