//! The table of all methods at all commitments.

use std::collections::BTreeSet;

use perijove_core::{Commitment, Slot};

use super::{EPOCH, NEVER, ONE, TWO, judge, judge_result, pinned, recorded};
use crate::solana::{DefaultRetention, Method, Retention};

/// At processed, confirmed and finalized.
const HEAD: [Retention; 3] = [ONE, ONE, TWO];
/// Where no commitment can be given, an answer is of the finalized bank or of none.
const ALWAYS_TWO: [Retention; 3] = [TWO; 3];
/// Refused at processed.
const CONFIRMED_HEAD: [Retention; 3] = [NEVER, ONE, TWO];

/// Every method of Agave: its parameters, with `%` for the commitment, its result where none was
/// recorded, and what is kept of it at processed, confirmed and finalized.
const METHODS: &[(&str, &str, &str, [Retention; 3])] = &[
    ("getAccountInfo", r#"["k",{"commitment":"%"}]"#, "", HEAD),
    ("getAgGenesisCert", "[]", r#"{"block":{}}"#, [NEVER; 3]),
    ("getBalance", r#"["k",{"commitment":"%"}]"#, "", HEAD),
    (
        "getBlock",
        r#"[1960,{"commitment":"%"}]"#,
        "",
        [NEVER, pinned(1960, 4), pinned(1960, 4)],
    ),
    ("getBlockCommitment", "[1960]", "", ALWAYS_TWO),
    ("getBlockHeight", r#"[{"commitment":"%"}]"#, "1937", HEAD),
    ("getBlockProduction", r#"[{"commitment":"%"}]"#, "", HEAD),
    (
        "getBlockTime",
        "[1960]",
        "",
        [Retention::Rooted {
            about: Slot(1960),
            slots: 1,
        }; 3],
    ),
    (
        "getBlocks",
        r#"[1958,{"commitment":"%"}]"#,
        "",
        CONFIRMED_HEAD,
    ),
    (
        "getBlocksWithLimit",
        r#"[1958,3,{"commitment":"%"}]"#,
        "[1958,1959,1960]",
        CONFIRMED_HEAD,
    ),
    ("getClusterNodes", "[]", "", ALWAYS_TWO),
    ("getEpochInfo", r#"[{"commitment":"%"}]"#, "", HEAD),
    ("getEpochSchedule", "[]", "", [Retention::Forever; 3]),
    ("getFeeForMessage", r#"["m",{"commitment":"%"}]"#, "", HEAD),
    ("getFirstAvailableBlock", "[]", "5", [NEVER; 3]),
    ("getGenesisHash", "[]", "", [Retention::Forever; 3]),
    ("getHealth", "[]", "\"ok\"", [NEVER; 3]),
    (
        "getHighestSnapshotSlot",
        "[]",
        r#"{"full":100,"incremental":110}"#,
        [NEVER; 3],
    ),
    ("getIdentity", "[]", "", [NEVER; 3]),
    (
        "getInflationGovernor",
        r#"[{"commitment":"%"}]"#,
        "",
        [EPOCH; 3],
    ),
    ("getInflationRate", "[]", "", [EPOCH; 3]),
    (
        "getInflationReward",
        r#"[["a"],{"epoch":2,"commitment":"%"}]"#,
        r#"[{"amount":1,"commission":null,"effectiveSlot":224,"epoch":2,"postBalance":2}]"#,
        [pinned(224, 1); 3],
    ),
    (
        "getLargestAccounts",
        r#"[{"commitment":"%"}]"#,
        r#"{"context":{"slot":54},"value":[{"address":"a","lamports":9}]}"#,
        HEAD,
    ),
    ("getLatestBlockhash", r#"[{"commitment":"%"}]"#, "", HEAD),
    (
        "getLeaderSchedule",
        r#"[{"commitment":"%"}]"#,
        r#"{"i":[0,1,2]}"#,
        [EPOCH; 3],
    ),
    ("getMaxRetransmitSlot", "[]", "1967", [NEVER; 3]),
    ("getMaxShredInsertSlot", "[]", "1967", [NEVER; 3]),
    (
        "getMinimumBalanceForRentExemption",
        r#"[165,{"commitment":"%"}]"#,
        "",
        [EPOCH; 3],
    ),
    (
        "getMultipleAccounts",
        r#"[["a","b"],{"commitment":"%"}]"#,
        "",
        HEAD,
    ),
    (
        "getProgramAccounts",
        r#"["p",{"commitment":"%"}]"#,
        r#"[{"pubkey":"a","account":{}}]"#,
        HEAD,
    ),
    (
        "getRankMap",
        "[5]",
        r#"{"context":{"slot":7},"value":{"epoch":0}}"#,
        [NEVER; 3],
    ),
    (
        "getRecentPerformanceSamples",
        "[4]",
        r#"[{"numSlots":126,"slot":1960}]"#,
        ALWAYS_TWO,
    ),
    ("getRecentPrioritizationFees", "[]", "", ALWAYS_TWO),
    (
        "getSignatureStatuses",
        r#"[["s"],{"commitment":"%"}]"#,
        "",
        [NEVER; 3],
    ),
    (
        "getSignaturesForAddress",
        r#"["a",{"commitment":"%"}]"#,
        "",
        CONFIRMED_HEAD,
    ),
    ("getSlot", r#"[{"commitment":"%"}]"#, "1967", HEAD),
    ("getSlotLeader", r#"[{"commitment":"%"}]"#, "\"i\"", HEAD),
    ("getSlotLeaders", "[1960,1]", "", [EPOCH; 3]),
    (
        "getStakeMinimumDelegation",
        r#"[{"commitment":"%"}]"#,
        r#"{"context":{"slot":501},"value":1000000000}"#,
        HEAD,
    ),
    (
        "getSupply",
        r#"[{"commitment":"%"}]"#,
        r#"{"context":{"slot":1114},"value":{"circulating":16000,"total":1016000}}"#,
        HEAD,
    ),
    (
        "getTokenAccountBalance",
        r#"["k",{"commitment":"%"}]"#,
        r#"{"context":{"slot":1114},"value":{"amount":"9864","decimals":2}}"#,
        HEAD,
    ),
    (
        "getTokenAccountsByDelegate",
        r#"["d",{"mint":"m"},{"commitment":"%"}]"#,
        r#"{"context":{"slot":1114},"value":[]}"#,
        HEAD,
    ),
    (
        "getTokenAccountsByOwner",
        r#"["o",{"mint":"m"},{"commitment":"%"}]"#,
        "",
        HEAD,
    ),
    (
        "getTokenLargestAccounts",
        r#"["m",{"commitment":"%"}]"#,
        r#"{"context":{"slot":1114},"value":[{"address":"a","amount":"771"}]}"#,
        HEAD,
    ),
    (
        "getTokenSupply",
        r#"["m",{"commitment":"%"}]"#,
        r#"{"context":{"slot":1114},"value":{"amount":"100000","decimals":2}}"#,
        HEAD,
    ),
    (
        "getTransaction",
        r#"["s",{"commitment":"%"}]"#,
        "",
        [NEVER, pinned(1960, 4), pinned(1960, 4)],
    ),
    (
        "getTransactionCount",
        r#"[{"commitment":"%"}]"#,
        "268",
        HEAD,
    ),
    ("getVersion", "[]", "", [NEVER; 3]),
    (
        "getVoteAccounts",
        r#"[{"commitment":"%"}]"#,
        r#"{"current":[],"delinquent":[]}"#,
        HEAD,
    ),
    (
        "isBlockhashValid",
        r#"["h",{"commitment":"%"}]"#,
        r#"{"context":{"slot":2483},"value":true}"#,
        HEAD,
    ),
    ("minimumLedgerSlot", "[]", "1234", [NEVER; 3]),
    (
        "requestAirdrop",
        r#"["k",1,{"commitment":"%"}]"#,
        "\"s\"",
        [NEVER; 3],
    ),
    (
        "sendTransaction",
        r#"["t",{"preflightCommitment":"%"}]"#,
        "",
        [NEVER; 3],
    ),
    (
        "simulateTransaction",
        r#"["t",{"commitment":"%"}]"#,
        "",
        [NEVER; 3],
    ),
];

#[test]
fn every_method_is_kept_as_its_finality_allows() {
    for (method, params, result, expected) in METHODS {
        for (commitment, expected) in Commitment::ALL.into_iter().zip(expected) {
            let params = params.replace('%', commitment.label());
            let dated = if result.is_empty() {
                judge(method, &params, recorded(method))
            } else {
                judge_result(method, &params, result)
            };
            assert_eq!(dated.keep, *expected, "{method} at {commitment}");
        }
    }
}

#[test]
fn the_table_holds_every_method_once() {
    let rows: Vec<_> = METHODS.iter().map(|row| Method::from_name(row.0)).collect();
    assert_eq!(rows.len(), 54);
    assert_eq!(
        rows.into_iter().collect::<BTreeSet<_>>(),
        Method::ALL.into_iter().collect()
    );
}

#[test]
fn a_null_lives_for_one_slot_at_most_whatever_was_asked() {
    for (method, params, _, expected) in METHODS {
        for (commitment, expected) in Commitment::ALL.into_iter().zip(expected) {
            let params = params.replace('%', commitment.label());
            let expected = if *expected == NEVER { NEVER } else { ONE };
            let bare = judge_result(method, &params, "null");
            assert_eq!(bare.keep, expected, "{method} at {commitment}");
            if Method::from_name(method).profile().wrapped {
                let wrapped = r#"{"context":{"slot":7},"value":null}"#;
                let wrapped = judge_result(method, &params, wrapped);
                assert_eq!(wrapped.keep, expected, "{method} at {commitment}");
            }
        }
    }
}

#[test]
fn what_is_usual_is_the_longest_life_of_the_method() {
    for (name, _, _, keeps) in METHODS {
        let lives = keeps.map(|keep| match keep {
            Retention::Never | Retention::Absent { .. } => DefaultRetention::Never,
            Retention::Head { slots }
            | Retention::Pinned { slots, .. }
            | Retention::Rooted { slots, .. } => DefaultRetention::Slots(slots),
            Retention::Epoch { .. } | Retention::Forever => DefaultRetention::Long,
        });
        let longest = match *name {
            // The row shows an epoch that was named; the present one lives longer.
            "getInflationReward" => Some(DefaultRetention::Slots(2)),
            _ => lives.into_iter().max(),
        };
        assert_eq!(
            Some(DefaultRetention::of(Method::from_name(name))),
            longest,
            "{name}"
        );
    }
}
