//! What a node would say to parameters, and which of them are the same.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const KEY: &str = "3qri489hLgWkzeAw76pCNPwRF2RiCmi5iQgKpLioeJz2";

fn signature() -> String {
    bs58::encode([7; 64]).into_string()
}

fn read(kind: SubscriptionKind, params: &Value) -> Result<SubscriptionSpec, String> {
    let text = params.to_string();
    SubscriptionSpec::read(kind, Some(text.as_bytes())).map_err(|error| error.message.into_owned())
}

#[test]
fn parameters_that_mean_the_same_are_spelled_the_same() {
    for (kind, spellings) in [
        (
            SubscriptionKind::Account,
            vec![
                json!([KEY]),
                json!([KEY, null]),
                json!([KEY, {}]),
                json!([KEY, {"commitment": "finalized", "encoding": "binary"}]),
                json!([KEY, {"encoding": null, "minContextSlot": 5, "unknown": true}]),
                json!([KEY, {"commitment": "recent"}]),
            ],
        ),
        (
            SubscriptionKind::Logs,
            vec![json!(["all"]), json!(["all", {"commitment": "finalized"}])],
        ),
        (
            SubscriptionKind::Program,
            vec![
                json!([KEY]),
                json!([KEY, {"filters": [], "withContext": false}]),
            ],
        ),
    ] {
        let first = read(kind, &spellings[0]).unwrap();
        for spelling in &spellings {
            assert_eq!(read(kind, spelling).unwrap(), first, "{spelling}");
        }
    }
}

#[test]
fn parameters_that_differ_are_not_shared() {
    let specs = [
        json!([KEY]),
        json!([KEY, {"commitment": "confirmed"}]),
        json!([KEY, {"encoding": "base64"}]),
        json!([KEY, {"encoding": "base64", "dataSlice": {"offset": 0, "length": 8}}]),
        json!([KEY, {"encoding": "base64", "dataSlice": {"offset": 0, "length": 9}}]),
    ]
    .map(|params| read(SubscriptionKind::Account, &params).unwrap());
    for (index, one) in specs.iter().enumerate() {
        assert!(!specs[index + 1..].contains(one), "{one:?}");
    }
}

fn refuses(cases: &[(SubscriptionKind, Value, &str)]) {
    for (kind, params, words) in cases {
        assert_eq!(read(*kind, params).unwrap_err(), *words, "{params}");
    }
}

#[test]
fn wrong_accounts_and_programs_get_the_words_of_a_node() {
    let sig = signature();
    refuses(&[
        (
            SubscriptionKind::Account,
            json!([]),
            "`params` should have at least 1 argument(s)",
        ),
        (
            SubscriptionKind::Account,
            json!(["x"]),
            "Invalid Request: Invalid pubkey provided",
        ),
        (
            SubscriptionKind::Account,
            json!([sig]),
            "Invalid Request: Invalid pubkey provided",
        ),
        (
            SubscriptionKind::Account,
            json!([7]),
            "Invalid params: invalid type: integer `7`, expected a string.",
        ),
        (
            SubscriptionKind::Account,
            json!([KEY, {}, 1]),
            "Invalid parameters: Expected from 1 to 2 parameters.",
        ),
        (
            SubscriptionKind::Account,
            json!([KEY, {"encoding": "utf8"}]),
            "Invalid params: unknown variant `utf8`, expected one of `binary`, `base58`, `base64`, `jsonParsed`, `base64+zstd`.",
        ),
        (
            SubscriptionKind::Program,
            json!(["x"]),
            "Invalid Request: Invalid pubkey provided",
        ),
        (
            SubscriptionKind::Program,
            json!([KEY, {"filters": [{"dataSize": 1}, {"dataSize": 2}, {"dataSize": 3}, {"dataSize": 4}, {"dataSize": 5}]}]),
            "Invalid params: Too many filters provided; max 4",
        ),
    ]);
}

#[test]
fn wrong_parameters_of_others_get_the_words_of_a_node() {
    refuses(&[
        (
            SubscriptionKind::Signature,
            json!([KEY]),
            "Invalid Request: Invalid signature provided",
        ),
        (
            SubscriptionKind::Slot,
            json!([1]),
            "Invalid parameters: No parameters were expected",
        ),
        (
            SubscriptionKind::Logs,
            json!([{"mentions": [KEY, KEY]}]),
            "Invalid Request: Only 1 address supported",
        ),
        (
            SubscriptionKind::Logs,
            json!([{"mentions": ["x"]}]),
            "Invalid Request: Invalid mentions provided",
        ),
        (
            SubscriptionKind::Block,
            json!(["all", {"commitment": "processed"}]),
            "Method does not support commitment below `confirmed`",
        ),
        (
            SubscriptionKind::Block,
            json!([{"mentionsAccountOrProgram": "x"}]),
            "Invalid Request: Invalid mentions_account_or_program provided",
        ),
    ]);
    let object = SubscriptionSpec::read(SubscriptionKind::Slot, Some(b"{}")).unwrap_err();
    assert_eq!(object.message, "`params` should be an array");
}

