//! One question, however a client writes it.

use serde_json::json;

use super::stage::{Stage, moving};

/// Spellings of one call; the first is asked, the others must be known.
async fn are_one(stage: &Stage, method: &str, spellings: &[String]) {
    for (index, params) in spellings.iter().enumerate() {
        let body = if params.is_empty() {
            format!(r#"{{"jsonrpc":"2.0","id":{index},"method":"{method}"}}"#)
        } else {
            format!(r#"{{"jsonrpc":"2.0","id":{index},"method":"{method}","params":{params}}}"#)
        };
        let reply = stage.gateway().post(body).await;
        let expected = if index == 0 { "miss" } else { "hit" };
        assert_eq!(
            reply.cache(),
            expected,
            "{method} {params}: {}",
            reply.text()
        );
        assert!(
            reply.json().get("result").is_some(),
            "{params}: {}",
            reply.text()
        );
    }
    assert_eq!(stage.cluster().hits(method), 1, "{method}");
    stage.cluster().reset_counts();
}

#[tokio::test]
async fn kit_solana_py_and_web3_js_ask_the_same_of_an_account() {
    let stage = Stage::single().await;
    let key = moving();
    // Confirmed, as kit always says it and web3.js when told.
    let confirmed = [
        format!(r#"["{key}",{{"commitment":"confirmed","encoding":"base64"}}]"#),
        format!(r#"["{key}",{{"encoding":"base64","commitment":"confirmed"}}]"#),
        format!(
            r#"["{key}",{{"encoding":"base64","commitment":"confirmed","minContextSlot":null,"dataSlice":null}}]"#
        ),
        format!(r#" [ "{key}" , {{ "encoding" : "base64" , "commitment" : "confirmed" }} ] "#),
        format!(r#"["{key}",{{"\u0065ncoding":"base64","commitment":"confirmed"}}]"#),
    ];
    are_one(&stage, "getAccountInfo", &confirmed).await;
    // Finalized, which goes without saying.
    let finalized = [
        format!(
            r#"["{key}",{{"encoding":"base64","commitment":"finalized","minContextSlot":null}}]"#
        ),
        format!(r#"["{key}",{{"encoding":"base64"}}]"#),
        format!(r#"["{key}",{{"encoding":"base64","commitment":null}}]"#),
        format!(r#"["{key}",{{"encoding":"base64","commitment":"max"}}]"#),
    ];
    are_one(&stage, "getAccountInfo", &finalized).await;
}

#[tokio::test]
async fn a_call_without_a_configuration_is_one_with_an_empty_one() {
    let stage = Stage::single().await;
    let key = moving();
    are_one(
        &stage,
        "getBalance",
        &[
            format!(r#"["{key}"]"#),
            format!(r#"["{key}",{{}}]"#),
            format!(r#"["{key}",null]"#),
            format!(r#"["{key}",{{"commitment":"finalized","minContextSlot":null}}]"#),
        ],
    )
    .await;
    let head = [
        "[]",
        "",
        "null",
        "[{}]",
        "[null]",
        r#"[{"commitment":"finalized"}]"#,
    ];
    for method in ["getSlot", "getLatestBlockhash", "getEpochInfo"] {
        are_one(&stage, method, &head.map(str::to_owned)).await;
    }
    are_one(
        &stage,
        "getGenesisHash",
        &["", "[]", "null"].map(str::to_owned),
    )
    .await;
}

#[tokio::test]
async fn the_old_way_to_ask_for_an_encoding_is_the_same_question() {
    let stage = Stage::single().await;
    let signature = stage.land(1);
    stage.advance(40).await;
    let spellings = [
        format!(r#"["{signature}","base64"]"#),
        format!(r#"["{signature}",{{"encoding":"base64"}}]"#),
        format!(r#"["{signature}",{{"commitment":"confirmed","encoding":"base64"}}]"#),
    ];
    are_one(&stage, "getTransaction", &spellings).await;
}

#[tokio::test]
async fn what_an_upstream_may_take_otherwise_is_asked_apart() {
    let stage = Stage::single().await;
    let key = moving();
    for params in [
        // Given twice: parsers differ in which they take.
        format!(r#"["{key}",{{"commitment":"confirmed","commitment":"processed"}}]"#),
        format!(r#"["{key}",{{"commitment":"processed","commitment":"confirmed"}}]"#),
    ] {
        for _ in 0..2 {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"getBalance","params":{params}}}"#);
            let before = stage.cluster().hits("getBalance");
            let reply = stage.gateway().post(body).await;
            assert_ne!(reply.cache(), "hit", "{params}");
            assert_eq!(stage.cluster().hits("getBalance"), before + 1);
        }
    }
    stage
        .asks("getBalance", &json!([key, {"commitment": "confirmed"}]))
        .await;
    stage
        .asks("getBalance", &json!([key, {"commitment": "processed"}]))
        .await;
}
