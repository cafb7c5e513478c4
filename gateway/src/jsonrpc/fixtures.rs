//! Answers for tests: real ones, recorded from a node, and generated ones in every order.

use proptest::{prelude::*, sample::subsequence};

macro_rules! recorded {
    ($($name:literal,)*) => {
        /// Name and body of the recorded answers.
        pub(crate) const ALL: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../tests/fixtures/answers/", $name, ".json"))),)*
        ];
    };
}

recorded! {
    "err_min_context_slot",
    "err_preflight_blockhash",
    "getAccountInfo",
    "getBalance",
    "getBlock",
    "getBlockCommitment",
    "getBlockProduction",
    "getBlockTime",
    "getBlocks",
    "getClusterNodes",
    "getEpochInfo",
    "getEpochSchedule",
    "getFeeForMessage",
    "getGenesisHash",
    "getHighestSnapshotSlot",
    "getIdentity",
    "getInflationGovernor",
    "getInflationRate",
    "getLatestBlockhash",
    "getMinimumBalanceForRentExemption",
    "getMultipleAccounts",
    "getRecentPrioritizationFees",
    "getSignatureStatuses",
    "getSignaturesForAddress",
    "getSlotLeaders",
    "getTokenAccountsByOwner",
    "getTransaction",
    "getVersion",
    "sendTransaction",
    "simulateTransaction",
}

/// Some JSON, shallow, with what could mislead a search for the id.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<u64>().prop_map(|number| number.to_string()),
        Just("-1.5e3".to_owned()),
        Just("true".to_owned()),
        "[ -~é]{0,90}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\",\"id\":1}""#.to_owned()),
        Just(r#"{"id":1}"#.to_owned()),
        Just(r#"{"a":[],"id":1}"#.to_owned()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec(inner, 0..4).prop_map(|items| {
                let members: Vec<_> = items
                    .iter()
                    .zip(["a", "id", "result", "b"])
                    .map(|(item, key)| format!("\"{key}\": {item}"))
                    .collect();
                format!("{{{}}}", members.join(" , "))
            }),
        ]
    })
}

/// The id that most of the generated answers have.
pub(super) const ASKED: u64 = 4_242_424_242;

/// A valid answer: members in any order, any spacing, the id anywhere, another one or missing.
pub(super) fn answers() -> impl Strategy<Value = String> {
    let members = (
        value(),
        prop_oneof![
            4 => Just("4242424242"),
            1 => Just("\"4242424242\""),
            1 => Just("4242424243"),
            1 => Just("null"),
            1 => Just("\"a\\\"b\""),
        ],
    )
        .prop_flat_map(|(value, id)| {
            let telling = [
                format!("\"result\":{value}"),
                "\"error\":{\"code\":1}".to_owned(),
            ];
            (
                proptest::sample::select(telling.to_vec()),
                subsequence(
                    vec![
                        "\"jsonrpc\":\"2.0\"".to_owned(),
                        format!("\"id\":{id}"),
                        "\"x\":[1]".to_owned(),
                    ],
                    0..=3,
                ),
            )
        })
        .prop_flat_map(|(telling, mut others)| {
            others.push(telling);
            Just(others).prop_shuffle()
        });
    let space = prop_oneof![Just(""), Just(" "), Just("\n  ")];
    (members, space, "[ \n]{0,3}").prop_map(|(members, space, end)| {
        let joined = members.join(&format!(",{space}"));
        format!("{{{space}{joined}{space}}}{end}")
    })
}
