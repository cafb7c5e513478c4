//! Writes: a signed transaction goes on to whoever takes it; what would happen twice is sent once.

mod airdrops;
mod processed;

use perijove_tests::gateway::GatewayConfig;
use perijove_tests::sandbox::{Fault, Kind, RateShape, ResetWhen, transaction};
use perijove_tests::wait::until;
use serde_json::{Value, json};

use crate::scene::{KEY, Scene};

/// A scene whose upstreams are given up after 300 ms, and its `sendTransaction`.
async fn impatient() -> Scene {
    Scene::ranked_with(|config| {
        let mut upstreams = config.get("upstreams").unwrap().clone();
        for upstream in upstreams.as_array_mut().unwrap() {
            upstream["timeouts"] = json!({ "first_byte": "300ms" });
        }
        config.set("upstreams", upstreams)
    })
    .await
}

/// A scene whose transactions are sent elsewhere too when they are not answered soon.
async fn repeating() -> Scene {
    Scene::ranked_with(|config| config.set("retry.write_after", "100ms")).await
}

/// `v0` has the fault for transactions only, so `v1` takes them, each time.
async fn goes_on(fault: impl Into<Fault>) {
    let scene = repeating().await;
    scene.v(0).fault(fault.into().on("sendTransaction"));
    for mark in 1..=3 {
        let reply = scene
            .gateway
            .rpc("sendTransaction", scene.transaction(mark))
            .await;
        assert!(reply.result().is_string(), "{}", reply.text());
        assert_eq!(reply.upstream(), "v1");
    }
    assert_eq!(scene.v(1).hits("sendTransaction"), 3);
    assert_eq!(scene.cluster.cluster().ledger.len(), 3);
}

macro_rules! each {
    ($test:ident: $($name:ident => $fault:expr,)*) => {
        $(#[tokio::test]
        async fn $name() {
            $test($fault).await;
        })*
    };
}

each! { goes_on:
    a_transaction_goes_on_after_http_500 => Fault::status(500),
    a_transaction_goes_on_after_http_503 => Fault::status(503),
    a_transaction_goes_on_after_http_504 => Fault::status(504),
    a_transaction_goes_on_after_http_400 => Fault::status(400),
    a_transaction_goes_on_after_http_404 => Fault::status(404),
    a_transaction_goes_on_after_http_413 => Fault::status(413),
    a_transaction_goes_on_after_an_internal_error => Fault::rpc(-32603),
    a_transaction_goes_on_after_vague_words_on_its_parameters => Kind::RpcError {
        code: -32602,
        message: Some("Invalid params".to_owned()),
        data: None,
    },
    a_transaction_goes_on_after_a_code_nobody_knows => Fault::rpc(-32000),
    a_transaction_goes_on_after_a_node_that_is_behind => Fault::rpc(-32005),
    a_transaction_goes_on_after_a_reset => Fault::reset(ResetWhen::AfterRead),
    a_transaction_goes_on_after_half_an_answer => Fault::reset(ResetWhen::MidBody),
    a_transaction_goes_on_after_a_truncated_answer => Kind::Truncate,
    a_transaction_goes_on_after_garbage => Kind::Garbage,
    a_transaction_goes_on_after_what_is_no_answer => Kind::WrongShape,
    a_transaction_goes_on_after_a_hang => Kind::Hang,
}

#[tokio::test]
async fn a_transaction_is_answered_with_its_signature_and_sent_to_one_upstream() {
    let scene = Scene::equals(3).await;
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert!(reply.result().as_str().unwrap().len() > 80);
    assert_eq!(scene.cluster.hits("sendTransaction"), 1);
    assert_eq!(scene.cluster.cluster().ledger.len(), 1);
}

#[tokio::test]
async fn a_transaction_passes_two_upstreams_that_hang() {
    let once = |config: GatewayConfig| {
        config
            .set("retry.attempts", 1)
            .set("retry.write_after", "100ms")
    };
    let scene = Scene::ranked_of(3, once).await;
    for index in [0, 1] {
        let hang = Fault::from(Kind::Hang).on("sendTransaction");
        scene.v(index).fault(hang);
    }
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert!(reply.result().is_string(), "{}", reply.text());
    assert_eq!(reply.upstream(), "v2");
    assert_eq!(scene.hits("sendTransaction"), [1, 1, 1]);
}

