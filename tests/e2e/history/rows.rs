//! What the own node has not, method by method.

use super::*;

/// A question, what a node says that does not have it, and what one says that has.
pub(super) struct Row {
    pub(super) method: &'static str,
    pub(super) params: Value,
    pub(super) lacks: Says,
    pub(super) has: Value,
}

pub(super) fn row(method: &'static str, params: Value, lacks: impl Into<Says>, has: Value) -> Row {
    Row {
        method,
        params,
        lacks: lacks.into(),
        has,
    }
}

pub(super) fn signature(mark: u8) -> String {
    bs58::encode([mark; 64]).into_string()
}

pub(super) fn wrapped(value: &Value) -> Value {
    json!({"context": {"slot": BEGIN}, "value": value})
}

/// Every kind of question, with every answer of a node that does not have it.
pub(super) fn rows() -> Vec<Row> {
    let transaction = || json!({"slot": OLD, "blockTime": 1_700_000_000, "meta": null});
    let block = || json!({"blockhash": "h", "parentSlot": OLD - 1, "transactions": []});
    let item = |n: u64| json!({"signature": format!("s{n}"), "slot": OLD + n});
    let cleaned = || {
        let message = format!(
            "Block {OLD} cleaned up, does not exist on node. First available block: {OLDEST}"
        );
        Says::Error(-32001, message)
    };
    let search = json!({"searchTransactionHistory": true});
    let mut rows = vec![
        row(
            "getTransaction",
            json!([signature(1)]),
            json!(null),
            transaction(),
        ),
        row(
            "getTransaction",
            json!([signature(2), {"encoding": "base64", "commitment": "confirmed"}]),
            json!(null),
            transaction(),
        ),
        row(
            "getTransaction",
            json!([signature(3)]),
            error(-32019),
            transaction(),
        ),
        row(
            "getConfirmedTransaction",
            json!([signature(4)]),
            json!(null),
            transaction(),
        ),
        row("getBlock", json!([OLD]), json!(null), block()),
        row("getConfirmedBlock", json!([OLD + 20]), json!(null), block()),
        row(
            "getBlockTime",
            json!([OLD]),
            json!(null),
            json!(1_700_000_000),
        ),
        row(
            "getBlocks",
            json!([OLD, OLD + 2]),
            json!([]),
            json!([OLD, OLD + 2]),
        ),
        row(
            "getBlocks",
            json!([OLD, BEGIN]),
            json!([OLDEST, OLDEST + 1]),
            json!([OLD, OLD + 1, OLDEST, OLDEST + 1]),
        ),
        row(
            "getBlocks",
            json!([OLDEST - 5, BEGIN]),
            json!([OLDEST]),
            json!([OLDEST - 5, OLDEST]),
        ),
        row(
            "getBlocksWithLimit",
            json!([OLD, 2]),
            json!([OLDEST, OLDEST + 1]),
            json!([OLD, OLD + 1]),
        ),
        row(
            "getConfirmedBlocksWithLimit",
            json!([OLD + 20, 2]),
            json!([]),
            json!([OLD + 20, OLD + 21]),
        ),
        row(
            "getBlockCommitment",
            json!([OLD]),
            json!({"commitment": null, "totalStake": 5}),
            json!({"commitment": [1], "totalStake": 5}),
        ),
        row(
            "getSignaturesForAddress",
            json!(["a"]),
            json!([]),
            json!([item(1)]),
        ),
        row(
            "getSignaturesForAddress",
            json!(["b", {"limit": 3}]),
            json!([item(3)]),
            json!([item(3), item(2), item(1)]),
        ),
        row(
            "getSignaturesForAddress",
            json!(["c", {"limit": 9, "before": signature(5)}]),
            json!([item(2)]),
            json!([item(2), item(1)]),
        ),
        row(
            "getSignaturesForAddress",
            json!(["d", {"until": signature(6)}]),
            json!([item(2)]),
            json!([item(2), item(1)]),
        ),
        row(
            "getSignaturesForAddress",
            json!(["e", {"before": signature(7)}]),
            error(-32020),
            json!([item(1)]),
        ),
        row(
            "getConfirmedSignaturesForAddress2",
            json!(["f"]),
            json!([]),
            json!([item(1)]),
        ),
        row(
            "getSignatureStatuses",
            json!([[signature(8)], search]),
            wrapped(&json!([null])),
            wrapped(&json!([{"slot": OLD}])),
        ),
        row(
            "getSignatureStatuses",
            json!([[signature(9), signature(10)], search]),
            wrapped(&json!([{"slot": BEGIN}, null])),
            wrapped(&json!([{"slot": BEGIN}, {"slot": OLD}])),
        ),
        row(
            "getInflationReward",
            json!([["a"], {"epoch": 0}]),
            json!([null]),
            json!([{"amount": 5}]),
        ),
        row(
            "getInflationReward",
            json!([["b"], {"epoch": 0}]),
            error(-32018),
            json!([{"amount": 5}]),
        ),
        row(
            "getInflationReward",
            json!([["c"], {"epoch": 0}]),
            error(-32004),
            json!([{"amount": 5}]),
        ),
    ];
    for (age, code) in (1..).zip([-32004, -32007, -32009, -32014, -32019]) {
        rows.push(row("getBlock", json!([OLD + age]), error(code), block()));
        rows.push(row(
            "getBlockTime",
            json!([OLD + age]),
            error(code),
            json!(1_700_000_000),
        ));
    }
    rows.push(row("getBlock", json!([OLD + 9]), cleaned(), block()));
    rows.push(row(
        "getBlockTime",
        json!([OLD + 9]),
        cleaned(),
        json!(1_700_000_000),
    ));
    rows
}
