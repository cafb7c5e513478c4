#![allow(clippy::too_many_lines, reason = "tables, one case per row")]

use bytes::Bytes;
use proptest::{prelude::*, sample::subsequence};

use super::{AccountReads, account_reads, compose, single, values, wrapped_parts};
use crate::{
    jsonrpc::{Answer, fixtures},
    solana::{Canonical, canonical, classify},
};

const METHOD: &str = "getMultipleAccounts";

fn reads(params: &str) -> Option<AccountReads> {
    let class = classify(METHOD, Some(params.as_bytes()));
    account_reads(&class, Some(params.as_bytes()))
}

fn account_info(params: &str) -> Canonical {
    let class = classify("getAccountInfo", Some(params.as_bytes()));
    canonical(&class, Some(params.as_bytes())).unwrap()
}

#[test]
fn every_account_is_spelled_as_the_call_for_it_alone() {
    for (config, alone) in [
        // What this method means by nothing, the other has to say.
        ("", r#",{"encoding":"base64"}"#),
        (",null", r#",{"encoding":"base64"}"#),
        (",{}", r#",{"encoding":"base64"}"#),
        (r#",{"encoding":null}"#, r#",{"encoding":"base64"}"#),
        (r#",{"encoding":"base64"}"#, r#",{"encoding":"base64"}"#),
        (
            r#",{"commitment":"confirmed","minContextSlot":5}"#,
            r#",{"encoding":"base64"}"#,
        ),
        // And the other way round.
        (r#",{"encoding":"binary"}"#, ""),
        (
            r#",{"encoding":"jsonParsed"}"#,
            r#",{"encoding":"jsonParsed"}"#,
        ),
        (
            r#",{"dataSlice":{"offset":1,"length":2}}"#,
            r#",{"encoding":"base64","dataSlice":{"length":2,"offset":1}}"#,
        ),
        (
            r#",{"x":[1],"encoding":"base58","a":null}"#,
            r#",{"a":null,"encoding":"base58","x":[1]}"#,
        ),
        // What the class did not understand stays.
        (
            r#",{"commitment":5}"#,
            r#",{"commitment":5,"encoding":"base64"}"#,
        ),
        (
            r#",{"encod\u0069ng":"base58"}"#,
            r#",{"encoding":"base58"}"#,
        ),
    ] {
        let reads = reads(&format!(r#"[["a","\u0062"]{config}]"#)).expect(config);
        assert_eq!(reads.len(), 2);
        for (position, account) in ["a", "b"].into_iter().enumerate() {
            let alone = account_info(&format!(r#"["{account}"{alone}]"#));
            assert_eq!(reads.spelled(position), Some(&alone), "{config}");
        }
        assert_eq!(reads.spelled(2), None);
    }
}

#[test]
fn calls_a_node_may_refuse_are_left_alone() {
    let hundred = vec![r#""k""#; 100].join(",");
    assert_eq!(reads(&format!("[[{hundred}]]")).unwrap().len(), 100);
    for params in [
        &format!("[[{hundred},\"k\"]]"),
        "[[]]",
        "[]",
        "[null]",
        "[\"k\"]",
        "[[1]]",
        "[[null]]",
        "[[\"k\"],5]",
        "[[\"k\"],\"base64\"]",
        "[[\"k\"],[]]",
        "[[\"k\"],{},null]",
        "[[\"k\"],null,{}]",
        r#"[["k"],{"x":1,"x":2}]"#,
        r#"[["k"],{"encoding":"base64","encoding":"base58"}]"#,
        "{}",
        "[[\"k\"]",
        "[[\"k\"]]]",
        "",
    ] {
        assert!(reads(params).is_none(), "{params}");
    }
    assert!(reads("[[\"k\"]]").is_some());
    let other = classify("getAccountInfo", Some(b"[[\"k\"]]"));
    assert!(account_reads(&other, Some(b"[[\"k\"]]")).is_none());
    assert!(account_reads(&classify(METHOD, None), None).is_none());
}

#[test]
fn the_rest_asks_for_the_missing_accounts_as_the_caller_did() {
    let params = r#" [ ["a", "\u0062" ,"c"] , {"commitment":"confirmed" ,"encoding":null} ] "#;
    let reads = reads(params).unwrap();
    for (missing, rest) in [
        (
            &[1][..],
            r#"[["\u0062"] , {"commitment":"confirmed" ,"encoding":null} ] "#,
        ),
        (
            &[0, 2],
            r#"[["a","c"] , {"commitment":"confirmed" ,"encoding":null} ] "#,
        ),
        // Nobody else can ask so; nothing is made up.
        (
            &[2, 7],
            r#"[["c"] , {"commitment":"confirmed" ,"encoding":null} ] "#,
        ),
    ] {
        assert_eq!(reads.rest(missing), rest);
    }
}

#[test]
fn an_answer_taken_apart_and_put_together_is_the_same() {
    let recorded = |name: &str| {
        let found = fixtures::ALL.iter().find(|(found, _)| *found == name);
        found.unwrap().1.trim_end()
    };
    let many = recorded(METHOD);
    let answer = Answer::scan(Bytes::from(many)).unwrap();
    let found = values(answer.result().unwrap()).unwrap();
    let list: Vec<_> = found.iter().collect();
    assert_eq!(list.len(), 2);
    assert_eq!(list[1], b"null");
    assert_eq!(compose(found.context(), &list), many);

    let one = recorded("getAccountInfo");
    let answer = Answer::scan(Bytes::from(one)).unwrap();
    let (context, value) = wrapped_parts(answer.result().unwrap()).unwrap();
    assert_eq!(single(context, value), one);
    // The same account in both.
    assert_eq!(value, list[0]);
}

#[test]
fn only_agaves_shape_is_taken_apart() {
    for result in [
        r#"{"value":[1],"context":{"slot":5}}"#,
        r#"{"context":{"slot":5},"value":[1],"x":2}"#,
        r#"{"context":{"slot":5},"x":2,"value":[1]}"#,
        r#"{"context":{"slot":5}}"#,
        r#"{"context":{"slot":5},"value":[1]} 5"#,
        r#"{"context":{"slot":5},"value":[1]"#,
        "[1]",
        "null",
        "",
    ] {
        assert_eq!(wrapped_parts(result.as_bytes()), None, "{result}");
        assert_eq!(values(result.as_bytes()), None, "{result}");
    }
    let object = r#"{"context":{"slot":5},"value":{"a":1}}"#;
    assert_eq!(values(object.as_bytes()), None);
    assert_eq!(
        wrapped_parts(object.as_bytes()),
        Some((&br#"{"slot":5}"#[..], &br#"{"a":1}"#[..]))
    );
}

/// An account as a node writes it, or none.
fn account() -> impl Strategy<Value = String> {
    let data = prop_oneof![
        "[a-zA-Z0-9+/]{0,40}".prop_map(|text| format!(r#"["{text}","base64"]"#)),
        "[a-zA-Z0-9]{0,20}".prop_map(|text| format!(r#""{text}""#)),
        Just(r#"{"parsed":{"info":[],"type":"x,\"]}"},"program":"p","space":3}"#.to_owned()),
    ];
    prop_oneof![
        1 => Just("null".to_owned()),
        4 => (data, any::<u64>()).prop_map(|(data, lamports)| format!(
            r#"{{"data":{data},"executable":false,"lamports":{lamports},"owner":"o","rentEpoch":18446744073709551615,"space":0}}"#
        )),
    ]
}

/// A configuration's members, each written in a way that counts or not.
fn members() -> impl Strategy<Value = Vec<String>> {
    let encodings = ["null", r#""base64""#, r#""binary""#, r#""base58""#, "5"];
    let commitments = [r#""processed""#, "null", r#""recent""#, "1"];
    (
        proptest::sample::select(encodings.to_vec()),
        proptest::sample::select(commitments.to_vec()),
        proptest::sample::select(vec!["null", "7", "-7"]),
    )
        .prop_flat_map(|(encoding, commitment, slot)| {
            let all = vec![
                format!(r#""encoding": {encoding}"#),
                format!(r#""commitment" :{commitment}"#),
                format!(r#""minContextSlot":{slot}"#),
                r#""dataSlice":{"offset":0,"length":8}"#.to_owned(),
                r#""a":null"#.to_owned(),
                r#""zzzzzzzzzzz":[{}]"#.to_owned(),
            ];
            let length = all.len();
            subsequence(all, 0..=length).prop_shuffle()
        })
}

proptest! {
    #[test]
    fn whatever_is_configured_both_methods_spell_the_same(
        accounts in proptest::collection::vec("[a-z]{1,3}", 1..5),
        members in members(),
    ) {
        let list: Vec<_> = accounts.iter().map(|account| format!("\"{account}\"")).collect();
        let config = members.join(",");
        let reads = reads(&format!("[[{}],{{{config}}}]", list.join(","))).unwrap();
        let mut alone = members;
        alone.retain(|member| member != r#""encoding": null"#);
        if !alone.iter().any(|member| member.starts_with(r#""encoding""#)) {
            alone.push(r#""encoding":"base64""#.to_owned());
        }
        for (position, account) in list.iter().enumerate() {
            let alone = account_info(&format!("[{account},{{{}}}]", alone.join(",")));
            prop_assert_eq!(reads.spelled(position), Some(&alone));
        }
    }

    #[test]
    fn a_composed_answer_is_the_bytes_a_node_would_send(
        slot: u64,
        accounts in proptest::collection::vec(account(), 0..6),
    ) {
        let context = format!(r#"{{"apiVersion":"4.2.2","slot":{slot}}}"#);
        let body = format!(
            r#"{{"jsonrpc":"2.0","result":{{"context":{context},"value":[{}]}},"id":1}}"#,
            accounts.join(",")
        );
        let answer = Answer::scan(Bytes::from(body.clone())).unwrap();
        let found = values(answer.result().unwrap()).unwrap();
        let list: Vec<_> = found.iter().collect();
        prop_assert_eq!(&list, &accounts.iter().map(String::as_bytes).collect::<Vec<_>>());
        prop_assert_eq!(compose(found.context(), &list), body);

        for value in list {
            let answer = Answer::scan(single(found.context(), value)).unwrap();
            let result = answer.result().unwrap();
            prop_assert_eq!(wrapped_parts(result), Some((context.as_bytes(), value)));
        }
    }

    #[test]
    fn asking_for_all_is_the_same_call(members in members(), accounts in 1..5_usize) {
        let list = vec!["\"k\""; accounts].join(",");
        let params = format!("[[{list}],{{{}}}]", members.join(","));
        let found = reads(&params).unwrap();
        let all: Vec<_> = (0..found.len()).collect();
        prop_assert_eq!(found.rest(&all), params);
    }

    #[test]
    fn nothing_makes_it_panic(
        params in r#"\[?\[?("k"|,|\]|\{"encoding":|null|\}|1){0,9}\]?"#,
        result in r#"\{?("context":|"value":|[\[\]{},]|1|null){0,9}\}?"#,
    ) {
        if let Some(reads) = reads(&params) {
            prop_assert!(reads.len() > 0);
        }
        if let Some(found) = values(result.as_bytes()) {
            prop_assert!(wrapped_parts(result.as_bytes()).is_some());
            prop_assert!(found.iter().len() <= result.len());
        }
    }
}
