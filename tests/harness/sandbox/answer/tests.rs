//! Every method answers, and what must agree between methods agrees.

use super::*;

mod hostile;

const KEY: &str = "3qri489hLgWkzeAw76pCNPwRF2RiCmi5iQgKpLioeJz2";
const SIGNATURE: &str =
    "42N7STqGFPuDZtFq3rp69G6eBUuJUtXHjhUk319aiQcDEqzHGJqTpn1YDsQPrEMF5UWZMQYEcc4pSxf2Hm2Qyw3t";

fn node(ledger: &Ledger) -> Node<'_> {
    Node {
        index: 1,
        validators: 3,
        sight: Sight::of(300_000_100),
        tip: 300_000_100,
        distortion: Distortion::default(),
        ledger,
        accounts: Accounts::Still,
    }
}

fn ask(node: &Node<'_>, method: &str, params: &Value) -> Result<Value, Failure> {
    let mut body = node.answer(method, Some(&params.to_string()))?;
    let mut text = Vec::new();
    while !body.is_empty() {
        text.extend_from_slice(&body.take(4_096));
    }
    Ok(serde_json::from_slice(&text).unwrap())
}

/// All methods of Agave with parameters that are right for them.
fn methods() -> Vec<(&'static str, Value)> {
    let transaction = bs58::encode(crate::sandbox::transaction::sample(
        1,
        &crate::sandbox::chain::blockhash(300_000_050),
    ))
    .into_string();
    let mut all = vec![
        ("getAccountInfo", json!([KEY])),
        ("getMultipleAccounts", json!([[KEY]])),
        ("getTokenAccountsByOwner", json!([KEY, { "mint": KEY }])),
        ("getTokenAccountsByDelegate", json!([KEY, { "mint": KEY }])),
        (
            "isBlockhashValid",
            json!([crate::sandbox::chain::blockhash(300_000_050)]),
        ),
        ("getFeeForMessage", json!(["AQ=="])),
        ("getSignatureStatuses", json!([[SIGNATURE]])),
        ("getTransaction", json!([SIGNATURE])),
        ("getBlocks", json!([300_000_000_u64, 300_000_010_u64])),
        ("getBlocksWithLimit", json!([300_000_000_u64, 5])),
        ("getSlotLeaders", json!([300_000_000_u64, 5])),
        ("getMinimumBalanceForRentExemption", json!([165])),
        ("getInflationReward", json!([[KEY]])),
        ("requestAirdrop", json!([KEY, 5])),
        ("simulateTransaction", json!([transaction])),
        ("sendTransaction", json!([transaction])),
    ];
    for method in ["getBlock", "getBlockTime", "getBlockCommitment"] {
        all.push((method, json!([300_000_000_u64])));
    }
    for method in [
        "getBalance",
        "getTokenAccountBalance",
        "getTokenSupply",
        "getTokenLargestAccounts",
        "getProgramAccounts",
        "getSignaturesForAddress",
    ] {
        all.push((method, json!([KEY])));
    }
    for method in [
        "getSlot getBlockHeight getTransactionCount getEpochInfo getLatestBlockhash",
        "getRecentPrioritizationFees getBlockProduction getInflationGovernor getInflationRate",
        "getEpochSchedule getGenesisHash getLeaderSchedule getSlotLeader getLargestAccounts",
        "getSupply getVoteAccounts getClusterNodes getRecentPerformanceSamples getVersion",
        "getIdentity getHealth getHighestSnapshotSlot getFirstAvailableBlock minimumLedgerSlot",
        "getMaxRetransmitSlot getMaxShredInsertSlot getStakeMinimumDelegation getAgGenesisCert",
        "getRankMap",
    ]
    .into_iter()
    .flat_map(str::split_whitespace)
    {
        all.push((method, json!([])));
    }
    all
}

#[test]
fn every_method_of_agave_is_answered() {
    let ledger = Ledger::default();
    let node = node(&ledger);
    let all = methods();
    assert_eq!(all.len(), 54);
    for (method, params) in all {
        let answer = ask(&node, method, &params);
        assert!(answer.is_ok(), "{method}: {answer:?}");
    }
    assert_eq!(ask(&node, "getFoo", &json!([])).unwrap_err().code, -32601);
}