#[tokio::test]
async fn transactions_that_hang_leave_reads_where_they_are() {
    let scene = Scene::ranked_with(|config| {
        let mut upstreams = config.get("upstreams").unwrap().clone();
        upstreams[0]["timeouts"] = json!({ "first_byte": "200ms" });
        config
            .set("upstreams", upstreams)
            .set("retry.write_after", "100ms")
    })
    .await;
    let hang = Fault::from(Kind::Hang).on("sendTransaction");
    scene.v(0).fault(hang);
    // More than open a breaker, and all of them known to have hung.
    for mark in 1..=8 {
        let transaction = scene.transaction(mark);
        let reply = scene.gateway.rpc("sendTransaction", transaction).await;
        assert!(reply.result().is_string(), "{}", reply.text());
    }
    until("the hung ones to be given up", || async {
        let labels = [("upstream", "v0"), ("outcome", "first-byte-timeout")];
        let metrics = scene.gateway.metrics().await;
        let hung = metrics.sum("perijove_upstream_attempts_total", &labels);
        (hung >= 5.0).then_some(())
    })
    .await;
    assert_eq!(scene.balance().await.upstream(), "v0");
}

#[tokio::test]
async fn a_slow_answer_to_a_transaction_is_waited_for_when_nobody_else_takes_it() {
    let scene = repeating().await;
    scene.v(0).fault(Fault::slow(1_000).on("sendTransaction"));
    scene.v(1).fault(Fault::status(503).on("sendTransaction"));
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert!(reply.result().is_string(), "{}", reply.text());
    assert_eq!(reply.upstream(), "v0");
    // How often both were asked meanwhile depends on the time that the first took.
    assert!(scene.v(1).hits("sendTransaction") >= 1);
    assert_eq!(scene.cluster.cluster().ledger.len(), 1);
}

#[tokio::test]
async fn no_budget_loses_a_transaction() {
    let scene = Scene::ranked_with(|config| {
        config
            .set("retry.budget", 0.0)
            .set("retry.min_per_second", 0)
            .set("retry.attempts", 1)
    })
    .await;
    scene.v(0).fault(Fault::status(503).on("sendTransaction"));
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert!(reply.result().is_string(), "{}", reply.text());
}

#[tokio::test]
async fn a_transaction_that_one_took_and_another_finds_processed_is_answered_with_its_signature() {
    for fate in [
        Fault::from(Kind::Hang),
        Fault::status(503),
        Fault::reset(ResetWhen::AfterRead),
    ] {
        for encoding in ["base58", "base64"] {
            let scene = repeating().await;
            scene.v(0).fault(fate.clone().on("sendTransaction"));
            scene.v(1).fault(already_processed());
            let (params, signature) = encoded(&scene, encoding);
            let reply = scene.gateway.rpc("sendTransaction", params).await;
            assert_eq!(reply.result(), json!(signature), "{fate:?}");
            assert_eq!(scene.hits("sendTransaction"), [1, 1], "{fate:?}");
        }
    }
}

/// A transaction in this encoding without a preflight, and its signature.
fn encoded(scene: &Scene, encoding: &str) -> (Value, String) {
    use base64::Engine as _;
    let text = scene.transaction(1)[0].as_str().unwrap().to_owned();
    let bytes = bs58::decode(text).into_vec().unwrap();
    let signature = transaction::Transaction::read(&bytes).unwrap().signature;
    let text = match encoding {
        "base64" => base64::engine::general_purpose::STANDARD.encode(bytes),
        _ => bs58::encode(bytes).into_string(),
    };
    let options = json!({ "encoding": encoding, "skipPreflight": true });
    (json!([text, options]), signature)
}

#[tokio::test]
async fn a_transaction_that_no_node_takes_is_refused_by_the_first() {
    for code in [-32003, -32006, -32013] {
        let scene = Scene::ranked().await;
        scene.v(0).fault(Fault::rpc(code).on("sendTransaction"));
        let reply = scene
            .gateway
            .rpc("sendTransaction", scene.transaction(1))
            .await;
        assert_eq!(reply.code(), Some(code), "{}", reply.text());
        assert_eq!(scene.hits("sendTransaction"), [1, 0]);
    }
}

#[tokio::test]
async fn a_bad_signature_is_told_although_an_earlier_upstream_said_nothing() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(Fault::status(503).on("sendTransaction"));
    scene.v(1).fault(Fault::rpc(-32003).on("sendTransaction"));
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert_eq!(reply.code(), Some(-32003), "{}", reply.text());
}

