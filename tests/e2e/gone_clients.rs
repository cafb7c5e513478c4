//! Clients that go before their answer: what they asked for can be found in the log.

use perijove_tests::client::socket::Socket;
use perijove_tests::client::{call, raw};
use perijove_tests::sandbox::{Fault, Kind, RateShape};
use perijove_tests::wait::until;
use serde_json::{Value, json};

use crate::scene::{KEY, Scene};

#[tokio::test]
async fn what_a_client_asked_for_that_has_gone_is_in_the_log() {
    let scene = Scene::equals(1).await;
    let held = Fault::from(Kind::Hold);
    scene.v(0).fault(held.on("getBalance").on("sandboxEcho"));
    let balance = call("getBalance", &json!([KEY]));
    let echo = call("sandboxEcho", &json!([1]));
    let batch = format!("[{echo},{echo}]");
    // Neither of the last two is a simple request.
    for (body, extra, method, calls) in [
        (balance.as_str(), "", "getBalance", 1),
        (&balance, "expect: x\r\n", "getBalance", 1),
        (&batch, "connection: close\r\n", "batch", 2),
    ] {
        scene.cluster.reset_counts();
        let mut client = scene.gateway.raw().await;
        client
            .send(raw::post(
                body,
                &format!("x-request-id: {method}{extra:.1}\r\n{extra}"),
            ))
            .await;
        until("the upstream to be asked", || async {
            (scene.v(0).hits("getBalance") + scene.v(0).hits("sandboxEcho") > 0).then_some(())
        })
        .await;
        drop(client);
        let line = until("the line of the request", || async {
            let lines = scene.gateway.process.log();
            let mut lines = lines
                .iter()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let id = format!("{method}{extra:.1}");
            lines.find(|line| line["target"] == "access" && line["request_id"] == id.as_str())
        })
        .await;
        assert_eq!(line["method"], method, "{line}");
        assert_eq!(line["calls"], calls, "{line}");
        assert_eq!(line["status"], 0, "{line}");
        assert_eq!(
            (&line["outcome"], &line["end"]),
            (&json!("client_gone"), &json!("client_gone"))
        );
    }
    counted(&scene, "perijove_rpc_calls_total", "getBalance", 2.0).await;
    counted(&scene, "perijove_rpc_calls_total", "other", 2.0).await;
    let metrics = scene.gateway.metrics().await;
    let gone = [("outcome", "client_gone")];
    let calls = metrics.sum("perijove_rpc_class_calls_total", &gone);
    assert!((calls - 4.0).abs() < 0.5, "{calls}");
    let durations = metrics.sum(
        "perijove_rpc_call_duration_seconds_count",
        &[("method", "getBalance")],
    );
    assert!(durations < 0.5, "none has been answered");
}

/// Waits until so many calls of a method count as those of clients that have gone.
async fn counted(scene: &Scene, name: &str, method: &str, expected: f64) {
    until(&format!("{method} to count"), || async {
        let metrics = scene.gateway.metrics().await;
        let labels = [("method", method), ("outcome", "client_gone")];
        ((metrics.sum(name, &labels) - expected).abs() < 0.5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_socket_that_ends_before_its_answers_is_told_of_as_well() {
    let scene = Scene::equals_with(1, |config| {
        config
            .set(
                "plans",
                json!([{ "id": "small", "requests_per_minute": 6000 }]),
            )
            .set("anonymous_plan", "small")
    })
    .await;
    let held = Fault::from(Kind::Hold);
    scene.v(0).fault(held.on("getBalance"));
    let mut socket = Socket::open(scene.gateway.address(), "/").await;
    socket.say(&call("getBalance", &json!([KEY]))).await;
    until("the upstream to be asked", || async {
        (scene.v(0).hits("getBalance") > 0).then_some(())
    })
    .await;
    drop(socket);
    counted(&scene, "perijove_rpc_calls_total", "getBalance", 1.0).await;
    let line = until("the line of the message", || async {
        let lines = scene.gateway.process.log();
        let mut lines = lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["target"] == "access" && line["method"] == "getBalance")
    })
    .await;
    assert_eq!(
        (&line["outcome"], &line["end"], &line["status"]),
        (&json!("client_gone"), &json!("client_gone"), &json!(0))
    );
    let metrics = scene.gateway.metrics().await;
    let labels = [("plan", "small"), ("status", "client_gone")];
    let left = metrics.sum("perijove_plan_requests_total", &labels);
    assert!((left - 1.0).abs() < 0.5, "{left}");
}

#[tokio::test]
async fn calls_given_up_with_a_limited_batch_are_not_those_of_clients_that_have_gone() {
    let scene = Scene::equals(1).await;
    scene.v(0).fault(Fault::from(Kind::Hold).on("getBalance"));
    // The other call has begun by then.
    scene.v(0).fault(Fault::slow(500).on("getVersion"));
    scene
        .v(0)
        .fault(Fault::rate_limit(RateShape::Rpcpool, Some("1")).on("getVersion"));
    let batch = format!(
        "[{},{}]",
        call("getVersion", &json!([])),
        call("getBalance", &json!([KEY]))
    );
    assert_eq!(scene.gateway.post(batch).await.status, 429);
    assert_eq!(scene.hits("getBalance"), [1]);
    until("the call to count", || async {
        let metrics = scene.gateway.metrics().await;
        let labels = [("method", "getBalance"), ("outcome", "rate_limited")];
        (metrics.sum("perijove_rpc_calls_total", &labels) > 0.5).then_some(())
    })
    .await;
    let metrics = scene.gateway.metrics().await;
    let gone = metrics.sum("perijove_rpc_calls_total", &[("outcome", "client_gone")]);
    assert!(gone < 0.5, "{gone}");
}