#[test]
fn a_sent_transaction_is_found_when_its_slot_is_confirmed() {
    let ledger = Ledger::default();
    let mut node = node(&ledger);
    let bytes =
        crate::sandbox::transaction::sample(9, &crate::sandbox::chain::blockhash(300_000_000));
    let text = bs58::encode(bytes).into_string();
    let signature = ask(&node, "sendTransaction", &json!([text])).unwrap();
    let found = |node: &Node<'_>| {
        ask(
            node,
            "getTransaction",
            &json!([signature, {"commitment": "confirmed"}]),
        )
        .unwrap()
    };
    let status = |node: &Node<'_>| {
        let statuses = ask(node, "getSignatureStatuses", &json!([[signature]])).unwrap();
        statuses["value"][0]["confirmationStatus"].clone()
    };
    assert!(found(&node).is_null());
    assert!(status(&node).is_null());
    node.sight = Sight::of(300_000_101);
    assert_eq!(status(&node), "processed");
    node.sight = Sight::of(300_000_103);
    assert_eq!(found(&node)["transaction"]["signatures"][0], signature);
    assert_eq!(status(&node), "confirmed");
    node.sight = Sight::of(300_000_143);
    assert_eq!(status(&node), "finalized");
}

#[test]
fn a_transaction_with_a_blockhash_nobody_knows_fails_in_preflight() {
    let ledger = Ledger::default();
    let node = node(&ledger);
    let bytes = crate::sandbox::transaction::sample(9, &crate::sandbox::chain::blockhash(5));
    let text = bs58::encode(bytes).into_string();
    let failure = ask(&node, "sendTransaction", &json!([text])).unwrap_err();
    assert_eq!(failure.code, -32002);
    let unchecked = json!([text, {"skipPreflight": true}]);
    assert!(ask(&node, "sendTransaction", &unchecked).is_ok());
}

#[test]
fn a_slot_not_yet_seen_is_refused_with_the_nodes_own() {
    let ledger = Ledger::default();
    let node = node(&ledger);
    let params = json!([KEY, {"minContextSlot": 300_000_100_u64, "commitment": "processed"}]);
    let answer = ask(&node, "getBalance", &params).unwrap();
    assert_eq!(answer["context"]["slot"], 300_000_100_u64);
    let params = json!([KEY, {"minContextSlot": 300_000_100_u64}]);
    let failure = ask(&node, "getBalance", &params).unwrap_err();
    assert_eq!(failure, Failure::min_context_slot(300_000_069));
}

#[test]
fn blocks_are_refused_with_the_reason() {
    let ledger = Ledger::default();
    let node = node(&ledger);
    let code = |slot: u64| ask(&node, "getBlock", &json!([slot])).map_err(|failure| failure.code);
    let skipped = (300_000_000..300_000_100)
        .find(|slot| crate::sandbox::chain::skipped(*slot))
        .unwrap();
    assert_eq!(code(skipped), Err(-32007));
    assert_eq!(code(300_000_090), Err(-32004));
    assert_eq!(code(5), Err(-32001));
    assert_eq!(
        ask(
            &node,
            "getBlock",
            &json!([300_000_000_u64, {"commitment": "processed"}])
        )
        .unwrap_err()
        .code,
        -32602
    );
}

#[test]
fn echo_gives_back_the_bytes_of_its_params() {
    let ledger = Ledger::default();
    let text = r#"[ 18446744073709551615, {"b":1.50,"a":"\u00e9"} ]"#;
    let mut body = node(&ledger).answer("sandboxEcho", Some(text)).unwrap();
    assert_eq!(body.take(1_000), text);
}

#[test]
fn health_is_ok_until_the_lag_is_large_unless_a_fault_speaks_for_it() {
    let ledger = Ledger::default();
    let mut node = node(&ledger);
    node.sight = Sight::of(node.tip - 128);
    assert_eq!(node.health_word(), "ok");
    node.sight = Sight::of(node.tip - 129);
    assert_eq!(node.health_word(), "behind");
    node.distortion.health = Some("ok".to_owned());
    assert_eq!(node.health_word(), "ok");
    node.distortion.health = Some("unknown".to_owned());
    assert_eq!(node.health_word(), "unknown");
}