#[tokio::test]
async fn a_preflight_that_fails_after_the_transaction_may_have_been_taken_is_no_verdict() {
    for fate in [Fault::status(503), Fault::from(Kind::Hang)] {
        let scene = repeating().await;
        scene.v(0).fault(fate.clone().on("sendTransaction"));
        scene.v(1).fault(failed_preflight());
        let reply = scene
            .gateway
            .rpc("sendTransaction", scene.transaction(1))
            .await;
        assert_eq!(reply.status, 504, "{fate:?}: {}", reply.text());
        assert_eq!(scene.hits("sendTransaction"), [1, 1]);
    }
}

#[tokio::test]
async fn a_preflight_on_a_node_that_trails_is_asked_again_elsewhere() {
    let scene = Scene::ranked_of(2, |config| config.set("health.exclude_lag", 100)).await;
    scene.v(0).fault(Fault::lag(30));
    until("the lag to be seen", || async {
        let status = scene.gateway.status().await;
        let lag = status["upstreams"][0]["lag"].as_u64()?;
        (lag > 10).then_some(())
    })
    .await;
    scene.v(0).fault(failed_preflight());
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert!(reply.result().is_string(), "{}", reply.text());
    assert_eq!(reply.upstream(), "v1");
}

fn failed_preflight() -> Fault {
    Fault::from(Kind::RpcError {
        code: -32002,
        message: Some("Transaction simulation failed: Error processing Instruction 0".into()),
        data: Some(json!({
            "err": {"InstructionError": [0, {"Custom": 1}]},
            "logs": ["Program log: no"],
            "unitsConsumed": 150,
        })),
    })
    .on("sendTransaction")
}

#[tokio::test]
async fn a_transaction_that_found_no_open_port_is_sent_elsewhere() {
    let scene = Scene::ranked().await;
    scene.v(0).down().await;
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert!(reply.result().is_string());
    assert_eq!(scene.hits("sendTransaction"), [0, 1]);
    assert_eq!(scene.cluster.cluster().ledger.len(), 1);
}

#[tokio::test]
async fn a_transaction_that_was_refused_for_the_rate_is_sent_elsewhere() {
    let scene = Scene::ranked().await;
    let limit = Fault::rate_limit(RateShape::Rpcpool, Some("5"));
    scene.v(0).fault(limit.on("sendTransaction"));
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert!(reply.result().is_string(), "{}", reply.text());
    assert_eq!(scene.hits("sendTransaction"), [1, 1]);
    assert_eq!(scene.cluster.cluster().ledger.len(), 1);
}

#[tokio::test]
async fn a_blockhash_one_node_does_not_know_is_tried_on_another() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(Fault::rpc(-32002).on("sendTransaction"));
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert!(reply.result().is_string(), "{}", reply.text());
    assert_eq!(scene.hits("sendTransaction"), [1, 1]);
}

#[tokio::test]
async fn a_failed_simulation_is_the_callers_with_all_its_data() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(failed_preflight());
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert_eq!(reply.code(), Some(-32002));
    let error = reply.json()["error"].clone();
    assert_eq!(error["data"]["err"]["InstructionError"][1]["Custom"], 1);
    assert_eq!(scene.hits("sendTransaction"), [1, 0]);
}

#[tokio::test]
async fn a_failed_simulation_whose_logs_stream_is_the_callers_too() {
    let small = |config: GatewayConfig| config.set("limits.answer_buffer", "4KiB");
    let scene = Scene::ranked_with(small).await;
    let logs = "Program log: no ".repeat(1_000);
    let failed = Kind::RpcError {
        code: -32002,
        message: Some("Transaction simulation failed".into()),
        data: Some(json!({ "logs": [logs] })),
    };
    scene.v(0).fault(Fault::from(failed).on("sendTransaction"));
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert_eq!(reply.code(), Some(-32002), "{}", reply.text());
    assert_eq!(reply.json()["error"]["data"]["logs"][0], logs);
    assert_eq!(scene.hits("sendTransaction"), [1, 0]);
}

fn already_processed() -> Fault {
    Fault::from(Kind::RpcError {
        code: -32002,
        message: None,
        data: Some(json!({ "err": "AlreadyProcessed", "logs": [] })),
    })
    .on("sendTransaction")
}
