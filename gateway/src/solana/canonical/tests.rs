#![allow(clippy::too_many_lines, reason = "tables, one case per row")]

use super::{Canonical, canonical};
use crate::solana::{Class, Idempotency, Method, classify};

mod calls;
mod decode;
mod habits;
mod properties;

fn spell(method: &str, params: &str) -> Option<Canonical> {
    canonical(
        &classify(method, Some(params.as_bytes())),
        Some(params.as_bytes()),
    )
}

/// What two calls must agree in to have one answer.
fn meaning(method: &str, params: &str) -> (Option<Canonical>, Class) {
    let class = classify(method, Some(params.as_bytes()));
    (canonical(&class, Some(params.as_bytes())), class)
}

#[test]
fn equal_meaning_is_equal_spelling() {
    for (method, one, other) in [
        ("getSlot", "[]", "[null]"),
        ("getSlot", "[]", "[{}]"),
        ("getSlot", "[]", r#" [ { "commitment" : null } ] "#),
        ("getBalance", r#"["k"]"#, r#"["k",{"commitment":"recent"}]"#),
        ("getBalance", r#"["k"]"#, r#"["k",{"minContextSlot":null}]"#),
        // Strings are what they say, not how they are written.
        ("getBalance", r#"["key"]"#, r#"["\u006bey"]"#),
        (
            "getBalance",
            r#"["k",{"x":"\/é"}]"#,
            r#"["k",{"x":"/\u00e9"}]"#,
        ),
        // Defaults.
        (
            "getAccountInfo",
            r#"["k"]"#,
            r#"["k",{"encoding":"binary","dataSlice":null}]"#,
        ),
        (
            "getMultipleAccounts",
            r#"[["k"]]"#,
            r#"[["k"],{"encoding":"base64"}]"#,
        ),
        ("getTransaction", r#"["s"]"#, r#"["s","json"]"#),
        ("getTransaction", r#"["s"]"#, r#"["s",{"encoding":"json"}]"#),
        (
            "getTransaction",
            r#"["s","jsonParsed"]"#,
            r#"["s",{"encoding":"jsonParsed","maxSupportedTransactionVersion":null}]"#,
        ),
        (
            "getBlock",
            "[5]",
            r#"[5,{"rewards":true,"transactionDetails":"full","encoding":"json"}]"#,
        ),
        ("getBlock", "[5,\"base64\"]", r#"[5,{"encoding":"base64"}]"#),
        (
            "getSignaturesForAddress",
            r#"["a"]"#,
            r#"["a",{"limit":1000,"before":null,"until":null}]"#,
        ),
        (
            "getProgramAccounts",
            r#"["p"]"#,
            r#"["p",{"filters":[ ],"withContext":false,"sortResults":true,"encoding":"binary"}]"#,
        ),
        (
            "getVoteAccounts",
            "[]",
            r#"[{"keepUnstakedDelinquents":false,"delinquentSlotDistance":128,"votePubkey":null}]"#,
        ),
        (
            "getSupply",
            "[]",
            r#"[{"excludeNonCirculatingAccountsList":false}]"#,
        ),
        (
            "getSignatureStatuses",
            r#"[["s"]]"#,
            r#"[["s"],{"searchTransactionHistory":false}]"#,
        ),
        // A configuration in the place of an optional parameter.
        ("getBlocks", r#"[5,{"x":1}]"#, r#"[5,null,{"x":1}]"#),
        ("getBlocks", "[5]", "[5,null,null]"),
        (
            "getLeaderSchedule",
            r#"[{"identity":"i"}]"#,
            r#"[null,{"identity":"i","keyByVoteAccount":false}]"#,
        ),
        ("getLeaderSchedule", "[]", "[{},null]"),
        // A bare commitment that the class understood.
        (
            "getTokenSupply",
            r#"["m"]"#,
            r#"["m",{"commitment":"finalized"}]"#,
        ),
        // Nested objects.
        (
            "getProgramAccounts",
            r#"["p",{"filters":[{"memcmp":{"offset":4,"bytes":"b"}},{"dataSize":165}]}]"#,
            r#"["p",{"filters":[{"memcmp":{"bytes":"b","offset":4}},{"dataSize":165}]}]"#,
        ),
        (
            "getAccountInfo",
            r#"["k",{"encoding":"base64","dataSlice":{"offset":1,"length":2}}]"#,
            r#"["k",{"dataSlice":{"length":2,"offset":1},"encoding":"base64"}]"#,
        ),
    ] {
        let (spelled, class) = meaning(method, one);
        assert!(spelled.is_some(), "{method} {one}");
        let (other_spelled, other_class) = meaning(method, other);
        assert_eq!(spelled, other_spelled, "{method} {one} {other}");
        assert_eq!(class.context, other_class.context, "{method} {one} {other}");
    }
}

#[test]
fn no_parameters_are_an_empty_array() {
    for params in [None, Some(&b"[]"[..]), Some(b" [ ] ")] {
        let class = classify("getSlot", params);
        assert_eq!(canonical(&class, params), spell("getSlot", "[]"));
    }
}

#[test]
fn different_meaning_is_different_spelling() {
    for (method, one, other) in [
        ("getBalance", r#"["k"]"#, r#"["K"]"#),
        ("getBalance", r#"["k"]"#, r#"[["k"]]"#),
        ("getBalance", "[1]", "[\"1\"]"),
        ("getBalance", r#"["k"]"#, r#"["k",{"x":1}]"#),
        ("getBalance", r#"["k",{"x":1}]"#, r#"["k",{"x":"1"}]"#),
        ("getBalance", r#"["k",{"x":1}]"#, r#"["k",{"y":1}]"#),
        (
            "getBalance",
            r#"["k",{"x":[null]}]"#,
            r#"["k",{"x":[false]}]"#,
        ),
        ("getBalance", r#"["k",{"x":{}}]"#, r#"["k",{"x":[]}]"#),
        (
            "getBalance",
            r#"["k",{"x":{"y":null}}]"#,
            r#"["k",{"x":{}}]"#,
        ),
        // Numbers keep their text: a node takes 5 and refuses 5.0.
        ("getBlock", "[5]", "[5.0]"),
        ("getBlock", "[9007199254740993]", "[9007199254740992]"),
        (
            "getBalance",
            r#"["k",{"minContextSlot":5}]"#,
            r#"["k",{"minContextSlot":5.0}]"#,
        ),
        // Not a member of this method: no node is known to leave it out.
        ("getBalance", r#"["k"]"#, r#"["k",{"encoding":null}]"#),
        ("getBlock", "[5]", r#"[5,{"minContextSlot":7}]"#),
        // `null` where Agave refuses it.
        (
            "getSupply",
            "[]",
            r#"[{"excludeNonCirculatingAccountsList":null}]"#,
        ),
        (
            "getSignatureStatuses",
            r#"[["s"]]"#,
            r#"[["s"],{"searchTransactionHistory":null}]"#,
        ),
        // Agave reads this as the encoding `base64`.
        ("getTransaction", r#"["s"]"#, r#"["s",{"base64":null}]"#),
        // What a node may read otherwise than the class did.
        (
            "getBalance",
            r#"["k"]"#,
            r#"["k",{"commitment":{"processed":null}}]"#,
        ),
        (
            "getBalance",
            r#"["k"]"#,
            r#"["k",{"commitment":"process\u0065d"}]"#,
        ),
        (
            "getBalance",
            r#"["k"]"#,
            r#"["k",{"\u0063ommitment":"processed"}]"#,
        ),
        (
            "getBalance",
            r#"["k"]"#,
            r#"["k",{"minContextSl\u006ft":7}]"#,
        ),
        ("getBalance", r#"["k"]"#, r#"["k",{"minContextSlot":-1}]"#),
        // Refused where the commitment is bare.
        ("getTokenSupply", r#"["m"]"#, r#"["m",{}]"#),
        (
            "getTokenSupply",
            r#"["m"]"#,
            r#"["m",{"commitment":"recent"}]"#,
        ),
        ("getTokenSupply", r#"["m"]"#, r#"["m",{"commitment":null}]"#),
        ("getTokenSupply", r#"["m"]"#, r#"["m",["processed"]]"#),
        ("getRankMap", "[1]", r#"[1,{"commitment":"finalized"}]"#),
        // The same default means different things.
        (
            "getAccountInfo",
            r#"["k",{"encoding":"base64"}]"#,
            r#"["k"]"#,
        ),
        (
            "getMultipleAccounts",
            r#"[["k"],{"encoding":"binary"}]"#,
            r#"[["k"]]"#,
        ),
        ("getBlocks", "[5]", "[5,6]"),
        ("getLeaderSchedule", "[5]", "[]"),
        ("getTransaction", r#"["s",{}]"#, r#"["s","base64"]"#),
        (
            "getProgramAccounts",
            r#"["p",{"filters":[{"dataSize":1},{"dataSize":2}]}]"#,
            r#"["p",{"filters":[{"dataSize":2},{"dataSize":1}]}]"#,
        ),
    ] {
        let (one_spelled, other_spelled) = (spell(method, one), spell(method, other));
        assert!(one_spelled.is_some(), "{method} {one}");
        assert!(other_spelled.is_some(), "{method} {other}");
        assert_ne!(one_spelled, other_spelled, "{method} {one} {other}");
    }
}

#[test]
fn what_is_not_certain_has_no_spelling() {
    for (method, params) in [
        ("getBalance", r#"{"pubkey":"k"}"#),
        ("getBalance", r#"["k",{"x":1,"x":1}]"#),
        ("getBalance", r#"["k",{"x":1,"\u0078":2}]"#),
        (
            "getBalance",
            r#"["k",{"commitment":"confirmed","commitment":"processed"}]"#,
        ),
        (
            "getBalance",
            r#"["k",{"commitment":"confirmed","comm\u0069tment":"processed"}]"#,
        ),
        (
            "getAccountInfo",
            r#"["k",{"encoding":"binary","encoding":"base64"}]"#,
        ),
        (
            "getAccountInfo",
            r#"["k",{"dataSlice":{"offset":1,"length":2,"offset":3}}]"#,
        ),
        // Too many parameters: every node refuses the call.
        ("getSlot", "[null,null]"),
        ("getGenesisHash", "[null]"),
        ("getBlockTime", "[5,{}]"),
        ("getBalance", r#"["k",{},1]"#),
        // Two configurations.
        (
            "getBlocks",
            r#"[5,{"commitment":"confirmed"},{"commitment":"finalized"}]"#,
        ),
        ("getLeaderSchedule", r#"[{},{"identity":"i"}]"#),
        ("getBlocks", "[5,{},9]"),
        // No JSON.
        ("getBalance", r#"["k""#),
        ("getBalance", r#"["k"] x"#),
        ("getBalance", ""),
    ] {
        assert_eq!(spell(method, params), None, "{method} {params}");
    }
    let deep = format!("[{}1{}]", "[".repeat(17), "]".repeat(17));
    assert_eq!(spell("getBalance", &deep), None);
    assert!(
        spell(
            "getBalance",
            &deep.replacen("[[", "[", 1).replacen("]]", "]", 1)
        )
        .is_some()
    );
}

#[test]
fn only_agaves_reads_have_a_spelling() {
    for method in Method::ALL {
        let reads = method.profile().idempotency == Idempotency::Read;
        assert_eq!(spell(method.label(), "[]").is_some(), reads, "{method:?}");
    }
    assert_eq!(spell("getAsset", "[]"), None);
    assert_eq!(spell("getslot", "[]"), None);
}

#[test]
fn long_texts_keep_their_length() {
    let spelled: Vec<_> = [0, 127, 128, 129, 16_383, 16_384, 70_000]
        .map(|length| spell("getFeeForMessage", &format!("[\"{}\"]", "a".repeat(length))))
        .into_iter()
        .collect();
    for (position, one) in spelled.iter().enumerate() {
        let one = decode::call(one.as_ref().unwrap().as_bytes());
        assert_eq!(one.params.len(), 1, "{position}");
        assert!(
            !spelled[position + 1..]
                .iter()
                .any(|other| { decode::call(other.as_ref().unwrap().as_bytes()) == one })
        );
    }
}
