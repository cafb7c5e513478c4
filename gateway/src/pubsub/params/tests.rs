//! What a node would say to parameters, and which of them are the same.

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
            json!([KEY, {"filters": [1, 2, 3, 4, 5]}]),
            "Too many filters provided; max 4",
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