/// Kind, member, what a node does not accept in it, and what it does.
const MEMBERS: [(SubscriptionKind, &str, &str, &str); 13] = [
    (
        SubscriptionKind::Account,
        "minContextSlot",
        r#"["x", -1, 1.5, true, {}]"#,
        "5",
    ),
    (
        SubscriptionKind::Account,
        "encoding",
        r#"[5, ["base64"]]"#,
        r#""base64""#,
    ),
    (
        SubscriptionKind::Account,
        "dataSlice",
        r#"[5, [1], [1, 2, 3], {"offset": 1}, {"offset": "1", "length": 2}, {"offset": -1, "length": 2}]"#,
        "[1, 2]",
    ),
    (SubscriptionKind::Program, "minContextSlot", r#"["x"]"#, "5"),
    (
        SubscriptionKind::Program,
        "dataSlice",
        r#"["x"]"#,
        r#"{"offset": 1, "length": 2}"#,
    ),
    (
        SubscriptionKind::Program,
        "withContext",
        r#"["true", 1]"#,
        "true",
    ),
    (
        SubscriptionKind::Program,
        "sortResults",
        r#"["true", 1]"#,
        "true",
    ),
    (
        SubscriptionKind::Program,
        "filters",
        r#"[{}, [[]], [{"dataSize": "1"}]]"#,
        r#"[{"dataSize": 1}]"#,
    ),
    (
        SubscriptionKind::Signature,
        "enableReceivedNotification",
        r#"["true", 0]"#,
        "true",
    ),
    (
        SubscriptionKind::Block,
        "showRewards",
        r#"["true"]"#,
        "true",
    ),
    (
        SubscriptionKind::Block,
        "transactionDetails",
        r#"[5, "some"]"#,
        r#""none""#,
    ),
    (
        SubscriptionKind::Block,
        "encoding",
        r#"[5, "base64+zstd"]"#,
        r#""json""#,
    ),
    (
        SubscriptionKind::Block,
        "maxSupportedTransactionVersion",
        r#"["0", 256, -1, 0.5]"#,
        "0",
    ),
];

#[test]
fn every_member_of_a_configuration_has_the_type_that_a_node_expects() {
    for (kind, member, wrong, right) in MEMBERS {
        let subject = match kind {
            SubscriptionKind::Signature => signature(),
            SubscriptionKind::Block => "all".to_owned(),
            _ => KEY.to_owned(),
        };
        let wrong: Vec<Value> = serde_json::from_str(wrong).unwrap();
        for value in wrong {
            let params = json!([subject, { member: value }]);
            let error = read(kind, &params).unwrap_err();
            assert!(error.starts_with("Invalid params: "), "{params}: {error}");
        }
        for value in [serde_json::from_str(right).unwrap(), Value::Null] {
            let params = json!([subject, { member: value, "commitment": 5 }]);
            assert!(read(kind, &params).is_ok(), "{params}");
        }
    }
}

#[test]
fn values_have_one_spelling_and_choices_one_member() {
    let listed = json!([KEY, {"dataSlice": [1, 2]}]);
    let named = json!([KEY, {"dataSlice": {"length": 2, "offset": 1}}]);
    let kind = SubscriptionKind::Account;
    assert_eq!(read(kind, &listed), read(kind, &named));
    let (logs, block) = (SubscriptionKind::Logs, SubscriptionKind::Block);
    for (kind, subject) in [
        (logs, json!({"mentions": [KEY], "all": null})),
        (logs, json!({"mentions": [1, 2]})),
        (block, json!({"mentionsAccountOrProgram": KEY, "x": 1})),
    ] {
        assert!(read(kind, &json!([subject])).is_err(), "{subject}");
    }
}

#[test]
fn an_unsubscription_names_a_number() {
    assert_eq!(subscription_id(Some(b"[7]")), Ok(7));
    for wrong in ["[]", "[\"7\"]", "[-1]", "[1.5]", "[1,2]"] {
        let error = subscription_id(Some(wrong.as_bytes())).unwrap_err();
        assert_eq!(error.code, -32602, "{wrong}");
    }
}

#[test]
fn the_configuration_can_be_had_again() {
    let spec = read(
        SubscriptionKind::Account,
        &json!([KEY, {"encoding": "base64"}]),
    )
    .unwrap();
    assert_eq!(spec.config()["encoding"], "base64");
    assert_eq!(spec.subject.as_deref(), Some(KEY));
}

/// Parameters as a client may send them, most of them nearly right.
fn any_params() -> impl Strategy<Value = Value> {
    let words = [
        "all",
        "allWithVotes",
        "mentions",
        "mentionsAccountOrProgram",
        "filters",
        "memcmp",
        "offset",
        "bytes",
        "dataSize",
        "dataSlice",
        "length",
        "encoding",
        "base64",
        "base58",
        "commitment",
        "confirmed",
        "processed",
        "withContext",
        "transactionDetails",
        "full",
        "none",
        "showRewards",
        "maxSupportedTransactionVersion",
        "enableReceivedNotification",
        KEY,
        "",
        "\u{0}\"\\\u{1f600}",
    ];
    let word = prop::sample::select(words.map(str::to_owned).to_vec());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        Just(Value::from(signature())),
    ];
    let value = leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((word.clone(), inner), 0..5).prop_map(|members| members.into_iter().collect()),
        ]
    });
    let first = prop_oneof![
        3 => Just(json!(KEY)),
        1 => Just(json!(signature())),
        1 => Just(json!("all")),
        1 => Just(json!({"mentions": [KEY]})),
        2 => value.clone(),
    ];
    (first, vec(value, 0..3)).prop_map(|(first, others)| {
        let params = std::iter::once(first).chain(others);
        params.collect()
    })
}

proptest! {
    #[test]
    fn canonical_parameters_are_their_own_canonical_form(params in any_params()) {
        for kind in SubscriptionKind::ALL {
            let Ok(spec) = read(kind, &params) else { continue };
            let canonical: Value = serde_json::from_str(&spec.params).unwrap();
            prop_assert_eq!(read(kind, &canonical), Ok(spec));
        }
    }

    #[test]
    fn no_bytes_upset_the_reading_of_parameters(params in vec(any::<u8>(), 0..64)) {
        for kind in SubscriptionKind::ALL {
            drop(SubscriptionSpec::read(kind, Some(&params)));
        }
        drop(subscription_id(Some(&params)));
    }
}
