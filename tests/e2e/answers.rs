//! What an upstream answered reaches the client byte for byte, with the client's own id.

use serde_json::{Value, json};

use crate::scene::{KEY, Scene};

#[tokio::test]
async fn ids_come_back_as_they_were_written() {
    let scene = Scene::equals(1).await;
    for id in [
        "1",
        "0",
        "18446744073709551615",
        "\"7\"",
        "\"b2c5-uuid\"",
        "\"\"",
        "\"\\u00e9\\\"\\\\ \"",
        "\"\u{e9}\"",
        "null",
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"sandboxEcho","params":[1]}}"#);
        let reply = scene.gateway.post(body).await;
        assert_eq!(
            reply.text(),
            format!("{{\"jsonrpc\":\"2.0\",\"result\":[1],\"id\":{id}}}\n")
        );
    }
}

#[tokio::test]
async fn numbers_beyond_53_bits_spacing_and_escapes_survive() {
    let scene = Scene::equals(1).await;
    let params = r#"[18446744073709551615, 1.50, 1e400, "\u00e9\u0000", {"b":1,"a":[ ]}]"#;
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"sandboxEcho","params":{params}}}"#);
    let reply = scene.gateway.post(body).await;
    assert_eq!(
        reply.text(),
        format!("{{\"jsonrpc\":\"2.0\",\"result\":{params},\"id\":1}}\n")
    );
    let account = scene.gateway.rpc("getAccountInfo", json!([KEY])).await;
    assert!(
        account
            .text()
            .contains("\"rentEpoch\":18446744073709551615")
    );
}

#[tokio::test]
async fn members_of_a_request_may_come_in_any_order() {
    let scene = Scene::equals(1).await;
    for body in [
        r#"{"id":5,"jsonrpc":"2.0","method":"sandboxEcho","params":["x"]}"#,
        r#"{"method":"sandboxEcho","params":["x"],"jsonrpc":"2.0","id":5}"#,
        r#" { "params" : ["x"] , "method" : "sandboxEcho" , "id" : 5 , "jsonrpc" : "2.0" } "#,
    ] {
        let reply = scene.gateway.post(body).await;
        assert_eq!(reply.json()["result"], json!(["x"]), "{body}");
        assert_eq!(reply.json()["id"], 5);
    }
}

#[tokio::test]
async fn an_answer_says_who_gave_it_and_which_request_it_was() {
    let scene = Scene::equals(1).await;
    let first = scene.balance().await;
    let second = scene.balance().await;
    assert_eq!(first.upstream(), "v0");
    assert_eq!(
        first.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    let ids = [first.header("x-request-id"), second.header("x-request-id")];
    assert!(
        ids[0].is_some() && ids[1].is_some() && ids[0] != ids[1],
        "{ids:?}"
    );
}

#[tokio::test]
async fn errors_of_the_chain_pass_through_with_their_data() {
    let scene = Scene::ranked().await;
    let first = scene
        .gateway
        .rpc("getFirstAvailableBlock", json!([]))
        .await
        .result();
    let wanted = json!([KEY, {"minContextSlot": 9_000_000_000_u64}]);
    let reply = scene.gateway.rpc("getBalance", wanted).await;
    assert_eq!((reply.status, reply.code()), (200, Some(-32016)));
    assert!(reply.json()["error"]["data"]["contextSlot"].as_u64() > first.as_u64());
    let reply = scene.gateway.rpc("getBalance", json!(["not a key"])).await;
    assert_eq!((reply.status, reply.code()), (200, Some(-32602)));
    assert_eq!(scene.v(1).hits("getFirstAvailableBlock"), 0);
}

#[tokio::test]
async fn a_method_nobody_has_heard_of_passes_through() {
    let scene = Scene::equals(1).await;
    let reply = scene.gateway.rpc("getAsset", json!({"id": KEY})).await;
    assert_eq!(
        (reply.status, reply.code()),
        (200, Some(-32602)),
        "{}",
        reply.text()
    );
    let reply = scene.gateway.rpc("getAsset", json!([KEY])).await;
    assert_eq!((reply.status, reply.code()), (200, Some(-32601)));
    let seen = scene.v(0).counts().seen("getAsset");
    assert!(!seen.is_empty());
}

#[tokio::test]
async fn every_method_of_agave_is_served() {
    let scene = Scene::equals(1).await;
    let signature = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await
        .result();
    let slot = scene.v(0).sight().processed - 100;
    for (method, params) in [
        ("getSlot", json!([])),
        ("getBlockHeight", json!([])),
        ("getEpochInfo", json!([{"commitment": "confirmed"}])),
        ("getLatestBlockhash", json!([{"commitment": "processed"}])),
        (
            "getMultipleAccounts",
            json!([[KEY, KEY], {"encoding": "base64"}]),
        ),
        ("getBlocks", json!([slot, slot + 5])),
        (
            "getTransaction",
            json!([signature, {"maxSupportedTransactionVersion": 0}]),
        ),
        (
            "getSignatureStatuses",
            json!([[signature], {"searchTransactionHistory": true}]),
        ),
        ("getProgramAccounts", json!([KEY, {"withContext": true}])),
        ("getVoteAccounts", Value::Null),
        ("getLeaderSchedule", json!([])),
        ("getMinimumBalanceForRentExemption", json!([165])),
        ("getIdentity", Value::Null),
        ("getVersion", json!([])),
        ("getGenesisHash", json!([])),
        ("getHealth", json!([])),
    ] {
        let reply = scene.gateway.rpc(method, params).await;
        assert_eq!(reply.code(), None, "{method}: {}", reply.text());
    }
}

#[tokio::test]
async fn the_upstream_sees_neither_the_clients_id_nor_its_browser() {
    let scene = Scene::equals(1).await;
    let request = scene
        .gateway
        .client()
        .post(format!("{}some/path?x=1", scene.gateway.url()))
        .header("content-type", "application/json")
        .header("origin", "https://app.example")
        .header("referer", "https://app.example/page")
        .header("cookie", "session=1")
        .header("user-agent", "a browser")
        .header("sec-fetch-mode", "cors")
        .body(r#"{"id":"mine","method":"getBalance","params":["x"],"jsonrpc":"2.0"}"#);
    scene.gateway.send(request).await;
    let seen = scene.v(0).counts().seen("getBalance").remove(0);
    for name in ["origin", "referer", "cookie", "sec-fetch-mode"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_ne!(seen.header("user-agent"), Some("a browser"));
    assert_eq!(seen.target, "/");
    let body = String::from_utf8_lossy(&seen.body);
    let id = body
        .strip_prefix(r#"{"jsonrpc":"2.0","method":"getBalance","params":["x"],"id":"#)
        .and_then(|rest| rest.strip_suffix('}'));
    assert!(id.is_some_and(|id| id.parse::<u64>().is_ok()), "{body}");
}
